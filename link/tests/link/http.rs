//! HTTP/2 in a sealed channel over real TCP, with a real axum router behind it.

use std::{convert::Infallible, future::pending, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use foreman_link::{carrier::connect_tcp, channel, h2};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use tokio::{
    io::{DuplexStream, copy_bidirectional, duplex},
    net::TcpListener,
    sync::oneshot,
    time::timeout,
};

use crate::parties::Parties;

#[derive(Clone)]
struct Caller(String);

fn routes() -> Router {
    Router::new()
        .route("/who", get(|Extension(Caller(name)): Extension<Caller>| async move { name }))
        .route("/echo", post(|body: Body| async move { Body::from_stream(body.into_data_stream()) }))
        .route(
            "/bulk",
            get(|| async {
                let piece = Bytes::from(vec![b'x'; 64 * 1024]);
                Body::from_stream(futures_util::stream::iter(
                    (0..512).map(move |_| Ok::<_, Infallible>(piece.clone())),
                ))
            }),
        )
        .route("/never", get(pending::<()>))
}

/// A device that serves one caller until `stop`, and a client of it.
async fn connected() -> (h2::Client, oneshot::Sender<()>, tokio::task::JoinHandle<Result<(), hyper::Error>>) {
    let parties = Parties::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (keys, hello) = (parties.keys(), parties.hello());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let accepted = parties.accept(stream).await.unwrap();
        let stop = async {
            let _ = stopped.await;
        };
        h2::serve(accepted.channel, routes(), Caller(accepted.grant.name), stop).await
    });
    let way = connect_tcp(&address).await.unwrap();
    let (channel, _) = channel::connect(way, &keys, &hello).await.unwrap();
    (h2::Client::start(channel).await.unwrap(), stop, serving)
}

async fn text(client: &h2::Client, path: &str) -> (StatusCode, String) {
    let response = client.request(Request::get(path).body(h2::Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn each_request_knows_its_caller() {
    let (client, _stop, _serving) = connected().await;
    assert_eq!(text(&client, "/who").await, (StatusCode::OK, "Mia's phone".to_owned()));
    assert_eq!(text(&client, "/nowhere").await.0, StatusCode::NOT_FOUND);
    assert!(client.ping().await.unwrap() < Duration::from_secs(5));
}

#[tokio::test]
async fn both_bodies_flow_at_once() {
    let (client, _stop, _serving) = connected().await;
    let (sender, body) = h2::Body::channel();
    let response = client.request(Request::post("/echo").body(body).unwrap()).await.unwrap();
    let mut echoes = response.into_body().into_data_stream();
    for number in 0..100 {
        let said = Bytes::from(format!("keystroke {number}"));
        assert!(sender.send(said.clone()).await);
        assert_eq!(echoes.next().await.unwrap().unwrap(), said);
    }
    drop(sender);
    // The end may come as a piece with nothing in it.
    while let Some(piece) = echoes.next().await {
        assert!(piece.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_keystroke_passes_a_download() {
    let (client, _stop, _serving) = connected().await;
    // The download fills its window and waits; others go on.
    let bulk = client.request(Request::get("/bulk").body(h2::Body::empty()).unwrap()).await.unwrap();
    assert_eq!(text(&client, "/who").await.1, "Mia's phone");
    client.ping().await.unwrap();
    assert_eq!(bulk.into_body().collect().await.unwrap().to_bytes().len(), 512 * 64 * 1024);
}

#[tokio::test]
async fn stopping_lets_what_runs_finish_and_the_client_hears_of_it() {
    let (client, stop, serving) = connected().await;
    let (sender, body) = h2::Body::channel();
    let response = client.request(Request::post("/echo").body(body).unwrap()).await.unwrap();
    assert!(!client.is_closed());
    stop.send(()).unwrap();
    assert!(sender.send(Bytes::from_static(b"last words")).await);
    drop(sender);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "last words");
    serving.await.unwrap().unwrap();
    client.closed().await;
    assert!(client.is_closed());
    assert!(client.ping().await.is_err());
}

#[tokio::test]
async fn a_device_that_vanishes_ends_what_waits() {
    let (client, _stop, serving) = connected().await;
    let waiting = client.request(Request::get("/never").body(h2::Body::empty()).unwrap());
    let vanish = async {
        client.ping().await.unwrap();
        serving.abort();
    };
    let (answer, ()) = tokio::join!(waiting, vanish);
    assert!(answer.is_err());
    client.closed().await;
}

/// A way that stops carrying when it is told to, without a word to either end.
fn way() -> (DuplexStream, DuplexStream, oneshot::Sender<()>) {
    let ((client, mut near), (mut far, device)) = (duplex(64 * 1024), duplex(64 * 1024));
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = stopped => pending().await,
        }
    });
    (client, device, stop)
}

#[tokio::test(start_paused = true)]
async fn a_way_that_carries_nothing_any_more_is_noticed_by_both_within_15_seconds() {
    let (at_client, at_device, stop) = way();
    let serving = tokio::spawn(h2::serve(at_device, routes(), Caller("Mia".to_owned()), pending()));
    let client = h2::Client::start(at_client).await.unwrap();
    client.ping().await.unwrap();
    // Quiet for a while and still there: an answer is asked for, and comes.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!client.is_closed() && !serving.is_finished());

    stop.send(()).unwrap();
    let limit = Duration::from_secs(15) + Duration::from_millis(100);
    let (noticed, served) = tokio::join!(timeout(limit, client.closed()), timeout(limit, serving));
    assert_eq!((noticed.is_ok(), served.is_ok()), (true, true), "client and device");
    served.unwrap().unwrap().expect_err("nobody said goodbye");
}

#[tokio::test]
async fn the_last_client_gone_ends_the_service() {
    let (client, _stop, serving) = connected().await;
    assert_eq!(text(&client, "/who").await.0, StatusCode::OK);
    drop(client);
    serving.await.unwrap().unwrap();
}
