//! `GET /api/v1/events`: the log live, from any position, without holes and without repeats.

use std::collections::VecDeque;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use bytes::Bytes;
use foreman_protocol::{StreamReady, TenantId};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::sync::broadcast;
use utoipa::IntoParams;

use super::hub::{self, Frame, Hub, READ_CHUNK};
use crate::{
    App,
    auth::Caller,
    db::{Db, now},
    extract::Query,
    problem::ApiResult,
};

/// A reader further behind than this is told to take a snapshot instead of being sent everything it missed.
pub const RETAINED: i64 = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
pub struct EventsQuery {
    /// Resume after this cursor, where the `Last-Event-ID` header cannot be sent.
    after: Option<i64>,
}

/// Live events as server-sent events.
///
/// Sends `ready` with the cursor everything will follow, then `event`, `sample`, `provider` and `ping`; `reset` when the
/// position asked for is no longer kept. Open the stream first, then take the snapshot, then apply deltas.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", params(EventsQuery),
    responses((status = 200, content_type = "text/event-stream", body = String)),
)]
pub async fn events(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<EventsQuery>,
) -> ApiResult<Response> {
    let tenant = caller.tenant;
    // Subscribe first, then read: what is committed in between arrives twice and is dropped once.
    let live = app.hub.subscribe(tenant);
    let head = hub::head(&app.db, tenant).await?;
    let asked = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .or(query.after)
        .filter(|cursor| (0..=head).contains(cursor) || *cursor < 0);
    let (start, kind) = match asked {
        Some(cursor) if cursor >= 0 && head - cursor <= RETAINED => (cursor, "ready"),
        Some(_) => (head, "reset"),
        None if headers.contains_key("last-event-id") || query.after.is_some() => (head, "reset"),
        None => (head, "ready"),
    };
    let ready = StreamReady { cursor: start, server_time: now(), version: crate::VERSION.to_owned() };
    // With its id: a reader that hears no event before it is cut off resumes here, too.
    let hello = hub::frame(kind, Some(start), &serde_json::to_string(&ready)?);
    let reader = Reader {
        db: app.db.clone(),
        hub: app.hub.clone(),
        tenant,
        live,
        sent: start,
        behind: start < head,
        ready: VecDeque::from([hello]),
        closing: app.closing.clone(),
        _open: OpenStream::new(),
    };
    Ok(sse(stream::unfold(reader, Reader::next).take_until(caller.ended(app))))
}

/// A response that proxies and browsers treat as an endless stream.
pub fn sse(frames: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static) -> Response {
    // Some layers ask once more after the end.
    let mut response = Response::new(Body::from_stream(frames.fuse()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    response
}

/// Counts open streams in the metrics for as long as it lives.
struct OpenStream;

impl OpenStream {
    fn new() -> Self {
        metrics::gauge!("foreman_event_readers").increment(1.0);
        Self
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!("foreman_event_readers").decrement(1.0);
    }
}

struct Reader {
    db: Db,
    hub: Hub,
    tenant: TenantId,
    live: broadcast::Receiver<Frame>,
    /// Everything up to this cursor was sent.
    sent: i64,
    /// Rows must be read before live frames may follow.
    behind: bool,
    ready: VecDeque<Bytes>,
    closing: tokio_util::sync::CancellationToken,
    _open: OpenStream,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some((Ok(bytes), self));
            }
            if self.behind {
                if self.closing.is_cancelled() {
                    return None;
                }
                if let Err(error) = self.read_rows().await {
                    tracing::warn!(%error, "an event stream could not read the log; its reader will resume");
                    return None;
                }
                continue;
            }
            match self.live.recv().await {
                Ok(frame) if frame.is_end() => return None,
                Ok(Frame { cursor: None, bytes }) => self.ready.push_back(bytes),
                Ok(Frame { cursor: Some(cursor), .. }) if cursor <= self.sent => {}
                Ok(Frame { cursor: Some(cursor), bytes }) if cursor == self.sent + 1 => {
                    self.sent = cursor;
                    self.ready.push_back(bytes);
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    // Start over with a fresh place in the queue before the rows are read.
                    self.live = self.hub.subscribe(self.tenant);
                    self.behind = true;
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    async fn read_rows(&mut self) -> ApiResult<()> {
        let records = hub::read_after(&self.db, self.tenant, self.sent, READ_CHUNK).await?;
        self.behind = records.len() as i64 == READ_CHUNK;
        for record in records {
            self.sent = record.cursor;
            self.ready.push_back(hub::event_frame(&record)?);
        }
        Ok(())
    }
}
