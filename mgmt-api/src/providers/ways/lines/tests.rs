//! Both ends of a connection in one process: the other end sees when one is opened, used again and closed.

mod many;

use std::{
    future::{Ready, ready},
    io,
};

use http_body_util::BodyExt;
use hyper_util::{client::legacy::connect::Connected, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use super::{kept::SWEEP_EVERY, *};

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

    // As all that is used: what was not sent stays apart, so that it shows whether a request is.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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

/// Sent in the background.
fn send(lines: &Arc<Lines<Leads>>, request: Asked) -> JoinHandle<Result<Response<Answered>, BoxError>> {
    let lines = Arc::clone(lines);
    tokio::spawn(async move { lines.send(request).await })
}

/// What is asked and answered in whole, in the background.
fn ask(lines: &Arc<Lines<Leads>>) -> JoinHandle<Bytes> {
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
    let asked = send(lines, request());
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    far.write_all(IN_PIECES).await.unwrap();
    (far, asked.await.unwrap().unwrap().into_body())
}

async fn is_closed(far: &mut DuplexStream) -> bool {
    far.read(&mut [0; 1]).await.unwrap() == 0
}

/// Time that passes only where nothing else can happen.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(300), work).await.expect("nothing comes of it")
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
    let asked = send(&lines, request());
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    drop(far);
    assert!(asked.await.unwrap().is_err());
    assert!(opened.is_empty());
}

#[tokio::test(start_paused = true)]
async fn connections_that_were_closed_are_let_go() {
    let (lines, mut opened) = lines(false);
    let far = kept(&lines, &mut opened).await;
    let places = || lines.kept.places();
    tokio::time::sleep(SWEEP_EVERY * 2).await;
    assert_eq!(places(), 1, "an open one stays");
    drop(far);
    tokio::time::sleep(SWEEP_EVERY * 2).await;
    assert_eq!(places(), 0);
}

/// A connection that is kept, and its far end.
async fn kept(lines: &Arc<Lines<Leads>>, opened: &mut UnboundedReceiver<DuplexStream>) -> DuplexStream {
    let asked = ask(lines);
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    far.write_all(WHOLE).await.unwrap();
    assert_eq!(asked.await.unwrap(), "hi");
    far
}

#[tokio::test]
async fn what_breaks_on_a_kept_connection_is_asked_again_only_where_nothing_can_have_come_of_it() {
    let (lines, mut opened) = lines(false);
    // A list is read: whether it was read twice is the same.
    let mut far = kept(&lines, &mut opened).await;
    let asked = ask(&lines);
    head(&mut far).await;
    drop(far);
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    far.write_all(WHOLE).await.unwrap();
    assert_eq!(asked.await.unwrap(), "hi");
    // A question to a model costs each time.
    let mut question = request();
    *question.method_mut() = Method::POST;
    let asked = send(&lines, question);
    head(&mut far).await;
    drop(far);
    assert!(asked.await.unwrap().is_err());
    assert!(opened.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_used_for_ever() {
    let (lines, mut opened) = lines(false);
    let mut far = kept(&lines, &mut opened).await;
    // It is never idle for long.
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let asked = ask(&lines);
        head(&mut far).await;
        far.write_all(WHOLE).await.unwrap();
        assert_eq!(asked.await.unwrap(), "hi");
    }
    assert!(soon(is_closed(&mut far)).await);
    assert!(opened.is_empty());
    // One that is idle for long is closed sooner.
    let mut far = kept(&lines, &mut opened).await;
    let before = tokio::time::Instant::now();
    assert!(soon(is_closed(&mut far)).await);
    assert!(before.elapsed() <= Duration::from_secs(110), "{:?}", before.elapsed());
}

#[tokio::test]
async fn nothing_but_http_is_taken_for_an_answer() {
    let (lines, mut opened) = lines(false);
    let asked = send(&lines, request());
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    far.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
        .await
        .unwrap();
    assert!(asked.await.unwrap().is_err());
    assert!(is_closed(&mut far).await);
}

/// Sends a whole answer and says whether the connection then carried another request.
async fn is_kept_after(answer: &[u8]) -> bool {
    let (lines, mut opened) = lines(false);
    let asked = ask(&lines);
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    far.write_all(answer).await.unwrap();
    asked.await.unwrap();
    let asked = ask(&lines);
    // One that is not kept is closed.
    let again = far.read_u8().await.is_ok();
    if !again {
        far = opened.recv().await.unwrap();
    }
    head(&mut far).await;
    far.write_all(WHOLE).await.unwrap();
    assert_eq!(asked.await.unwrap(), "hi");
    again
}

#[tokio::test]
async fn only_a_connection_whose_answer_is_over_for_both_ends_is_kept() {
    for (answer, is_kept) in [
        (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], true),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", true),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", true),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n", true),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", false),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx", true),
        (b"HTTP/1.1 200 OK\r\nconnection: x, Close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", false),
        // What nobody asked for would be taken for the next answer.
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
            false,
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\nevil", false),
    ] {
        assert_eq!(is_kept_after(answer).await, is_kept, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_was_sent_whole_is_an_answer() {
    let (lines, mut opened) = lines(false);
    let asking = Arc::clone(&lines);
    let asked = tokio::spawn(async move {
        let mut question = request();
        *question.method_mut() = Method::POST;
        *question.body_mut() = Full::new(vec![b'x'; 1024 * 1024].into());
        let answer = asking.send(question).await.unwrap();
        (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
    });
    let mut far = opened.recv().await.unwrap();
    head(&mut far).await;
    // It reads no more than that.
    far.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\n\r\nlong").await.unwrap();
    let (status, said) = asked.await.unwrap();
    assert_eq!((status.as_u16(), said), (413, "long".into()));
    // The rest of the request would be in front of the next one.
    let asked = ask(&lines);
    let mut fresh = opened.recv().await.unwrap();
    head(&mut fresh).await;
    fresh.write_all(WHOLE).await.unwrap();
    assert_eq!(asked.await.unwrap(), "hi");
}
