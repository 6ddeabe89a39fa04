//! A file as a log: its last lines, then each new one, through every kind of rotation.
//!
//! Renamed, copied and emptied, or deleted: what was written is read to its end in the file that it is in now, and
//! then in the ones that came after it. Where that is impossible, a gap is said.

mod family;
mod follow;
mod open;
mod place;

use std::{os::unix::fs::FileExt, path::PathBuf};

use super::{OpenError, filter::Filter, stream::{Item, Out}, tail, wake::Wake};
use follow::{Follower, State};
pub(super) use open::Rules;

/// What is asked of a file.
pub(super) struct Wanted {
    pub path: PathBuf,
    pub rules: Rules,
    pub filter: Filter,
    pub lines: usize,
    pub follow: bool,
    pub after: Option<String>,
}

/// Opens the file where reading begins. Reading itself is [`run`].
pub(super) fn open(wanted: Wanted) -> Result<Follower, OpenError> {
    let Wanted { path, rules, filter, lines, follow, after } = wanted;
    if !path.is_absolute() {
        let message = "A file is named by its absolute path.".to_owned();
        return Err(OpenError::Invalid { field: "source", message });
    }
    if let Some(cursor) = after {
        let place = cursor.parse().map_err(|()| OpenError::cursor())?;
        return Follower::resume(path, rules, filter, follow, place);
    }
    let file = rules.open(&path)?;
    let told = |error| open::unreadable(&path, &error);
    let length = file.metadata().map_err(told)?.len();
    let begin = tail::start(0..length, lines, &filter, |at, most| {
        let mut bytes = vec![0; most];
        let count = file.read_at(&mut bytes, at)?;
        bytes.truncate(count);
        Ok(bytes)
    })
    .map_err(told)?;
    Follower::start(path.clone(), rules, filter, follow, file, begin).map_err(told)
}

/// Gives every line until nobody listens, or until the end where nobody follows.
pub(super) async fn run(mut follower: Follower, mut out: Out) -> Option<Item> {
    let wake = Wake::new();
    loop {
        wake.file(follower.path());
        // A disk can take its time; the runtime must not wait for it.
        let stepped = tokio::task::spawn_blocking(move || (follower.step(), follower)).await;
        let (step, back) = stepped.ok()?;
        follower = back;
        let step = match step {
            Ok(step) => step,
            Err(error) => return Some(Item::End(Some(format!("The file cannot be read any more: {error}.")))),
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
            State::Over => return Some(Item::End(None)),
        }
    }
}
