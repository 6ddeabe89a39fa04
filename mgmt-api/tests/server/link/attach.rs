//! Terminals for browsers: a WebSocket of frames on this side, the device's duplex stream on the other.

use std::collections::BTreeMap;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, Request},
    http::{Method, StatusCode},
    routing::post,
};
use foreman_protocol::{Level, TerminalFrame, TerminalId};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_tungstenite::tungstenite::Message;

use super::device::{Socket, TestDevice, open, open_with, refusal};
use crate::{
    accounts::owner,
    running::{Running, json},
};

/// Sends every frame it gets back as output, with what it was asked for before.
async fn echo(Query(query): Query<BTreeMap<String, String>>, request: Request) -> (StatusCode, Body) {
    let (frames, receiver) = mpsc::unbounded_channel::<Result<Bytes, std::convert::Infallible>>();
    let send = move |frame: TerminalFrame| {
        let bytes = frame.encode();
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        // In two pieces: frames need not come as they were sent.
        let _ = frames.send(Ok(Bytes::from([&length[..], &bytes[..1]].concat())));
        let _ = frames.send(Ok(Bytes::from(bytes[1..].to_vec())));
    };
    let asked =
        format!("from={} writer={}", query["from"], query.get("writer").map_or("none", String::as_str));
    send(TerminalFrame::Output { offset: 0, data: asked.into_bytes() });
    tokio::spawn(async move {
        let mut body = request.into_body().into_data_stream();
        let mut bytes = Vec::new();
        while let Some(Ok(piece)) = body.next().await {
            bytes.extend_from_slice(&piece);
            while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if rest.len() < length {
                    break;
                }
                let frame = TerminalFrame::decode(&rest[..length]).unwrap();
                bytes = rest[length..].to_vec();
                match frame {
                    TerminalFrame::Input { data, .. } if data == b"exit" => return,
                    TerminalFrame::Input { offset, data } => send(TerminalFrame::Output { offset, data }),
                    other => panic!("{other:?}"),
                }
            }
        }
    });
    (StatusCode::OK, Body::from_stream(UnboundedReceiverStream::new(receiver)))
}

async fn scene() -> (Running, String, TestDevice) {
    let server = Running::fresh();
    let admin = server.token("admin");
    let device = TestDevice::join(&server, &admin).await;
    device.tell(Some(device.link(1, Some(Level::Operate)))).await;
    let api = Router::new().route("/terminals/{id}/attach", post(echo));
    drop(device.serve(device.listen().await, api));
    (server, admin, device)
}

async fn output(socket: &mut Socket) -> Vec<u8> {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(data) => match TerminalFrame::decode(&data).unwrap() {
                TerminalFrame::Output { data, .. } => return data,
                other => panic!("{other:?}"),
            },
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn input(offset: u64, data: &[u8]) -> Message {
    Message::binary(TerminalFrame::Input { offset, data: data.to_vec() }.encode())
}

#[tokio::test]
async fn frames_and_messages_are_the_same_thing() {
    let (server, admin, device) = scene().await;
    let path = device.path(&format!("link/terminals/{}/attach?from=7&writer=w-1", TerminalId::fresh()));
    let mut socket = open(&server.url, &path, &admin, &[]).await.unwrap();
    assert_eq!(output(&mut socket).await, b"from=7 writer=w-1");
    let long = vec![b'x'; 64 * 1024 - 9];
    for typed in [b"ls\n".as_slice(), &long, b""] {
        socket.send(input(3, typed)).await.unwrap();
        assert_eq!(output(&mut socket).await, typed);
    }
    // The device ends it.
    socket.send(input(9, b"exit")).await.unwrap();
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => break assert_eq!(u16::from(frame.code), 1000),
            Some(Ok(Message::Ping(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    let missing = device.path("link/terminals/nothing/attach");
    assert_eq!(refusal(open(&server.url, &missing, &admin, &[]).await).0, 404);
    let odd = device.path(&format!("link/terminals/{}/attach?writer=a%26b", TerminalId::fresh()));
    assert_eq!(refusal(open(&server.url, &odd, &admin, &[]).await).1["code"], "invalid_request");
}

#[tokio::test]
async fn a_viewer_looks_and_types_nothing() {
    let (server, _, device) = scene().await;
    let viewer = server.token("viewer");
    let path = device.path(&format!("link/terminals/{}/attach?writer=w", TerminalId::fresh()));
    let mut socket = open(&server.url, &path, &viewer, &[]).await.unwrap();
    assert_eq!(output(&mut socket).await, b"from=0 writer=none");
    // Had this reached the device, the stream would end with nothing echoed.
    socket.send(input(0, b"typed")).await.unwrap();
    socket.send(Message::Ping(vec![1].into())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(vec![1].into()));
}

#[tokio::test]
async fn a_browser_attaches_with_its_cookie_from_our_page_only() {
    let (server, _, device) = scene().await;
    let cookie = owner(&server).await;
    let path = device.path(&format!("link/terminals/{}/attach", TerminalId::fresh()));
    let from =
        async |origin: &str| open_with(&server.url, &path, &[("cookie", &cookie), ("origin", origin)]).await;
    assert_eq!(refusal(from("https://evil.example").await).1["code"], "forbidden");
    let mut socket = from(&server.url).await.unwrap();
    assert_eq!(output(&mut socket).await, b"from=0 writer=none");
    assert_eq!(refusal(open_with(&server.url, &path, &[]).await).1["code"], "unauthenticated");
}

#[tokio::test]
async fn a_terminal_ends_with_the_right_to_be_here() {
    let (server, _, device) = scene().await;
    let cookie = owner(&server).await;
    let path = device.path(&format!("link/terminals/{}/attach?writer=w", TerminalId::fresh()));
    let from_page = [("cookie", cookie.as_str()), ("origin", server.url.as_str())];
    let mut page = open_with(&server.url, &path, &from_page).await.unwrap();
    let made = server.post("/api/v1/tokens", json!({ "name": "ci", "role": "operator" }));
    let made = json(made.header("cookie", &cookie)).await;
    let mut program = open(&server.url, &path, made["secret"].as_str().unwrap(), &[]).await.unwrap();
    for socket in [&mut page, &mut program] {
        assert_eq!(output(socket).await, b"from=0 writer=w");
    }
    let token = format!("/api/v1/tokens/{}", made["token"]["id"].as_str().unwrap());
    let revoked = server.request(Method::DELETE, &token).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
    assert_eq!(ended(&mut program).await, 1008);
    page.send(input(0, b"still here")).await.unwrap();
    assert_eq!(output(&mut page).await, b"still here");
    let out = server.request(Method::DELETE, "/api/v1/session").header("cookie", &cookie);
    assert_eq!(out.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(ended(&mut page).await, 1008);
}

async fn ended(socket: &mut Socket) -> u16 {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(Message::Ping(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}
