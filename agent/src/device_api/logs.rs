//! `GET /logs` and `GET /logs/stream`: the logs of this machine for whoever may look.
//!
//! What a log is and how it is read is [`foreman_machine::logs`]'s; here are the rights, the limits and the wire form.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::sse::{Event, Sse},
    routing::get,
};
use foreman_machine::{
    logs::{Item, LINES, LogStream, Logs, OpenError, Request, Why},
    run::Moment,
};
use foreman_protocol::{
    Level, LogEnd, LogLevel, LogReason, LogSources, PING_INTERVAL_S, ProblemCode, StreamPing,
};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::{ApiError, ApiResult, Caller, Device, Sharer};
use crate::places::{Full, Place, Places};

/// Logs that are read at the same time, by everyone together.
const STREAMS: usize = 64;
const SETTING: &str = "ALLOW_LOGS";
/// How long the policy that was read last holds for a log that is followed.
const POLICY_READ_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Shelf {
    device: Arc<Device>,
    logs: Arc<Logs>,
    streams: Arc<Places<Sharer>>,
}

/// `/logs` and what is beneath.
pub fn router(device: Arc<Device>, logs: Arc<Logs>) -> Router {
    let streams = Arc::new(Places::new(STREAMS));
    Router::new().route("/logs", get(sources)).route("/logs/stream", get(read)).with_state(Shelf {
        device,
        logs,
        streams,
    })
}

#[derive(Debug, Deserialize)]
struct Wanted {
    source: String,
    #[serde(default = "lines")]
    lines: usize,
    grep: Option<String>,
    level: Option<LogLevel>,
    #[serde(default = "follow")]
    follow: bool,
}

const fn lines() -> usize {
    LINES
}

const fn follow() -> bool {
    true
}

async fn sources(
    State(shelf): State<Shelf>,
    Extension(caller): Extension<Caller>,
) -> ApiResult<Json<LogSources>> {
    caller.need(Level::View)?;
    shelf.device.allow(SETTING, |policy| policy.allow_logs)?;
    Ok(Json(shelf.logs.sources().await))
}

async fn read(
    State(shelf): State<Shelf>,
    Extension(caller): Extension<Caller>,
    wanted: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>> {
    caller.need(Level::View)?;
    shelf.device.allow(SETTING, |policy| policy.allow_logs)?;
    let Query(wanted) = wanted.map_err(|rejection| ApiError::invalid("query", rejection.body_text()))?;
    let (who, most) = caller.share(STREAMS);
    let place = shelf.streams.take(who, most).map_err(|full| {
        let (code, limit, so) = match full {
            Full::Share => (
                ProblemCode::LimitReached,
                most,
                format!("You read {most} logs of this device already, as many as one may"),
            ),
            Full::All => {
                (ProblemCode::Unavailable, STREAMS, format!("{STREAMS} logs of this device are read already"))
            }
        };
        ApiError::new(code, format!("{so}. Close one of them, then try again."))
            .with(json!({ "limit": limit, "reason": LogReason::TooManyReaders }))
    })?;
    let after = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let request = Request {
        source: wanted.source.clone(),
        lines: wanted.lines,
        grep: wanted.grep,
        level: wanted.level,
        follow: wanted.follow,
        after: after.filter(|after| !after.is_empty()),
    };
    let lines = shelf.logs.open(request).await?;
    let mut pings = interval(Duration::from_secs(PING_INTERVAL_S));
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once; a stream begins with its lines.
    pings.reset();
    let mut looks = interval(POLICY_READ_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.reset();
    let source = wanted.source;
    let reader = Reader { shelf, source, lines, pings, looks, reached: None, over: false, _place: place };
    Ok(Sse::new(stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    })))
}

/// One stream. It goes with the response, and takes the source with it.
struct Reader {
    shelf: Shelf,
    source: String,
    lines: LogStream,
    pings: Interval,
    /// When the policy is asked.
    looks: Interval,
    reached: Option<String>,
    over: bool,
    _place: Place,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        while !self.over {
            tokio::select! {
                // First, so that a log that is written fast does not go on for it.
                biased;
                _ = self.looks.tick() => if let Err(error) = self.still_allowed().await {
                    return Some(self.end(forbidden(error)));
                },
                item = self.lines.next() => match item? {
                    Item::Line { line, cursor } => {
                        self.reached = None;
                        return Some(event("line", &line).id(cursor));
                    }
                    Item::Gap => return Some(event("gap", &json!({}))),
                    Item::Reached(cursor) => self.reached = Some(cursor),
                    Item::End(why) => return Some(self.end(why.map(told).unwrap_or_default())),
                },
                _ = self.pings.tick() => {
                    let ping = event("ping", &StreamPing { server_time: Moment::now().wall_ms });
                    return Some(match self.reached.take() {
                        Some(cursor) => ping.id(cursor),
                        None => ping,
                    });
                }
            }
        }
        None
    }

    /// What the device forbids holds for those who read already, too.
    async fn still_allowed(&self) -> ApiResult<()> {
        self.shelf.device.allow(SETTING, |policy| policy.allow_logs)?;
        Ok(self.shelf.logs.still_allowed(&self.source).await?)
    }

    fn end(&mut self, last: LogEnd) -> Event {
        self.over = true;
        event("end", &last)
    }
}

fn told(Why { reason, detail, text }: Why) -> LogEnd {
    LogEnd { reason: Some(text), code: Some(reason), detail }
}

/// The policy's last word to somebody who reads.
fn forbidden(error: ApiError) -> LogEnd {
    let setting = error.details.and_then(|details| details["setting"].as_str().map(str::to_owned));
    LogEnd { reason: Some(error.message), code: Some(LogReason::Forbidden), detail: setting }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).json_data(data).unwrap_or_default()
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        let message = error.to_string();
        match error {
            OpenError::Invalid { field, .. } => Self::invalid(field, message),
            OpenError::NotFound(_) => Self::new(ProblemCode::NotFound, message),
            OpenError::Refused { setting, .. } => {
                Self::new(ProblemCode::PolicyForbids, message).with(json!({ "setting": setting }))
            }
            OpenError::Unavailable(Why { reason, detail, .. }) => {
                Self::new(ProblemCode::Unavailable, message)
                    .with(json!({ "reason": reason, "detail": detail }))
            }
        }
    }
}
