//! Requests and live streams.

use std::str::FromStr;

use foreman_client::RawAnswer;
use foreman_protocol::TaskId;
use futures_util::StreamExt;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use tauri::{
    State, Webview,
    ipc::{Channel, InvokeBody, InvokeResponseBody, JavaScriptChannelId, Request, Response},
};
use tokio::time::{Duration, Instant, timeout, timeout_at};
use ts_rs::TS;

use crate::{
    ask::{AnswerHead, AskHead, HEAD, PIECES, head_of, joined, pass_on},
    desk::Desk,
    failure::{AppCode, Failure},
    last_known,
    outputs::{self, KeptOutput},
};

/// Pieces that come faster go over together: each crossing costs the window as much as many lines do.
const PACE: Duration = Duration::from_millis(40);
/// What devices measured wakes the window so often at most, as long as nothing else is said: each of them reports at a
/// moment of its own, and nobody looks that closely at all of them.
const CALM: Duration = Duration::from_secs(10);
/// Where a server says what happens, measurements of all its devices among it.
const EVENTS: &str = "/api/v1/events";
/// As many bytes go over at once in any case.
const LOAD: usize = 256 * 1024;
/// The whole answer to a request has to be here within this.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// An open stream. Its pieces are raw bytes; the last message is a [`StreamEnd`].
#[derive(Debug, Clone, Serialize, TS)]
pub struct StreamHead {
    pub number: u32,
    pub answer: AnswerHead,
}

/// Why a stream ended; nothing when it was over.
#[derive(Debug, Clone, Serialize, TS)]
pub struct StreamEnd {
    pub failure: Option<Failure>,
}

/// Passes one request on; see [`crate::ask`] for the shape.
#[tauri::command]
pub async fn ask(desk: State<'_, Desk>, request: Request<'_>) -> Result<Response, Failure> {
    let (head, body) = asked(&request)?;
    let answer = async {
        let (head, body) = last_known::answer(&desk, head, body).await?;
        joined(&head, &body)
    };
    let late = |_| Failure::new(AppCode::Unreachable, "There was no answer in time.");
    Ok(Response::new(timeout(REQUEST_LIMIT, answer).await.map_err(late)??))
}

/// Head and body of what the window asks; see [`crate::ask`] for the shape.
fn asked(request: &Request<'_>) -> Result<(AskHead, Vec<u8>), Failure> {
    let head = percent_decode_str(said(request, HEAD)?).decode_utf8().map_err(|_| unknown())?;
    let head = serde_json::from_str(&head).map_err(|_| unknown())?;
    let InvokeBody::Raw(body) = request.body() else { return Err(unknown()) };
    Ok((head, body.clone()))
}

fn said<'a>(request: &'a Request<'_>, header: &str) -> Result<&'a str, Failure> {
    request.headers().get(header).and_then(|text| text.to_str().ok()).ok_or_else(unknown)
}

fn unknown() -> Failure {
    Failure::new(AppCode::Unreadable, "The window asked in a shape that is not known.")
}

/// Opens a stream, asked for as [`ask`] is; what it says goes into the channel that the window named.
#[tauri::command]
pub async fn open_stream(
    desk: State<'_, Desk>,
    webview: Webview,
    request: Request<'_>,
) -> Result<StreamHead, Failure> {
    let (head, body) = asked(&request)?;
    let pieces = JavaScriptChannelId::from_str(said(&request, PIECES)?).map_err(|_| unknown())?;
    let pieces = pieces.channel_on(webview);
    let late = |_| Failure::new(AppCode::Unreachable, "There was no answer in time.");
    let output = outputs::Reader::of(&desk, &head).await;
    let calm = head.device.is_none() && head.path.split('?').next() == Some(EVENTS);
    let answer = timeout(REQUEST_LIMIT, pass_on(&desk, head, body)).await.map_err(late)??;
    let head = StreamHead { number: desk.streams.number(), answer: head_of(&answer) };
    let task = tokio::spawn(pour(answer, pieces, output, if calm { CALM } else { PACE }));
    desk.streams.put(head.number, task.abort_handle());
    Ok(head)
}

/// What a task last said, where nobody answers.
#[tauri::command]
pub async fn kept_output(desk: State<'_, Desk>, task: TaskId) -> Result<Option<KeptOutput>, Failure> {
    Ok(outputs::kept(&desk, task).await)
}

