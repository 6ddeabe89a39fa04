//! `/ollama/…`: the Ollama of this machine, as far as Foreman needs it: its lists, asking its models, pulling and
//! deleting them. Other addresses of it are not passed on, for some of them read and write files.
//!
//! Bodies flow both ways as they come. Whoever asked and goes away ends the request at Ollama, too.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
    routing::any,
};
use foreman_machine::probe::ollama_endpoint;
use foreman_protocol::{Level, ProblemCode};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::Limited;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::timeout,
};

use super::{ApiError, ApiResult, Caller, Device};

const SETTING: &str = "ALLOW_MODELS";
/// Requests passed on at once, by everyone together.
const MOST: usize = 128;
/// A question with its pictures, in bytes.
const QUESTION: usize = 64 * 1024 * 1024;
/// Ollama is on this machine, or near it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the policy that was read last holds for an answer that flows.
const POLICY_READ_EVERY: Duration = Duration::from_secs(1);

/// What is passed on, and the right it takes.
const PASSED: [(Method, &str, Level); 10] = [
    (Method::GET, "api/version", Level::View),
    (Method::GET, "api/tags", Level::View),
    (Method::GET, "api/ps", Level::View),
    (Method::POST, "api/show", Level::View),
    (Method::GET, "v1/models", Level::View),
    (Method::POST, "v1/chat/completions", Level::Operate),
    (Method::POST, "v1/messages", Level::Operate),
    (Method::POST, "v1/embeddings", Level::Operate),
    (Method::POST, PULL, Level::Operate),
    (Method::DELETE, DELETE, Level::Operate),
];
const PULL: &str = "api/pull";
const DELETE: &str = "api/delete";

#[derive(Clone)]
struct Models {
    device: Arc<Device>,
    /// Rung when models came or went.
    changed: Arc<Notify>,
    free: Arc<Semaphore>,
}

/// `/ollama/…`.
pub fn router(device: Arc<Device>, changed: Arc<Notify>) -> Router {
    let free = Arc::new(Semaphore::new(MOST));
    Router::new().route("/ollama/{*path}", any(pass)).with_state(Models { device, changed, free })
}

async fn pass(
    State(models): State<Models>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    request: Request,
) -> ApiResult<Response> {
    let of_path = || PASSED.iter().filter(|(_, passed, _)| *passed == path);
    let Some((method, path, level)) = of_path().find(|(method, ..)| method == request.method()) else {
        return Err(match of_path().next() {
            Some(_) => {
                ApiError::new(ProblemCode::MethodNotAllowed, "This address does not take this method.")
            }
            None => ApiError::not_found("address of Ollama that is passed on"),
        });
    };
    caller.need(*level)?;
    models.device.allow(SETTING, |policy| policy.allow_models)?;
    let place = Arc::clone(&models.free).try_acquire_owned().map_err(|_| {
        let message =
            format!("{MOST} requests to this device's models are under way. Try again in a moment.");
        ApiError::new(ProblemCode::Unavailable, message)
    })?;
    let changes = [PULL, DELETE].contains(path);
    if changes {
        tracing::info!(client = %caller.who(), %path, "a model is to change");
    }
    // Rings when it is dropped: at the end of the answer, or when whoever asked has gone.
    let changing = changes.then(|| Changing(Arc::clone(&models.changed)));
    let (answer, connection) = ask(method.clone(), path, request).await?;
    let (parts, body) = answer.into_parts();
    let under_way = UnderWay { _place: place, _connection: connection, _changing: changing };
    let mut response = Response::new(Body::from_stream(answered(body, models.device, under_way)));
    *response.status_mut() = parts.status;
    if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    Ok(response)
}

/// What lasts as long as the answer.
struct UnderWay {
    _place: OwnedSemaphorePermit,
    _connection: Connection,
    _changing: Option<Changing>,
}

struct Changing(Arc<Notify>);

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Drives a connection to Ollama and closes it when it is dropped, which ends what Ollama does for it.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn ask(
    method: Method,
    path: &str,
    request: Request,
) -> ApiResult<(axum::http::Response<Incoming>, Connection)> {
    let host = std::env::var("OLLAMA_HOST").ok();
    let endpoint = ollama_endpoint(host.as_deref())
        .ok_or_else(|| not_there("OLLAMA_HOST of the agent is not a plain HTTP address"))?;
    let authority = endpoint.strip_prefix("http://").unwrap_or(&endpoint);
    let stream = timeout(PATIENCE, TcpStream::connect(authority))
        .await
        .map_err(|_| not_there("the connection was not taken in time"))?
        .map_err(|error| not_there(&error.to_string()))?;
    // A token must not wait for the next.
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake::<_, Limited<Body>>(TokioIo::new(stream))
        .await
        .map_err(|error| not_there(&error.to_string()))?;
    let connection = Connection(tokio::spawn(async move {
        // Whoever waits for the answer gets the error there.
        let _ = connection.await;
    }));
    let (parts, body) = request.into_parts();
    let mut asked = axum::http::Request::new(Limited::new(body, QUESTION));
    *asked.method_mut() = method;
    *asked.uri_mut() = format!("/{path}").parse().map_err(|_| ApiError::not_found("address"))?;
    let host = HeaderValue::from_str(authority).map_err(|_| not_there("its address is not one"))?;
    asked.headers_mut().insert(header::HOST, host);
    for name in [header::CONTENT_TYPE, header::ACCEPT] {
        if let Some(value) = parts.headers.get(&name) {
            asked.headers_mut().insert(name, value.clone());
        }
    }
    let answer = sender.send_request(asked).await.map_err(|error| not_there(&error.to_string()))?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(not_there("it answered with another protocol"));
    }
    Ok((answer, connection))
}

fn not_there(why: &str) -> ApiError {
    ApiError::new(
        ProblemCode::ModelUnavailable,
        format!("Ollama on this device does not answer: {why}. Check that it runs."),
    )
}

/// The answer's pieces, for as long as the policy allows it. An answer that is cut off ends with an error: its end
/// would look like the end of what was asked for.
fn answered(
    body: Incoming,
    device: Arc<Device>,
    under_way: UnderWay,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let pieces = Body::new(body).into_data_stream().map_err(io::Error::other);
    let over = stream::once(forbidden(device))
        .map(|()| Some(Err(io::Error::other("the device no longer allows it"))));
    // The pieces' own end comes through.
    let all = stream::select(pieces.map(Some).chain(stream::iter([None])), over);
    all.take_while(|piece| std::future::ready(piece.is_some())).filter_map(std::future::ready).map(
        move |piece| {
            let _ = &under_way;
            piece
        },
    )
}

async fn forbidden(device: Arc<Device>) {
    loop {
        tokio::time::sleep(POLICY_READ_EVERY).await;
        if device.allow(SETTING, |policy| policy.allow_models).is_err() {
            return;
        }
    }
}
