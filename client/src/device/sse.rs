//! Live streams of a device: opened over the best path, and again after the last event when it dies.

use std::time::Duration;

use eventsource_stream::{Event, Eventsource};
use foreman_link::sse::SILENCE_LIMIT;
use futures_util::{StreamExt, stream, stream::BoxStream};
use reqwest::header::{ACCEPT, HeaderName};

use super::{
    DeviceConnection,
    ask::{Answer, Ask},
    keeper::Pause,
};
use crate::Error;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a live stream says.
pub(super) enum Said {
    Event(Event),
    /// It is gone, and is opened again as long as it is polled.
    Lost(Error),
    /// It is not to be had; nothing follows.
    Failed(Error),
}

/// The events of one answer. A silence of three missed pings is an error.
pub(super) fn events(answer: Answer) -> BoxStream<'static, Result<Event, Error>> {
    let events = answer.body.eventsource().map(|event| {
        event.map_err(|error| match error {
            eventsource_stream::EventStreamError::Transport(error) => error,
            other => Error::Malformed { message: other.to_string() },
        })
    });
    let state = Some(events.boxed());
    let watched = stream::unfold(state, |state| async move {
        let mut events = state?;
        match tokio::time::timeout(SILENCE_LIMIT, events.next()).await {
            Ok(event) => Some((event?, Some(events))),
            Err(_) => {
                let message = format!("nothing was heard for {} s", SILENCE_LIMIT.as_secs());
                Some((Err(Error::Unreachable { message }), None))
            }
        }
    });
    watched.boxed()
}

/// Whether asking again later may help.
fn may_pass(error: &Error) -> bool {
    error.is_transient() || matches!(error, Error::Malformed { .. })
}

/// Keeps a stream open for as long as it is polled, each time after the last event it gave.
pub(super) fn resuming(
    device: DeviceConnection,
    ask: impl Fn() -> Ask + Send + Sync + 'static,
) -> BoxStream<'static, Said> {
    struct State<F> {
        device: DeviceConnection,
        ask: F,
        last: Option<String>,
        open: Option<BoxStream<'static, Result<Event, Error>>>,
        pause: Pause,
        wait: Duration,
    }
    let state = State { device, ask, last: None, open: None, pause: Pause::default(), wait: Duration::ZERO };
    let steps = stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        loop {
            let error = match state.open.as_mut() {
                Some(open) => match open.next().await {
                    Some(Ok(event)) => {
                        state.pause = Pause::default();
                        if !event.id.is_empty() {
                            state.last = Some(event.id.clone());
                        }
                        return Some((Said::Event(event), Some(state)));
                    }
                    Some(Err(error)) => error,
                    None => Error::Unreachable { message: "the device closed the stream".to_owned() },
                },
                None => {
                    tokio::time::sleep(state.wait).await;
                    let mut ask = (state.ask)().header(ACCEPT, "text/event-stream");
                    if let Some(last) = &state.last {
                        ask = ask.header(LAST_EVENT_ID, last);
                    }
                    match state.device.send(ask).await {
                        Ok(answer) => {
                            state.open = Some(events(answer));
                            continue;
                        }
                        Err(error) if may_pass(&error) => error,
                        Err(error) => return Some((Said::Failed(error), None)),
                    }
                }
            };
            // The first try after a loss is at once: another path may be there already.
            state.wait = if state.open.take().is_some() { Duration::ZERO } else { state.pause.next() };
            return Some((Said::Lost(error), Some(state)));
        }
    });
    steps.boxed()
}