/// `calm`: how long what was only measured may wait for more.
async fn pour(
    mut answer: RawAnswer,
    pieces: Channel<InvokeResponseBody>,
    output: Option<outputs::Reader>,
    calm: Duration,
) {
    let mut failure = None;
    let mut due = Due { soon: Instant::now(), calm: Instant::now() };
    let mut more = true;
    while more {
        let mut load = Vec::new();
        more = gather(&mut answer, due, &mut load).await.unwrap_or_else(|error| {
            failure = Some(Failure::from(error));
            false
        });
        if let Some(output) = &output
            && !load.is_empty()
        {
            output.push(&load);
        }
        if !load.is_empty() && pieces.send(InvokeResponseBody::Raw(load)).is_err() {
            return;
        }
        due = Due { soon: Instant::now() + PACE, calm: Instant::now() + calm };
    }
    let end = serde_json::to_string(&StreamEnd { failure }).unwrap_or_else(|_| "null".to_owned());
    let _ = pieces.send(InvokeResponseBody::Json(end));
}

/// Until when more is waited for.
#[derive(Debug, Clone, Copy)]
struct Due {
    soon: Instant,
    /// While there are measurements only.
    calm: Instant,
}

impl Due {
    fn of(self, load: &[u8]) -> Instant {
        if is_measured_only(load) { self.calm } else { self.soon }
    }
}

/// Whole measurements of devices, and nothing else.
fn is_measured_only(load: &[u8]) -> bool {
    const SAMPLE: &[u8] = b"event: sample\n";
    const END: &[u8] = b"\n\n";
    load.starts_with(SAMPLE)
        && load.ends_with(END)
        && load.windows(END.len()).enumerate().filter(|(_, two)| *two == END).all(|(at, _)| {
            let rest = &load[at + END.len()..];
            rest.is_empty() || rest.starts_with(SAMPLE)
        })
}

/// The next piece as soon as it is there, with all that comes until it is due; false when it was the last.
async fn gather(answer: &mut RawAnswer, due: Due, load: &mut Vec<u8>) -> Result<bool, foreman_client::Error> {
    loop {
        let next = if load.is_empty() {
            answer.body.next().await
        } else {
            match timeout_at(due.of(load), answer.body.next()).await {
                Ok(next) => next,
                Err(_) => return Ok(true),
            }
        };
        let Some(piece) = next else { return Ok(false) };
        load.extend_from_slice(&piece?);
        if load.len() >= LOAD || Instant::now() >= due.of(load) {
            return Ok(true);
        }
    }
}

#[tauri::command]
pub fn close_stream(desk: State<'_, Desk>, number: u32) {
    if let Some(task) = desk.streams.take(number) {
        task.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const SAMPLE: &str = "event: sample\ndata: {\"device_id\":\"a\"}\n\n";
    const EVENT: &str = "event: event\nid: 7\ndata: {}\n\n";

    #[test]
    fn only_whole_measurements_wait() {
        assert!(is_measured_only(SAMPLE.as_bytes()));
        assert!(is_measured_only(SAMPLE.repeat(3).as_bytes()));
        for other in [
            "",
            EVENT,
            &format!("{SAMPLE}{EVENT}"),
            &format!("{EVENT}{SAMPLE}"),
            &format!("{SAMPLE}event: sa"),
            &SAMPLE[..20],
        ] {
            assert!(!is_measured_only(other.as_bytes()), "{other}");
        }
    }

    /// Pieces, and how long after the one before each comes.
    fn answer(pieces: &'static [(&'static str, u64)]) -> RawAnswer {
        let body = stream::iter(pieces).then(|(text, after)| async move {
            tokio::time::sleep(Duration::from_millis(*after)).await;
            Ok(text.as_bytes().to_vec().into())
        });
        RawAnswer { status: 200, headers: Default::default(), body: body.chain(stream::pending()).boxed() }
    }

    #[tokio::test]
    async fn ten_reports_wake_the_window_once_and_an_event_is_told_at_once() {
        let reports: &[(&str, u64)] = &[(SAMPLE, 0); 10];
        let now = Instant::now();
        let due = Due { soon: now, calm: now + Duration::from_millis(300) };
        let mut load = Vec::new();
        assert!(gather(&mut answer(reports), due, &mut load).await.unwrap());
        assert_eq!(load, SAMPLE.repeat(10).as_bytes());
        assert!(Instant::now() >= due.calm, "more could have come until then");

        let now = Instant::now();
        let due = Due { soon: now, calm: now + Duration::from_secs(600) };
        let mut load = Vec::new();
        assert!(gather(&mut answer(&[(SAMPLE, 0), (EVENT, 20)]), due, &mut load).await.unwrap());
        assert_eq!(load, [SAMPLE, EVENT].concat().as_bytes(), "what happened takes along what was measured");
    }
}
