//! Real connections within this machine.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io::{Read, Write},
    net::TcpListener,
    time::Duration,
};

use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::{net::TcpSocket, time::timeout};

use super::*;
use crate::providers::ways::{Ways, tcp};

const ROUNDS: usize = 20;

fn ways() -> Ways {
    Ways::new(Dialer::new(|_| None).unwrap())
}

#[tokio::test]
async fn a_refusal_is_heard_though_the_rest_of_the_request_is_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    // Beside the one that sends: it is refused in the midst of that.
    let refusing = std::thread::spawn(move || {
        for _ in 0..ROUNDS {
            let (mut far, _) = listener.accept().unwrap();
            far.read_exact(&mut [0; 1024]).unwrap();
            let refusal =
                b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nlong";
            far.write_all(refusal).unwrap();
            // Closed with much of the request unread: whatever is sent from now on is answered with a reset.
        }
    });
    let way = ways().get(true, Duration::from_secs(5)).unwrap();
    let body = Bytes::from(vec![b'x'; 16 * 1024 * 1024]);
    for round in 0..ROUNDS {
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = base.parse().unwrap();
        let answer = way.send(request).await.unwrap_or_else(|error| panic!("{round}: {error:?}"));
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "long", "{round}");
    }
    refusing.join().unwrap();
}

#[tokio::test]
async fn an_address_in_place_of_a_name_is_looked_at_too() {
    let ways = ways();
    for (base, plain) in [
        ("https://169.254.169.254/v1/models", false),
        ("https://[fd00:ec2::254]/v1/models", false),
        ("https://[::ffff:100.100.100.200]/v1/models", false),
        ("http://192.0.2.1:8000/v1/models", true),
        ("http://[2001:db8::1]/v1/models", true),
    ] {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = base.parse().unwrap();
        let sent = ways.get(plain, Duration::from_millis(500)).unwrap().send(request).await;
        let error = sent.err().unwrap();
        assert!(error.to_string().starts_with("its name leads to an address that is not asked"), "{error}");
    }
}

/// A name that leads to two addresses.
#[derive(Clone)]
struct Two;

impl Service<Name> for Two {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(vec![([127, 0, 0, 2], 0).into(), ([127, 0, 0, 1], 0).into()].into_iter()))
    }
}

#[tokio::test]
async fn an_address_where_nobody_answers_leaves_time_for_the_next() {
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let silent = silent.listen(1).unwrap();
    let place = silent.local_addr().unwrap();
    let _answers = TcpListener::bind(("127.0.0.1", place.port())).unwrap();
    // Nobody takes these: when there is room for no more, the next one hears nothing.
    let mut waiting = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(300), TcpStream::connect(place)).await {
        waiting.push(connected.unwrap());
    }
    let within = Duration::from_secs(4);
    let to = format!("http://two.test:{}/", place.port()).parse().unwrap();
    let reached = timeout(within, tcp(Two, within).call(to)).await.unwrap().unwrap();
    assert_eq!(reached.inner().peer_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 1]));
}
