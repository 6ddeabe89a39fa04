//! One viewer of a terminal over one request: its frames in the request's body, the device's in the response's.

use std::{io, time::Duration};

use axum::{
    Extension,
    body::{Body, BodyDataStream, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use bytes::{Buf, BytesMut};
use foreman_machine::terminal::{AttachError, Typing, Watching};
use foreman_protocol::{Level, ProblemCode, ProblemReason, TerminalFrame};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio::{
    task::JoinHandle,
    time::{Instant, Interval, MissedTickBehavior, interval},
};

use super::{ALLOW_BASH, Desk, IdOf, gone, id_of};
use crate::device_api::{ApiError, ApiResult, Caller};

/// How long the policy that was read last holds for what is shown and typed.
const POLICY_READ_EVERY: Duration = Duration::from_secs(1);
/// Frames shorter than this take the next one with them, bytes.
const LITTLE: usize = 64;

#[derive(Debug, Deserialize)]
pub(super) struct AttachQuery {
    #[serde(default)]
    from: u64,
    writer: Option<String>,
}

pub(super) async fn attach(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: IdOf,
    query: Result<Query<AttachQuery>, QueryRejection>,
    body: Body,
) -> ApiResult<Response> {
    caller.need(Level::View)?;
    desk.device.allow(ALLOW_BASH, |policy| policy.allow_bash)?;
    let id = id_of(id)?;
    let Query(query) = query.map_err(|error| ApiError::invalid("query", error.body_text()))?;
    let writer = query.writer.as_deref().filter(|_| caller.level >= Level::Operate);
    let (typing, watching) = desk.terminals.attach(id, query.from, writer).map_err(not_attached)?;
    let mut looks = interval(POLICY_READ_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.reset();
    let reading = tokio::spawn(read(desk.clone(), typing, body.into_data_stream()));
    let viewer = Viewer { desk, watching, reading, looks, listens: true };
    let frames = stream::unfold(Some(viewer), |viewer| async {
        let mut viewer = viewer?;
        let next = viewer.next().await?;
        let goes_on = next.is_ok();
        Some((next, goes_on.then_some(viewer)))
    });
    let kind = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((kind, Body::from_stream(frames)).into_response())
}

fn not_attached(error: AttachError) -> ApiError {
    match error {
        AttachError::NotFound => gone(),
        AttachError::TooMany => {
            ApiError::new(ProblemCode::LimitReached, error.to_string()).because(ProblemReason::ViewersMany)
        }
        AttachError::Writer => ApiError::invalid("writer", error.to_string()),
    }
}

struct Viewer {
    desk: Desk,
    watching: Watching,
    reading: JoinHandle<Result<(), Cut>>,
    /// When the policy is asked: one alarm that stays set, whatever is shown meanwhile.
    looks: Interval,
    /// Whether something may still come from the client.
    listens: bool,
}

/// Why a viewer is cut off.
type Cut = &'static str;

const UNREADABLE: Cut = "a terminal frame cannot be read";
const NOT_ALLOWED: Cut = "this device does not run commands any more: ALLOW_BASH is off";

impl Viewer {
    /// Word of a key and its echo go as one piece.
    fn with_more(&mut self, first: &TerminalFrame) -> Bytes {
        let mut bytes = first.encode_with_length();
        while bytes.len() < LITTLE
            && let Some(frame) = self.watching.next_at_once()
        {
            bytes.append(&mut frame.encode_with_length());
        }
        bytes.into()
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            tokio::select! {
                // First, so that what prints fast does not go on for it.
                biased;
                _ = self.looks.tick() => if let Err(cut) = allowed(&self.desk) {
                    return Some(Err(io::Error::other(cut)));
                },
                frame = self.watching.next() => return frame.map(|frame| Ok(self.with_more(&frame))),
                read = &mut self.reading, if self.listens => {
                    self.listens = false;
                    if let Ok(Err(cut)) = read {
                        return Some(Err(io::Error::other(cut)));
                    }
                }
            }
        }
    }
}

/// What the device forbids holds for those who are attached, too.
fn allowed(desk: &Desk) -> Result<(), Cut> {
    desk.device.allow(ALLOW_BASH, |policy| policy.allow_bash).map(|_| ()).map_err(|_| NOT_ALLOWED)
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Does what the client's frames say, until it sends no more.
async fn read(desk: Desk, typing: Typing, mut body: BodyDataStream) -> Result<(), Cut> {
    let mut buffer = BytesMut::new();
    let mut policy_read = Instant::now();
    while let Some(Ok(data)) = body.next().await {
        buffer.extend_from_slice(&data);
        // At most one is kept that is not whole, with what came behind it in the same piece.
        while let Some((frame, length)) = TerminalFrame::decode_first(&buffer).map_err(|_| UNREADABLE)? {
            buffer.advance(length);
            if policy_read.elapsed() >= POLICY_READ_EVERY {
                policy_read = Instant::now();
                allowed(&desk)?;
            }
            if let TerminalFrame::Input { data, .. } = &frame {
                desk.device.precedence.typed(data.len());
            }
            typing.send(frame).await;
        }
    }
    Ok(())
}
