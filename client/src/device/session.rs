//! One sealed connection to a device over one path, and requests over it.
//!
//! A session that its keeper gave up fails everything that still waits on it at once, so that it goes on over another
//! path instead of waiting for a time-out.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use foreman_link::h2::{self, RequestFailed};
use foreman_protocol::Level;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::Request;
use tokio_util::sync::CancellationToken;

use super::{
    ask::{Answer, Ask, Content},
    dial::Candidate,
};
use crate::Error;

pub(super) struct Session {
    pub candidate: Candidate,
    /// What the device lets this client do over it.
    pub level: Level,
    client: h2::Client,
    given_up: CancellationToken,
    latency_us: AtomicU64,
}

impl Session {
    pub fn new(candidate: Candidate, level: Level, client: h2::Client) -> Self {
        Self { candidate, level, client, given_up: CancellationToken::new(), latency_us: AtomicU64::new(0) }
    }

    /// There and back, measured now.
    pub async fn ping(&self, limit: Duration) -> Result<Duration, String> {
        let latency = tokio::time::timeout(limit, self.client.ping())
            .await
            .map_err(|_| format!("nothing came back for {} ms", limit.as_millis()))?
            .map_err(|error| error.to_string())?;
        self.latency_us.store(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX), Relaxed);
        Ok(latency)
    }

    /// As measured last.
    pub fn latency(&self) -> Option<Duration> {
        match self.latency_us.load(Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us)),
        }
    }

    /// Fails all that waits on this session.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    pub fn is_over(&self) -> bool {
        self.given_up.is_cancelled() || self.client.is_closed()
    }

    pub async fn closed(&self) {
        tokio::select! {
            () = self.given_up.cancelled() => {}
            () = self.client.closed() => {}
        }
    }

    pub async fn send(&self, ask: Ask) -> Result<Answer, Error> {
        let invalid = |error: hyper::http::Error| Error::Invalid { message: error.to_string() };
        let mut request =
            Request::builder().method(ask.method.clone()).uri(ask.path_and_query()).body(ask.body.into());
        if let Ok(request) = &mut request {
            request.headers_mut().extend(ask.headers);
        }
        let request = request.map_err(invalid)?;
        let response = tokio::select! {
            answer = self.client.request(request) => answer.map_err(unreachable)?,
            () = self.given_up.cancelled() => return Err(lost()),
        };
        let (head, body) = response.into_parts();
        let body = body.into_data_stream().map(|chunk| chunk.map_err(|error| broken(&error)));
        let gone = stream::once(self.given_up.clone().cancelled_owned()).map(|()| Err(lost()));
        // The body's own end comes through; giving up puts an error in its place.
        let watched = stream::select(body.map(Some).chain(stream::iter([None])), gone.map(Some));
        let body =
            watched.take_while(|chunk| std::future::ready(chunk.is_some())).filter_map(std::future::ready);
        Ok(Answer { status: head.status, headers: head.headers, body: body.boxed() })
    }
}

fn lost() -> Error {
    Error::Unreachable { message: "the path to the device is gone".to_owned() }
}

fn broken(error: &dyn std::error::Error) -> Error {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    Error::Unreachable { message: format!("the connection to the device broke off: {deepest}") }
}

fn unreachable(error: RequestFailed) -> Error {
    match error {
        RequestFailed::Broken(error) => broken(&error),
        other => Error::Unreachable { message: other.to_string() },
    }
}

/// A request's body on the link.
impl From<Content> for h2::Body {
    fn from(content: Content) -> Self {
        match content {
            Content::None => h2::Body::empty(),
            Content::Whole(bytes) => bytes.into(),
            Content::Stream(pieces) => h2::Body::from_stream::<std::io::Error>(pieces),
        }
    }
}
