//! Channels over WebSocket, direct and through a proxy, with axum's own WebSocket on the other side.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::get,
};
use foreman_link::{
    carrier::{self, Dialer, Frame, MessageStream, Wording},
    channel,
    http::RequestError,
};
use foreman_protocol::{Problem, ProblemCode};
use hyper::header::HeaderValue;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, protocol::Role},
};

use crate::parties::Parties;

type Way = MessageStream<WebSocket, Message>;

const AXUM: Wording<Message> = Wording {
    read: |message| match message {
        Message::Binary(data) => Frame::Data(data),
        Message::Close(_) => Frame::Close,
        Message::Ping(_) => Frame::Ping,
        Message::Pong(_) | Message::Text(_) => Frame::Other,
    },
    write: |frame| match frame {
        Frame::Data(data) => Message::Binary(data),
        Frame::Ping | Frame::Other => Message::Ping(Vec::new().into()),
        Frame::Close => Message::Close(None),
    },
};

async fn link(
    State(ways): State<mpsc::Sender<Way>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if headers.get("x-foreman-ticket").is_none_or(|ticket| ticket != "right") {
        let problem = Problem::new(ProblemCode::Unauthenticated, "This ticket was used.", None);
        return (axum::http::StatusCode::UNAUTHORIZED, Json(problem)).into_response();
    }
    upgrade.on_upgrade(async move |socket| ways.send(MessageStream::new(socket, AXUM)).await.unwrap())
}

/// Where the server listens, and the WebSockets that arrive.
async fn server() -> (u16, mpsc::Receiver<Way>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, ways) = mpsc::channel(4);
    let app = Router::new().route("/link", get(link)).with_state(sender);
    tokio::spawn(async { axum::serve(listener, app).await });
    (port, ways)
}

fn ticket() -> HeaderMap {
    HeaderMap::from_iter([("x-foreman-ticket".parse().unwrap(), HeaderValue::from_static("right"))])
}

async fn talk_over(dialer: &Dialer, address: &str, ways: &mut mpsc::Receiver<Way>) {
    let parties = Parties::new();
    let way = dialer.connect_websocket(address, ticket()).await.unwrap();
    let arrived = ways.recv().await.unwrap();
    let (mut client, mut device) = parties.link_over(way, arrived).await;
    let question: Vec<u8> = (0..3_000_000u32).map(|at| at as u8).collect();
    let ask = async {
        client.write_all(&question).await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "answer");
        client.shutdown().await.unwrap();
    };
    let answer = async {
        let mut heard = Vec::new();
        device.read_to_end(&mut heard).await.unwrap();
        assert!(heard == question);
        device.write_all(b"answer").await.unwrap();
        device.shutdown().await.unwrap();
    };
    tokio::join!(ask, answer);
}

#[tokio::test]
async fn a_channel_over_websocket() {
    let (port, mut ways) = server().await;
    let dialer = Dialer::new(|_| None).unwrap();
    talk_over(&dialer, &format!("ws://127.0.0.1:{port}/link"), &mut ways).await;
}

#[tokio::test]
async fn a_refused_upgrade_keeps_its_reason() {
    let (port, _ways) = server().await;
    let dialer = Dialer::new(|_| None).unwrap();
    let refused = dialer.connect_websocket(&format!("http://127.0.0.1:{port}/link"), HeaderMap::new()).await;
    let Err(RequestError::Refused { status: 401, problem }) = refused.map(drop) else { panic!("no refusal") };
    assert_eq!(problem.message, "This ticket was used.");
    let nobody = dialer.connect_websocket("http://127.0.0.1:1/link", HeaderMap::new()).await;
    assert!(matches!(nobody.map(drop), Err(RequestError::Unreachable { .. })));
    let in_clear = dialer.connect_websocket(&format!("wss://127.0.0.1:{port}/link"), ticket()).await;
    let in_clear = in_clear.map(drop).unwrap_err();
    assert!(in_clear.to_string().starts_with("no TLS"), "{in_clear}");
    let wrong = dialer.connect_websocket("ftp://127.0.0.1/link", HeaderMap::new()).await;
    assert!(matches!(wrong.map(drop), Err(RequestError::Invalid { .. })));
}

