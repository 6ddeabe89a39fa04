//! HTTP/2 inside a channel: many requests at once, bodies that flow both ways with back-pressure, and a dead path
//! noticed within 15 s.
//!
//! Any byte stream does, which lets the benchmarks compare. This module must not know who may call or which
//! routes there are.

mod body;
mod client;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

pub use body::{Body, BodySender, BoxError};
pub use client::{Client, RequestFailed};

/// Bytes of one frame: one of them fills a record of a channel and a message of a WebSocket, so that a large file costs
/// few of each. What is typed has a link of its own and does not wait behind one.
const FRAME: u32 = 60 * 1024;
/// What one stream, and all together, may have on the way unread, in bytes.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Waiting in one stream's send buffer, in bytes: with the heads of its frames no more than one record of a channel,
/// so that others get their turn between, and no record is sent for a small rest.
const SEND_BUFFER: usize = 60 * 1024;
const STREAMS: u32 = 128;
const HEADERS: u32 = 16 * 1024;
/// A quiet peer is asked this often whether it lives, and has this long to say so.
const ASK_EVERY: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Answered by [`serve`] itself; what [`Client::ping`] measures with.
const PING_PATH: &str = "/.link/ping";

/// Serves one connection until its client is done or `stop` comes; then requests that run are finished first. Drop
/// the future to end those that would run for days. Each request gets a clone of `caller` among its extensions.
///
/// # Errors
/// When the connection broke.
pub async fn serve<IO, S, B, T>(
    io: IO,
    service: S,
    caller: T,
    stop: impl Future<Output = ()>,
) -> Result<(), hyper::Error>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    T: Clone + Send + Sync + 'static,
{
    let routes = TowerToHyperService::new(service);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller.clone());
        let routes = routes.clone();
        async move {
            if request.uri().path() == PING_PATH {
                return Ok(pong());
            }
            let response = hyper::service::Service::call(&routes, request).await?;
            Ok::<_, S::Error>(response.map(http_body_util::Either::Left))
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_frame_size(FRAME)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(ASK_EVERY)
        .keep_alive_timeout(ANSWER_WITHIN);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        done = &mut connection => return done,
        () = stop => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

fn pong<B>() -> Response<http_body_util::Either<B, http_body_util::Empty<Bytes>>> {
    let mut response = Response::new(http_body_util::Either::Right(http_body_util::Empty::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
