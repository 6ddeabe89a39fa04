//! The live event stream, typed.

use std::time::Duration;

use foreman_link::sse::{self, StreamError, Subscription, Target, Update};
use foreman_protocol::{EventRecord, StreamReady, StreamSample};
use serde::de::DeserializeOwned;

use crate::{Foreman, request::Query};

/// What the event stream says.
#[derive(Debug, Clone)]
pub enum LiveUpdate {
    /// The stream is open, at first and after each loss: everything after `cursor` follows. Now is the time for a
    /// snapshot when there is none yet.
    Ready(StreamReady),
    Event(Box<EventRecord>),
    /// A measurement; those missed while the stream was lost are not sent again.
    Sample(Box<StreamSample>),
    /// The events after the last one seen are no longer kept: take a snapshot again.
    Reset(StreamReady),
    /// Something this version does not know; it can be left out.
    Unknown {
        name: String,
        data: String,
    },
    /// The stream is gone and is tried again after `retry_in`, as long as it is polled.
    Lost {
        error: StreamError,
        retry_in: Duration,
    },
}

/// The running event stream; see [`Foreman::events`].
pub struct Events(Subscription);

impl Events {
    /// The next thing that happens; it never ends. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> LiveUpdate {
        loop {
            match self.0.next().await {
                Update::Opened => {}
                Update::Lost { error, retry_in } => return LiveUpdate::Lost { error, retry_in },
                Update::Event(event) if event.name == "ping" => {}
                Update::Event(event) => return understand(event),
            }
        }
    }
}

fn understand(event: sse::Event) -> LiveUpdate {
    fn read<T: DeserializeOwned>(event: &sse::Event) -> Option<T> {
        serde_json::from_str(&event.data).ok()
    }
    let known = match event.name.as_str() {
        "ready" => read(&event).map(LiveUpdate::Ready),
        "reset" => read(&event).map(LiveUpdate::Reset),
        "event" => read(&event).map(|record| LiveUpdate::Event(Box::new(record))),
        "sample" => read(&event).map(|sample| LiveUpdate::Sample(Box::new(sample))),
        _ => None,
    };
    known.unwrap_or(LiveUpdate::Unknown { name: event.name, data: event.data })
}

impl Foreman {
    /// Every event after the cursor `after`, or from now on. It resumes where it stood after each loss, without
    /// a skip or a repetition.
    #[must_use]
    pub fn events(&self, after: Option<i64>) -> Events {
        let address = self.address("events", &Query::default());
        let target =
            Target::new(address, self.headers()).resume_after(after.map(|cursor| cursor.to_string()));
        Events(sse::subscribe(self.http().clone(), target))
    }
}
