//! A log on disk that is read piece by piece, and waits until there is more.

use std::io;

use super::{
    Why,
    stream::{Item, Out},
    wake::Wake,
};

/// What one step gave.
pub(super) struct Step {
    pub items: Vec<Item>,
    /// Up to where was read when nothing of it was wanted.
    pub reached: Option<String>,
    pub state: State,
}

pub(super) enum State {
    More,
    /// All that is there was read.
    Idle,
    /// All is read, and nobody follows or nothing can follow. The reason is for people.
    Over(Option<Why>),
}

/// Something on disk that is read in steps of a bounded size. A step may take a disk's time and knows no waiting.
pub(super) trait Steps: Send + 'static {
    fn step(&mut self) -> io::Result<Step>;
    /// What wakes it when there may be more.
    fn watch(&self, wake: &Wake);
}

/// Gives every line until nobody listens, or until the end.
pub(super) async fn run(mut log: impl Steps, mut out: Out) -> Option<Item> {
    let wake = Wake::new();
    loop {
        log.watch(&wake);
        // The runtime must not wait for a disk.
        let (step, back) = tokio::task::spawn_blocking(move || (log.step(), log)).await.ok()?;
        log = back;
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                let why = Why::said(error).within(|error| format!("It cannot be read any more: {error}."));
                return Some(Item::End(Some(why)));
            }
        };
        for item in step.items {
            out.send(item).await?;
        }
        if let Some(reached) = step.reached {
            out.reached(reached).await?;
        }
        match step.state {
            State::More => {}
            State::Idle => wake.wait().await,
            State::Over(reason) => return Some(Item::End(reason)),
        }
    }
}
