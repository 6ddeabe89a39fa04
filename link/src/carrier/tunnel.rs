//! `CONNECT` through an HTTP proxy, and the upgrade to WebSocket: one HTTP/1.1 request each, after which the
//! connection belongs to the caller. An answer that says no is read whole, so that its reason reaches people.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{self, WebSocketConfig},
    },
};

use super::{AnyWay, Frame, MessageStream, Role, WebSocket, Wording, unreachable};
use crate::http::RequestError;

/// An error's body is not read further, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Nobody sends us a longer message, in bytes.
const MESSAGE_LIMIT: usize = 1024 * 1024;

type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

pub(super) async fn through_proxy(
    way: AnyWay,
    authority: &str,
    credentials: Option<&HeaderValue>,
) -> Result<Upgraded, RequestError> {
    let mut request = Request::connect(authority).header(header::HOST, authority);
    if let Some(credentials) = credentials {
        request = request.header(header::PROXY_AUTHORIZATION, credentials);
    }
    let request = request.body(Empty::new()).map_err(invalid)?;
    let response = send(way, authority, request).await?;
    if !response.status().is_success() {
        let status = response.status();
        let mut message = format!("the proxy does not let this program through to {authority} ({status})");
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            message.push_str(if credentials.is_some() {
                ": it does not accept the name and password in its address"
            } else {
                ": it wants a name and a password, which stand in its address as http://name:password@proxy:port"
            });
        }
        return Err(RequestError::Unreachable { message });
    }
    taken_over(authority, response).await
}

pub(super) async fn websocket(
    way: AnyWay,
    address: &Uri,
    headers: HeaderMap,
) -> Result<WebSocket<Upgraded>, RequestError> {
    Ok(WebSocket::new(upgraded(way, address, headers).await?, Role::Client))
}

/// One whose messages stay what they are: one read gives one of them, and one write sends one.
pub(super) async fn messages(
    way: AnyWay,
    address: &Uri,
    headers: HeaderMap,
) -> Result<MessageStream<WebSocketStream<Upgraded>, Message>, RequestError> {
    let limits =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
    let way = upgraded(way, address, headers).await?;
    let socket = WebSocketStream::from_raw_socket(way, protocol::Role::Client, Some(limits)).await;
    let read = |message| match message {
        Message::Binary(data) => Frame::Data(data),
        Message::Close(_) => Frame::Close,
        Message::Ping(_) => Frame::Ping,
        Message::Pong(_) | Message::Text(_) | Message::Frame(_) => Frame::Other,
    };
    let write = |frame| match frame {
        Frame::Data(data) => Message::Binary(data),
        Frame::Close => Message::Close(None),
        Frame::Ping | Frame::Other => Message::Ping(bytes::Bytes::new()),
    };
    Ok(MessageStream::new(socket, Wording { read, write }))
}

async fn upgraded(way: AnyWay, address: &Uri, headers: HeaderMap) -> Result<Upgraded, RequestError> {
    let key = generate_key();
    let host = address.authority().map_or("", |authority| authority.as_str());
    let path = address.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key)
        .body(Empty::new())
        .map_err(invalid)?;
    request.headers_mut().extend(headers);
    let response = send(way, host, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(RequestError::from_answer(status, &body));
    }
    let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    if accepted.map(HeaderValue::as_bytes) != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        let message = format!("{host} answered as a WebSocket and is none");
        return Err(RequestError::Malformed { message });
    }
    taken_over(host, response).await
}

async fn send(
    way: AnyWay,
    place: &str,
    request: Request<Empty<bytes::Bytes>>,
) -> Result<Response<Incoming>, RequestError> {
    let broke = |error: hyper::Error| unreachable("the connection broke off", place, &error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(way)).await.map_err(broke)?;
    // Ends with the upgrade, with a refusal's body, or with the connection; the answer tells which.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(broke)
}

async fn taken_over(place: &str, response: Response<Incoming>) -> Result<Upgraded, RequestError> {
    let upgraded = hyper::upgrade::on(response).await.map(TokioIo::new);
    upgraded.map_err(|error| unreachable("the connection broke off", place, &error))
}

fn invalid(error: hyper::http::Error) -> RequestError {
    RequestError::Invalid { message: error.to_string() }
}
