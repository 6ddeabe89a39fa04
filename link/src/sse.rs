//! A live stream that resumes by itself.
//!
//! [`subscribe`] keeps one server-sent-event stream open for as long as it is polled. When it breaks it says so
//! ([`Update::Lost`]), waits with jitter, asks again with fresh headers and the last event's id, and goes on where
//! it stood. Nothing is ever fatal here: a caller who knows better (deleted, forbidden) drops the subscription.

mod attempt;
mod pause;
mod transport;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use reqwest::header::HeaderMap;

use crate::http::RequestError;
use attempt::Attempt;
use pause::Pause;
use transport::OverReqwest;

/// A stream that says nothing at all for this long is dead. Servers speak every
/// [`foreman_protocol::PING_INTERVAL_S`] seconds, so three of them were missed.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(3 * foreman_protocol::PING_INTERVAL_S);

/// What a subscription tells its caller.
#[derive(Debug, Clone)]
pub enum Update {
    /// The server accepted; events follow.
    Opened,
    Event(Event),
    /// The stream is gone. The next attempt starts after `retry_in`, counted from when the stream is polled again.
    Lost {
        error: StreamError,
        retry_in: Duration,
    },
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The `event:` name, `message` when the server gave none.
    pub name: String,
    /// The id in force: the event's own, or that of the last event which had one on this connection.
    pub id: Option<String>,
    pub data: String,
}

/// Why a stream was lost or not opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// No success: look at its status and code. Also what the headers' maker failed with.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The server closed it: a restart, or all is said.
    #[error("the server closed the stream")]
    Ended,
    /// It broke in the middle.
    #[error("the stream broke off: {0}")]
    Broken(String),
    /// Nothing came, not even a ping.
    #[error("nothing was heard for {} s", .0.as_secs())]
    Silent(Duration),
    /// What came is not an event stream, or one event is too large to hold.
    #[error("the stream could not be understood: {0}")]
    Malformed(String),
}

impl StreamError {
    /// The HTTP status, when there was an answer: 401, 403, 404 and 410 are for the caller to decide about.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            StreamError::Request(error) => error.status(),
            _ => None,
        }
    }
}

/// Makes the headers of one attempt: asked before each, so that a bearer can be renewed.
pub type HeaderSource = Box<dyn Fn() -> BoxFuture<'static, Result<HeaderMap, RequestError>> + Send + Sync>;

/// Where to listen and from where on.
pub struct Target {
    pub url: String,
    pub headers: HeaderSource,
    /// Sent as `Last-Event-ID` until the first event brings its own.
    pub last_event_id: Option<String>,
    /// See [`SILENCE_LIMIT`].
    pub silence_limit: Duration,
}

impl Target {
    /// A stream from its beginning, with the same headers on each attempt.
    #[must_use]
    pub fn new(url: impl Into<String>, headers: HeaderMap) -> Self {
        Self::with_headers(url, move || {
            let headers = headers.clone();
            async move { Ok(headers) }
        })
    }

    /// A stream from its beginning, with headers made afresh for each attempt.
    #[must_use]
    pub fn with_headers<F, Fut>(url: impl Into<String>, headers: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HeaderMap, RequestError>> + Send + 'static,
    {
        let headers: HeaderSource = Box::new(move || Box::pin(headers()));
        Self { url: url.into(), headers, last_event_id: None, silence_limit: SILENCE_LIMIT }
    }

    /// Goes on after this event.
    #[must_use]
    pub fn resume_after(mut self, id: Option<String>) -> Self {
        self.last_event_id = id;
        self
    }
}

/// A running subscription: poll it, or `next()` it in a `select!`; nothing is lost when the other branch wins.
/// It never ends by itself.
pub struct Subscription(BoxStream<'static, Update>);

impl Subscription {
    /// The next thing that happens.
    pub async fn next(&mut self) -> Update {
        match self.0.next().await {
            Some(update) => update,
            // The inner stream has no end; waiting forever is the honest answer if it had.
            None => std::future::pending().await,
        }
    }
}

impl Stream for Subscription {
    type Item = Update;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        self.0.poll_next_unpin(cx)
    }
}

/// Starts listening when first polled, and again after each loss.
#[must_use]
pub fn subscribe(client: reqwest::Client, target: Target) -> Subscription {
    let transport = OverReqwest::new(client, target.silence_limit);
    let state = State {
        last_event_id: target.last_event_id.clone(),
        target,
        transport,
        attempt: None,
        wait: Duration::ZERO,
        pause: Pause::new(),
    };
    Subscription(stream::unfold(state, |state| async move { Some(state.step().await) }).boxed())
}

struct State {
    target: Target,
    transport: OverReqwest,
    last_event_id: Option<String>,
    attempt: Option<Attempt>,
    /// Before the next attempt.
    wait: Duration,
    pause: Pause,
}

impl State {
    async fn step(mut self) -> (Update, Self) {
        let outcome = match self.attempt.take() {
            None => self.open().await,
            Some(attempt) => self.read(attempt).await,
        };
        let update = outcome.unwrap_or_else(|error| {
            self.wait = self.pause.after_loss();
            Update::Lost { error, retry_in: self.wait }
        });
        (update, self)
    }

    async fn open(&mut self) -> Result<Update, StreamError> {
        tokio::time::sleep(self.wait).await;
        let headers = (self.target.headers)().await?;
        let url = &self.target.url;
        let attempt =
            Attempt::open(self.transport.clone(), url, &headers, self.last_event_id.as_deref()).await?;
        self.attempt = Some(attempt);
        self.pause.opened();
        Ok(Update::Opened)
    }

    async fn read(&mut self, mut attempt: Attempt) -> Result<Update, StreamError> {
        let event = attempt.next().await?;
        self.pause.heard();
        if let Some(id) = event.id.as_ref().filter(|id| !id.is_empty()) {
            self.last_event_id = Some(id.clone());
        }
        self.attempt = Some(attempt);
        Ok(Update::Event(event))
    }
}

#[cfg(test)]
mod tests;
