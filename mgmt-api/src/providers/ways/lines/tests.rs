//! Both ends of a connection in one process: the other end sees when one is opened, used again and closed.

use std::{
    future::{Ready, ready},
    io,
};

use http_body_util::BodyExt;
use hyper_util::{client::legacy::connect::Connected, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::*;

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const IN_PIECES: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";

/// The near end of a connection.
struct Near {
    stream: DuplexStream,
    h2: bool,
}

impl Connection for Near {
    fn connected(&self) -> Connected {
        if self.h2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl AsyncRead for Near {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Near {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Opens connections whose far ends go to the test.
#[derive(Clone)]
struct Leads {
    far: UnboundedSender<DuplexStream>,
    h2: bool,
}

impl Service<Uri> for Leads {
    type Response = TokioIo<Near>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (stream, far) = tokio::io::duplex(64 * 1024);
        self.far.send(far).unwrap();
        ready(Ok(TokioIo::new(Near { stream, h2: self.h2 })))
    }
}

fn lines(h2: bool) -> (Arc<Lines<Leads>>, UnboundedReceiver<DuplexStream>) {
    let (far, opened) = unbounded_channel();
    (Arc::new(Lines::new(Leads { far, h2 })), opened)
}

fn request() -> Asked {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = Uri::from_static("http://models.test:8000/v1/models");
    request
}

/// What is asked and answered in whole, in the background.
fn ask(lines: &Arc<Lines<Leads>>) -> tokio::task::JoinHandle<Bytes> {
    let lines = Arc::clone(lines);
    tokio::spawn(async move {
        let answer = lines.send(request()).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    })
}

/// Reads a request's head.
async fn head(far: &mut DuplexStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(far.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

/// An answer of which one piece came, and the far end that sends it.
async fn begun(
    lines: &Arc<Lines<Leads>>,
    opened: &mut UnboundedReceiver<DuplexStream>,
) -> (DuplexStream, Answered) {
    let asking = Arc::clone(lines);
    let asked = tokio::spawn(async move { asking.send(request()).await.unwrap().into_body() });
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    far.write_all(IN_PIECES).await.unwrap();
    (far, asked.await.unwrap())
}

async fn is_closed(far: &mut DuplexStream) -> bool {
    far.read(&mut [0; 1]).await.unwrap() == 0
}

#[tokio::test]
async fn a_connection_is_used_again_until_the_other_end_closes_it() {
    let (lines, mut opened) = lines(false);
    let mut asked = ask(&lines);
    let mut far = opened.recv().await.unwrap();
    for last in [false, true] {
        let head = head(&mut far).await;
        assert!(head.starts_with("GET /v1/models HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("host: models.test:8000\r\n"), "{head}");
        far.write_all(WHOLE).await.unwrap();
        assert_eq!(asked.await.unwrap(), "hi");
        if last {
            break;
        }
        asked = ask(&lines);
    }
    assert!(opened.is_empty());
    // Nobody looks at it while it is kept: the next request finds out, and is sent on another.
    drop(far);
    let asked = ask(&lines);
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    far.write_all(WHOLE).await.unwrap();
    assert_eq!(asked.await.unwrap(), "hi");
}

#[tokio::test]
async fn what_the_other_end_ends_is_not_kept() {
    let (lines, mut opened) = lines(false);
    for _ in 0..2 {
        let asked = ask(&lines);
        let mut far = opened.recv().await.unwrap();
        head(&mut far).await;
        far.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
        assert_eq!(asked.await.unwrap(), "hi");
        assert!(is_closed(&mut far).await);
    }
}

#[tokio::test]
async fn pieces_come_as_they_are_sent_and_dropping_the_answer_closes_the_connection() {
    let (lines, mut opened) = lines(false);
    let (mut far, mut body) = begun(&lines, &mut opened).await;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    // This one is waited for.
    let (frame, sent) = tokio::join!(body.frame(), async {
        tokio::task::yield_now().await;
        far.write_all(b"3\r\ntwo\r\n").await
    });
    sent.unwrap();
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "two");
    drop(body);
    assert!(is_closed(&mut far).await);
    // And one whose answer has not begun.
    let asked = ask(&lines);
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    asked.abort();
    assert!(is_closed(&mut far).await);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_its_request_is_not_sent_again() {
    let (lines, mut opened) = lines(false);
    let (far, mut body) = begun(&lines, &mut opened).await;
    drop(far);
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    assert!(body.frame().await.unwrap().is_err());
    drop(body);
    // The same before there was an answer.
    let asking = Arc::clone(&lines);
    let asked = tokio::spawn(async move { asking.send(request()).await.is_err() });
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    drop(far);
    assert!(asked.await.unwrap());
    assert!(opened.is_empty());
}

#[tokio::test(start_paused = true)]
async fn connections_that_were_closed_are_let_go() {
    let (lines, mut opened) = lines(false);
    let asked = ask(&lines);
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    far.write_all(WHOLE).await.unwrap();
    asked.await.unwrap();
    let places = || lines.kept.shelf().places.len();
    tokio::time::sleep(SWEEP_EVERY * 2).await;
    assert_eq!(places(), 1, "an open one stays");
    drop(far);
    tokio::time::sleep(SWEEP_EVERY * 2).await;
    assert_eq!(places(), 0);
}

#[tokio::test]
async fn one_connection_carries_many_requests_where_both_ends_can() {
    let (lines, mut opened) = lines(true);
    let first = ask(&lines);
    let mut far = h2::server::handshake(opened.recv().await.unwrap()).await.unwrap();
    let answer = |mut respond: h2::server::SendResponse<Bytes>| {
        respond.send_response(Response::new(()), false).unwrap().send_data("hi".into(), true).unwrap();
    };
    let (asked, respond) = far.accept().await.unwrap().unwrap();
    assert_eq!(asked.uri(), "http://models.test:8000/v1/models");
    assert!(!asked.headers().contains_key(header::HOST));
    answer(respond);
    let driving = tokio::spawn(async move {
        let mut waiting = Vec::new();
        // Both are there before either is answered.
        while waiting.len() < 2 {
            waiting.push(far.accept().await.unwrap().unwrap().1);
        }
        waiting.into_iter().for_each(answer);
        far.graceful_shutdown();
        while let Some(Ok(_)) = far.accept().await {}
    });
    assert_eq!(first.await.unwrap(), "hi");
    let (second, third) = (ask(&lines), ask(&lines));
    assert_eq!((second.await.unwrap(), third.await.unwrap()), ("hi".into(), "hi".into()));
    assert!(opened.is_empty());
    driving.await.unwrap();
    // It was closed in good order: the next request has a connection of its own.
    let fourth = ask(&lines);
    let mut far = h2::server::handshake(opened.recv().await.unwrap()).await.unwrap();
    answer(far.accept().await.unwrap().unwrap().1);
    let driving = tokio::spawn(async move { while let Some(Ok(_)) = far.accept().await {} });
    assert_eq!(fourth.await.unwrap(), "hi");
    driving.abort();
}
