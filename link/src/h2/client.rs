//! The side that asks.

use std::time::{Duration, Instant};

use hyper::{Request, Response, StatusCode, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

use super::{
    ANSWER_WITHIN, ASK_EVERY, Body, CONNECTION_WINDOW, FRAME, HEADERS, PING_PATH, SEND_BUFFER, STREAM_WINDOW,
};

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestFailed {
    #[error("the connection to the device broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the device did not answer within {} seconds", ANSWER_WITHIN.as_secs())]
    TimedOut,
    #[error("the device answered {0} where nothing but a sign of life was expected")]
    Unexpected(StatusCode),
}

/// Sends requests over one connection. Clones share it; it ends when the last one and all bodies are gone.
#[derive(Debug, Clone)]
pub struct Client {
    sender: http2::SendRequest<Body>,
    closed: watch::Receiver<bool>,
}

impl Client {
    /// Begins HTTP/2 on a byte stream that is ready.
    ///
    /// # Errors
    /// When it broke already.
    pub async fn start<IO>(io: IO) -> Result<Self, RequestFailed>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_frame_size(FRAME)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEADERS)
            .keep_alive_interval(ASK_EVERY)
            .keep_alive_timeout(ANSWER_WITHIN)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(io))
            .await?;
        let (alive, closed) = watch::channel(false);
        tokio::spawn(async move {
            // Who waits for an answer gets the error there.
            let _ = connection.await;
            alive.send_replace(true);
        });
        Ok(Self { sender, closed })
    }

    /// Sends a request. The answer's head may come while the request's body still flows. The address needs no host:
    /// `Request::get("/terminals")`.
    ///
    /// # Errors
    /// When the connection breaks; an answer that is an error is an answer.
    pub async fn request(&self, mut request: Request<Body>) -> Result<Response<Incoming>, RequestFailed> {
        if request.uri().authority().is_none() {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            if let Ok(whole) = format!("http://device{path}").parse() {
                *request.uri_mut() = whole;
            }
        }
        let mut sender = self.sender.clone();
        sender.ready().await?;
        Ok(sender.send_request(request).await?)
    }

    /// How long there and back takes now.
    ///
    /// # Errors
    /// When no answer comes within 5 s.
    pub async fn ping(&self) -> Result<Duration, RequestFailed> {
        let started = Instant::now();
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = hyper::Uri::from_static(PING_PATH);
        let response = tokio::time::timeout(ANSWER_WITHIN, self.request(request))
            .await
            .map_err(|_| RequestFailed::TimedOut)??;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(started.elapsed()),
            other => Err(RequestFailed::Unexpected(other)),
        }
    }

    /// Resolves when the connection has ended, for whatever reason.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        // The other end is only ever dropped after it has said so, or with the runtime.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }
}
