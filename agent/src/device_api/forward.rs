//! A TCP connection from this device to a port of its own, carried by a request's two bodies: what the caller sends
//! goes out, what comes back is the answer.
//!
//! Reaching a port of the device is as much as running a program on it, so the policy decides the same way. Reaching
//! past it, to other machines, takes the right of an admin.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
    routing::post,
};
use foreman_protocol::{Level, ProblemCode};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{ApiError, ApiResult, Caller, Device};

/// Connections carried at once.
const MOST: usize = 256;
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the policy that was read last holds for what is carried.
const POLICY_READ_EVERY: Duration = Duration::from_secs(1);
/// Read from the port at once, in bytes.
const PIECE: usize = 32 * 1024;

#[derive(Clone)]
struct Forwards {
    device: Arc<Device>,
    free: Arc<Semaphore>,
}

#[derive(Debug, Deserialize)]
struct Target {
    /// This device when absent.
    host: Option<String>,
    port: u16,
}

pub(super) fn router(device: Arc<Device>) -> Router {
    let forwards = Forwards { device, free: Arc::new(Semaphore::new(MOST)) };
    Router::new().route("/forward", post(forward)).with_state(forwards)
}

async fn forward(
    State(forwards): State<Forwards>,
    Extension(caller): Extension<Caller>,
    target: Result<Query<Target>, axum::extract::rejection::QueryRejection>,
    body: Body,
) -> ApiResult<Response> {
    caller.need(Level::Operate)?;
    let consent = Consent::of(Arc::clone(&forwards.device))?;
    let Ok(Query(Target { host, port })) = target else {
        return Err(ApiError::invalid("port", "Name a port from 1 to 65535, as in `?port=8080`."));
    };
    let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| "localhost".to_owned());
    if port == 0 {
        return Err(ApiError::invalid("port", "Name a port from 1 to 65535."));
    }
    if !is_this_device(&host) {
        caller.need(Level::Admin)?;
    }
    let place = Arc::clone(&forwards.free).try_acquire_owned().map_err(|_| {
        ApiError::new(
            ProblemCode::Unavailable,
            "This device carries too many connections already. Close some.",
        )
    })?;
    let connection = connect(&host, port).await?;
    tracing::info!(client = %caller.who(), %host, port, "a port is forwarded");
    let (read, write) = connection.into_split();
    let sending = Sending(tokio::spawn(send(body, write, consent.clone())));
    let answer = Body::from_stream(received(read, consent, sending, place));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], answer).into_response())
}

/// Names and addresses that never lead off this machine.
fn is_this_device(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

async fn connect(host: &str, port: u16) -> ApiResult<TcpStream> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let unreachable = |why: String| {
        let message = format!(
            "Port {port} of {host} cannot be reached from this device: {why}. Check that something listens there."
        );
        ApiError::new(ProblemCode::Conflict, message)
    };
    // The name is not looked up: what it means on this device must not be somebody else's to say.
    let local = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1])];
    let connecting = async {
        if bare.eq_ignore_ascii_case("localhost") {
            let (four, six) = (local[0], local[1]);
            match TcpStream::connect((four, port)).await {
                // Its own refusal is the better news.
                Err(error) => TcpStream::connect((six, port)).await.map_err(|_| error),
                connected => connected,
            }
        } else {
            TcpStream::connect((bare, port)).await
        }
    };
    match timeout(PATIENCE, connecting).await {
        Ok(Ok(connection)) => {
            // Whatever it is, it may be somebody typing.
            let _ = connection.set_nodelay(true);
            Ok(connection)
        }
        Ok(Err(error)) => Err(unreachable(error.to_string().to_lowercase())),
        Err(_) => Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// What the policy says of connections that are open already.
#[derive(Clone)]
struct Consent {
    device: Arc<Device>,
    read_at: Instant,
}

impl Consent {
    fn of(device: Arc<Device>) -> ApiResult<Self> {
        device.allow("ALLOW_BASH", |policy| policy.allow_bash)?;
        Ok(Self { device, read_at: Instant::now() })
    }

    /// Asked for each piece.
    fn holds(&mut self) -> bool {
        if self.read_at.elapsed() < POLICY_READ_EVERY {
            return true;
        }
        self.read_at = Instant::now();
        self.device.policy().allow_bash
    }
}

/// The caller's bytes on their way out. Ends with the answer, unless that came to its own end.
struct Sending(JoinHandle<()>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send(body: Body, mut to: OwnedWriteHalf, mut consent: Consent) {
    let mut pieces = body.into_data_stream();
    loop {
        match pieces.try_next().await {
            Ok(Some(piece)) => {
                if !consent.holds() || to.write_all(&piece).await.is_err() {
                    return;
                }
            }
            // The other side hears the end and may still answer.
            Ok(None) => {
                let _ = to.shutdown().await;
                return;
            }
            Err(_) => return,
        }
    }
}

/// What the port says, until it closes or breaks; the place is taken for as long as somebody reads.
fn received(
    from: OwnedReadHalf,
    consent: Consent,
    sending: Sending,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(Some((from, consent, sending, place)), |open| async move {
        let (mut from, mut consent, sending, place) = open?;
        let mut piece = Vec::with_capacity(PIECE);
        match from.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) if !consent.holds() => {
                Some((Err(std::io::Error::other("this device forwards no more: ALLOW_BASH is off")), None))
            }
            Ok(_) => Some((Ok(Bytes::from(piece)), Some((from, consent, sending, place)))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .fuse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_own_names_are_this_machine() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert!(is_this_device(host), "{host}");
        }
        for host in ["192.168.1.1", "localhost.example.org", "0.0.0.0", "::", "example.org", ""] {
            assert!(!is_this_device(host), "{host}");
        }
    }
}