/// Stands for a proxy as RFC 9110 section 9.3.6 describes `CONNECT`; it knows one name and one password.
async fn proxy(listener: TcpListener, server: u16) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            stream.read_line(&mut request).await.unwrap();
        }
        // mia:secret
        if !request.to_lowercase().contains("proxy-authorization: basic bwlhonnly3jlda==") {
            stream
                .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
            continue;
        }
        assert!(request.starts_with("CONNECT spark.example:8443 HTTP/1.1\r\n"), "{request}");
        let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut server).await });
    }
}

#[tokio::test]
async fn a_channel_through_a_proxy() {
    let (port, mut ways) = server().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_port = listener.local_addr().unwrap().port();
    tokio::spawn(proxy(listener, port));
    let through = |proxy: String| move |name: &str| (name == "HTTP_PROXY").then(|| proxy.clone());
    let dialer = Dialer::new(through(format!("http://mia:secret@127.0.0.1:{proxy_port}"))).unwrap();
    talk_over(&dialer, "ws://spark.example:8443/link", &mut ways).await;
    // This machine is never reached through a proxy.
    talk_over(&dialer, &format!("ws://127.0.0.1:{port}/link"), &mut ways).await;

    let dialer = Dialer::new(through(format!("http://127.0.0.1:{proxy_port}"))).unwrap();
    let refused =
        dialer.connect_websocket("ws://spark.example:8443/link", ticket()).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("407"), "{refused}");
    let dialer = Dialer::new(through("socks5://127.0.0.1:1".to_owned())).unwrap();
    let refused =
        dialer.connect_websocket("ws://spark.example:8443/link", ticket()).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("socks5"), "{refused}");
    for broken in ["http://[broken", "gopher://127.0.0.1:1"] {
        assert!(Dialer::new(through(broken.to_owned())).is_err());
    }
}

const TUNGSTENITE: Wording<tungstenite::Message> = Wording {
    read: |message| match message {
        tungstenite::Message::Binary(data) => Frame::Data(data),
        tungstenite::Message::Close(_) => Frame::Close,
        _ => Frame::Other,
    },
    write: |frame| match frame {
        Frame::Data(data) => tungstenite::Message::Binary(data),
        _ => tungstenite::Message::Ping(Vec::new().into()),
    },
};

#[tokio::test(start_paused = true)]
async fn a_quiet_peer_lives_and_a_dead_one_is_noticed() {
    let (one, other) = duplex(4096);
    lives_and_dies(carrier::WebSocket::new(one, carrier::Role::Client), other).await;
    let (one, other) = duplex(4096);
    let one = WebSocketStream::from_raw_socket(one, Role::Client, None).await;
    lives_and_dies(MessageStream::new(one, TUNGSTENITE), other).await;
}

async fn lives_and_dies(mut one: impl AsyncRead + Unpin, other: DuplexStream) {
    let mut other = WebSocketStream::from_raw_socket(other, Role::Server, None).await;

    // More than ten minutes in which the other one only answers pings.
    let (mut pings, mut buffer) = (0, [0; 16]);
    let long = tokio::time::sleep(Duration::from_secs(610));
    tokio::pin!(long);
    loop {
        tokio::select! {
            () = &mut long => break,
            read = one.read(&mut buffer) => panic!("{read:?}"),
            message = futures_util::StreamExt::next(&mut other) => {
                pings += usize::from(message.unwrap().unwrap().is_ping());
            }
        }
    }
    assert_eq!(pings, 24);

    let since = tokio::time::Instant::now();
    let error = one.read(&mut buffer).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(since.elapsed() <= Duration::from_secs(75));
    drop(other);
}

#[tokio::test]
async fn a_close_is_an_end() {
    let (one, other) = duplex(4096);
    let one = carrier::WebSocket::new(one, carrier::Role::Client);
    closes(one, carrier::WebSocket::new(other, carrier::Role::Server)).await;
    let (one, other) = duplex(4096);
    let one = WebSocketStream::from_raw_socket(one, Role::Client, None).await;
    let other = WebSocketStream::from_raw_socket(other, Role::Server, None).await;
    closes(MessageStream::new(one, TUNGSTENITE), MessageStream::new(other, TUNGSTENITE)).await;
}

async fn closes(mut one: impl carrier::Way, mut other: impl carrier::Way) {
    one.write_all(b"bytes").await.unwrap();
    one.shutdown().await.unwrap();
    let mut heard = String::new();
    other.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "bytes");
    // Nothing that is left can be sent, and nothing hangs.
    let _ = channel::connect(other, &Parties::new().keys(), &Parties::new().hello()).await.unwrap_err();
}
