//! The command stream, read into what the agent does with it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use foreman_link::{
    http::RequestError,
    sse::{StreamError, Subscription, Target, Update, subscribe},
};
use foreman_protocol::{Command, CommandId, Dial, TaskId};
use futures_util::FutureExt;
use serde::Deserialize;

use super::{Uplink, is_gone};

/// The most commands handed over at once.
const BATCH: usize = 256;

/// What the command stream brings.
#[derive(Debug)]
pub enum Delivery {
    /// The stream is open; every command not yet acknowledged follows.
    Opened,
    /// In order. Those that came together are together, so that they can be written down together.
    Commands(Vec<Result<Command, NotUnderstood>>),
    /// Somebody waits on the relay.
    Dial(Dial),
    /// The stream is gone, and is tried again after this time by itself.
    Lost { error: String, retry_in: Duration },
    /// The server does not know this device any more.
    Gone,
}

/// A command in words of a newer server. It is acknowledged, so that it does not stand in the way of others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NotUnderstood {
    pub id: CommandId,
    pub seq: i64,
    /// The task it was about.
    #[serde(default)]
    pub task_id: Option<TaskId>,
}

/// A running command stream. Poll it forever.
pub struct Commands {
    subscription: Subscription,
    uplink: Arc<Uplink>,
    /// Read already, to be handed over next.
    waiting: Option<Delivery>,
}

impl Commands {
    pub(super) fn new(uplink: &Arc<Uplink>) -> Self {
        let weak: Weak<Uplink> = Arc::downgrade(uplink);
        let headers = move || {
            let uplink = weak.upgrade();
            async move {
                match uplink {
                    Some(uplink) => uplink.headers().await,
                    None => Err(RequestError::Invalid { message: "the agent is stopping".to_owned() }),
                }
            }
        };
        let target = Target::with_headers(format!("{}/commands", uplink.base), headers);
        Self {
            subscription: subscribe(uplink.client.clone(), target),
            uplink: Arc::clone(uplink),
            waiting: None,
        }
    }

    /// The next delivery. May be cancelled: nothing is lost.
    pub async fn next(&mut self) -> Delivery {
        if let Some(delivery) = self.waiting.take() {
            return delivery;
        }
        let mut batch = Vec::new();
        loop {
            let update = self.subscription.next().await;
            if matches!(&update, Update::Lost { error, .. } if error.status() == Some(401)) {
                self.uplink.forget_bearer();
            }
            match read(update) {
                Read::Nothing => continue,
                Read::Command(command) => batch.push(command),
                Read::Other(delivery) => return delivery,
            }
            self.gather(&mut batch);
            return Delivery::Commands(batch);
        }
    }

    /// Adds what has arrived already.
    fn gather(&mut self, batch: &mut Vec<Result<Command, NotUnderstood>>) {
        while batch.len() < BATCH {
            match self.subscription.next().now_or_never().map(read) {
                Some(Read::Command(command)) => batch.push(command),
                Some(Read::Nothing) => {}
                Some(Read::Other(delivery)) => {
                    self.waiting = Some(delivery);
                    return;
                }
                None => return,
            }
        }
    }
}

enum Read {
    Nothing,
    Command(Result<Command, NotUnderstood>),
    Other(Delivery),
}

fn read(update: Update) -> Read {
    match update {
        Update::Opened => Read::Other(Delivery::Opened),
        Update::Lost { error: StreamError::Request(error), .. } if is_gone(&error) => {
            Read::Other(Delivery::Gone)
        }
        Update::Lost { error, retry_in } => {
            Read::Other(Delivery::Lost { error: error.to_string(), retry_in })
        }
        Update::Event(event) if event.name == "command" => parse(&event.data),
        Update::Event(event) if event.name == "dial" => match serde_json::from_str(&event.data) {
            Ok(dial) => Read::Other(Delivery::Dial(dial)),
            Err(error) => {
                tracing::warn!(%error, "a call from the relay cannot be read and is left out");
                Read::Nothing
            }
        },
        Update::Event(_) => Read::Nothing,
    }
}

fn parse(data: &str) -> Read {
    if let Ok(command) = serde_json::from_str(data) {
        return Read::Command(Ok(command));
    }
    match serde_json::from_str(data) {
        Ok(not_understood) => Read::Command(Err(not_understood)),
        Err(error) => {
            // Not the text: it may hold a task's environment.
            tracing::error!(%error, bytes = data.len(), "a command of the server cannot be read and is left out");
            Read::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use foreman_protocol::CommandAction;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_from_the_future_keeps_its_id() {
        let (id, task) = (CommandId::fresh(), TaskId::fresh());
        let data = format!(
            r#"{{"id":"{id}","seq":7,"action":"start_task","task_id":"{task}","spec":{{"wasm":"AAA="}}}}"#
        );
        let Read::Command(Err(not_understood)) = parse(&data) else { panic!("understood") };
        assert_eq!(not_understood, NotUnderstood { id, seq: 7, task_id: Some(task) });

        let data = format!(r#"{{"id":"{id}","seq":8,"action":"dance"}}"#);
        let Read::Command(Ok(command)) = parse(&data) else { panic!("not understood") };
        assert_eq!((command.id, command.action), (id, CommandAction::Unknown));
    }

    proptest! {
        #[test]
        fn any_text_is_read(data: String) {
            let _ = parse(&data);
        }
    }
}
