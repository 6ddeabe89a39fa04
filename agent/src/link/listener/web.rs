//! A link inside a WebSocket: `GET /link`, for what can only hand web traffic on. Everything else is answered
//! alike, so that a scan learns nothing.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use foreman_link::carrier::{Frame, MessageStream, Wording};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::link::{
    door::{Door, Entry, Via},
    refusals::Source,
};

/// From a request's first byte to the upgrade.
const PATIENCE: Duration = Duration::from_secs(10);
/// A channel's record and a bit; what comes from a link is never longer.
const MESSAGE: usize = 128 * 1024;

/// One connection on its way in.
struct Entrance {
    door: Arc<Door>,
    from: IpAddr,
    entry: Mutex<Option<Entry>>,
}

/// Answers one request on a connection, and serves the link when it is the one for that.
pub(super) async fn answer<IO>(door: Arc<Door>, io: IO, from: IpAddr, entry: Entry)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let entrance = Arc::new(Entrance { door, from, entry: Mutex::new(Some(entry)) });
    let router = Router::new()
        .route("/link", get(enter))
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .with_state(entrance);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router))
        .with_upgrades();
    // It broke or took too long: nobody is left to tell.
    let _ = timeout(PATIENCE, connection).await;
}

async fn nothing() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

async fn enter(
    State(entrance): State<Arc<Entrance>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else { return nothing().await };
    let taken = entrance.entry.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(entry) = taken else { return nothing().await };
    let from = source(entrance.from, &headers);
    let Some(admitted) = entrance.door.judge(entry, from) else { return nothing().await };
    let door = Arc::clone(&entrance.door);
    upgrade.max_message_size(MESSAGE).max_frame_size(MESSAGE).on_upgrade(
        move |socket: WebSocket| async move {
            door.serve(MessageStream::new(socket, WORDING), from, Via::WebSocket, admitted).await;
        },
    )
}

/// Where a caller really comes from, as the proxies on this machine say. From elsewhere nobody says so but itself.
///
/// Every proxy writes its word at the end of `x-forwarded-for`; Cloudflare's own header passes through others as the
/// caller wrote it, so it counts only without that.
fn source(from: IpAddr, headers: &HeaderMap) -> Source {
    let told = || {
        let last = |name| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
        let forwarded = last("x-forwarded-for").and_then(|all| all.rsplit(',').next());
        forwarded.or_else(|| last("cf-connecting-ip"))?.trim().parse::<IpAddr>().ok()
    };
    if from.to_canonical().is_loopback() {
        told().map_or(from.into(), Source::forwarded)
    } else {
        from.into()
    }
}

/// How `axum` says it.
const WORDING: Wording<Message> = Wording {
    read: |message| match message {
        Message::Binary(data) => Frame::Data(data),
        Message::Close(_) => Frame::Close,
        Message::Ping(_) => Frame::Ping,
        Message::Pong(_) | Message::Text(_) => Frame::Other,
    },
    write: |frame| match frame {
        Frame::Data(data) => Message::Binary(data),
        Frame::Close => Message::Close(None),
        Frame::Ping | Frame::Other => Message::Ping(Bytes::new()),
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proxies_on_this_machine_are_believed() {
        let told = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        let (local, remote) = ("127.0.0.1".parse().unwrap(), "192.0.2.7".parse::<IpAddr>().unwrap());
        let other: IpAddr = "203.0.113.9".parse().unwrap();
        for headers in
            [told("cf-connecting-ip", "203.0.113.9"), told("x-forwarded-for", "10.0.0.1, 203.0.113.9")]
        {
            assert_eq!(source(local, &headers), Source::forwarded(other));
            assert_eq!(source(remote, &headers), remote.into());
        }
        let mut both = told("x-forwarded-for", "203.0.113.9");
        both.insert("cf-connecting-ip", "192.0.2.1".parse().unwrap());
        assert_eq!(
            source(local, &both),
            Source::forwarded(other),
            "a tailnet's proxy passes the other header on"
        );
        assert_eq!(source(local, &told("x-forwarded-for", "nobody")), local.into());
        assert_eq!(source(local, &HeaderMap::new()), local.into());
    }
}
