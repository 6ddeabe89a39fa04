//! Live streams of a device: opened over the best path, and again after the last event when it dies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use eventsource_stream::{Event, Eventsource};
use foreman_link::sse::SILENCE_LIMIT;
use foreman_protocol::ProblemCode;
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

/// No event of a device is longer, in bytes: memory stays bounded whatever it sends.
const LONGEST_EVENT: usize = 1024 * 1024;

/// The events of one answer. A silence of three missed pings is an error, and so is an event without an end.
pub(super) fn events(answer: Answer) -> BoxStream<'static, Result<Event, Error>> {
    // Bytes since the last whole event.
    let read = Arc::new(AtomicUsize::new(0));
    let begun = Arc::clone(&read);
    let body = answer.body.map(move |chunk| {
        let chunk = chunk?;
        match begun.fetch_add(chunk.len(), Relaxed) + chunk.len() {
            length if length > LONGEST_EVENT => Err(Error::TooLong { limit: LONGEST_EVENT }),
            _ => Ok(chunk),
        }
    });
    let events = body.eventsource().map(move |event| {
        read.store(0, Relaxed);
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

/// What a device says by "unavailable" before it has said anything else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unavailable {
    /// It has too much to do, or is about to end.
    Passes,
    /// It has not got what is asked for, and that is not waited for.
    Stays,
}

/// Whether asking again later may help.
fn may_pass(error: &Error, was_open: bool, unavailable: Unavailable) -> bool {
    let not_there =
        !was_open && unavailable == Unavailable::Stays && error.code() == Some(ProblemCode::Unavailable);
    !not_there && (error.is_transient() || matches!(error, Error::Malformed { .. }))
}

/// Keeps a stream open for as long as it is polled, each time after the last event it gave.
pub(super) fn resuming(
    device: DeviceConnection,
    ask: impl Fn() -> Ask + Send + Sync + 'static,
    unavailable: Unavailable,
) -> BoxStream<'static, Said> {
    struct State<F> {
        device: DeviceConnection,
        ask: F,
        last: Option<String>,
        was_open: bool,
        open: Option<BoxStream<'static, Result<Event, Error>>>,
        pause: Pause,
        wait: Duration,
    }
    let state = State {
        device,
        ask,
        last: None,
        was_open: false,
        open: None,
        pause: Pause::default(),
        wait: Duration::ZERO,
    };
    let steps = stream::unfold(Some(state), move |state| async move {
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
                            state.was_open = true;
                            continue;
                        }
                        Err(error) if may_pass(&error, state.was_open, unavailable) => error,
                        Err(error) => return Some((Said::Failed(error), None)),
                    }
                }
            };
            // It would be as long again.
            if matches!(error, Error::TooLong { .. }) {
                return Some((Said::Failed(error), None));
            }
            // The first try after a loss is at once: another path may be there already.
            state.wait = if state.open.take().is_some() { Duration::ZERO } else { state.pause.next() };
            return Some((Said::Lost(error), Some(state)));
        }
    });
    steps.boxed()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::{StatusCode, header::HeaderMap};

    use super::*;

    fn answer(chunks: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Answer {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: chunks.map(Ok).boxed() }
    }

    #[tokio::test]
    async fn an_event_without_an_end_is_not_collected() {
        let line = Bytes::from_static(&[b'x'; 64 * 1024]);
        let endless = stream::iter([Bytes::from_static(b"data: 1\n\ndata: ")]);
        let mut events = events(answer(endless.chain(stream::repeat(line))));
        assert_eq!(events.next().await.unwrap().unwrap().data, "1");
        let error = events.next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::TooLong { limit: LONGEST_EVENT }), "{error}");
        assert!(!may_pass(&error, true, Unavailable::Passes), "it would be as long again");
    }

    #[tokio::test]
    async fn many_events_may_be_longer_together() {
        let piece = Bytes::from([b"data: ", [b'x'; 60 * 1024].as_slice(), b"\n\n"].concat());
        let all = events(answer(stream::iter(vec![piece; 100])));
        assert_eq!(all.filter(|event| std::future::ready(event.is_ok())).count().await, 100);
    }
}
