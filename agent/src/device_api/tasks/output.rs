//! A task's output from any byte on, in pieces or live, as the server gives it too. What the server has acknowledged may
//! be gone here; a reader is told of the gap.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use foreman_machine::run::{Moment, OutputReader, Piece};
use foreman_protocol::{
    Level, OutputChunk, OutputGap, PING_INTERVAL_S, ProblemCode, StreamPing, Task, TaskId,
};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Interval, MissedTickBehavior, interval},
};

use super::{Desk, IdOf, STREAMS, gone, id_of};
use crate::device_api::{ApiError, ApiResult, Caller};

/// The most bytes one plain read returns unless a smaller limit is asked for.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// Bytes in one message of a live reader.
const STEP_BYTES: usize = 256 * 1024;
/// How long the policy that was read last holds for an output that is followed.
const POLICY_READ_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
pub struct Wanted {
    offset: Option<u64>,
    limit: Option<usize>,
}

pub async fn read(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: IdOf,
    wanted: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    caller.need(Level::View)?;
    may_read(&desk)?;
    let id = id_of(id)?;
    let Query(wanted) = wanted.map_err(|rejection| ApiError::invalid("query", rejection.body_text()))?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text("accept").contains("text/event-stream") {
        let offset = text("last-event-id").parse().ok().or(wanted.offset).unwrap_or_default();
        return live(desk, id, offset);
    }
    let task = desk.tasks.get(id)?;
    let mut offset = wanted.offset.unwrap_or_default();
    let limit = wanted.limit.unwrap_or(READ_BYTES).clamp(1, READ_BYTES);
    let mut reader = desk.tasks.reader(id);
    let mut piece = reader.read(offset, limit).map_err(unreadable)?;
    if let Piece::Gap { to } = piece {
        offset = to;
        piece = reader.read(offset, limit).map_err(unreadable)?;
    }
    let data = if let Piece::Bytes(bytes) = piece { bytes } else { Vec::new() };
    let next = offset + data.len() as u64;
    let mut response = data.into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    out.insert("x-output-start", HeaderValue::from(offset));
    out.insert("x-output-next", HeaderValue::from(next));
    if let Some(total) = task.output_total {
        out.insert("x-output-total", HeaderValue::from(total));
    }
    Ok(response)
}

/// What a task says is not more secret than what a terminal or a log would show.
fn may_read(desk: &Desk) -> ApiResult<()> {
    desk.device.allow("ALLOW_BASH", |policy| policy.allow_bash || policy.allow_logs).map(drop)
}

fn unreadable(error: std::io::Error) -> ApiError {
    ApiError::internal(&anyhow::anyhow!("the output of a task cannot be read: {error}"))
}

fn live(desk: Desk, id: TaskId, offset: u64) -> ApiResult<Response> {
    let task = desk.tasks.board.watch(id).ok_or_else(gone)?;
    let Ok(permit) = desk.tasks.streams.clone().try_acquire_owned() else {
        let message = format!(
            "{STREAMS} outputs of this device are followed already. Close one of them, then try again."
        );
        return Err(ApiError::new(ProblemCode::Unavailable, message).with(json!({ "limit": STREAMS })));
    };
    let ticks = |every: Duration| {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        ticks
    };
    let reader = Reader {
        output: desk.tasks.reader(id),
        id,
        task,
        offset,
        told: None,
        pings: ticks(Duration::from_secs(PING_INTERVAL_S)),
        looks: ticks(POLICY_READ_EVERY),
        over: false,
        desk,
        _permit: permit,
    };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(events).into_response())
}

/// One stream. It sends `task` at each change of it, `output` and `gap`, and `end` with the task when all is said.
struct Reader {
    desk: Desk,
    id: TaskId,
    task: watch::Receiver<Task>,
    output: OutputReader,
    /// Bytes that were sent.
    offset: u64,
    /// The task as it was sent last.
    told: Option<Task>,
    pings: Interval,
    looks: Interval,
    over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        while !self.over {
            let task = self.task.borrow_and_update().clone();
            if self.told.as_ref() != Some(&task) {
                self.told = Some(task);
                return Some(event("task", &self.desk.tasks.with_output(self.told.clone()?)));
            }
            if let Some(event) = self.piece(&task) {
                return Some(event);
            }
            tokio::select! {
                // First, so that an output that grows fast does not go on for it.
                biased;
                _ = self.looks.tick() => {
                    // What the device forbids holds for those who read already, too.
                    if may_read(&self.desk).is_err() {
                        self.over = true;
                    }
                }
                // Gone from here once the server has all of it: there the reader goes on.
                changed = self.task.changed() => self.over = changed.is_err(),
                _ = self.pings.tick() => {
                    return Some(event("ping", &StreamPing { server_time: Moment::now().wall_ms }));
                }
            }
        }
        None
    }

    fn piece(&mut self, task: &Task) -> Option<Event> {
        match self.output.read(self.offset, STEP_BYTES) {
            Ok(Piece::Bytes(bytes)) => {
                let chunk = OutputChunk { offset: self.offset, data: STANDARD.encode(&bytes) };
                self.offset += bytes.len() as u64;
                Some(event("output", &chunk).id(self.offset.to_string()))
            }
            Ok(Piece::Gap { to }) => {
                let gap = OutputGap { from: self.offset, to };
                self.offset = to;
                Some(event("gap", &gap).id(to.to_string()))
            }
            Ok(Piece::NothingYet) => {
                let all = task.output_total.is_none_or(|total| self.offset >= total);
                (task.state.is_final() && all).then(|| {
                    self.over = true;
                    event("end", &self.desk.tasks.with_output(task.clone()))
                })
            }
            Err(error) => {
                tracing::warn!(task.id = %self.id, %error, "the output of a task cannot be read");
                self.over = true;
                None
            }
        }
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).json_data(data).unwrap_or_default()
}
