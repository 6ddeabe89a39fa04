//! Against a small real server, and the parser alone against every way bytes may arrive.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State as Shared,
    http::{HeaderMap as AskedHeaders, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::stream;
use launchdarkly_sdk_transport::{HttpTransport, Request, ResponseFuture, TransportError};
use proptest::prelude::*;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{
    attempt::Attempt,
    transport::{Unfinished, watched},
    *,
};
use crate::http::client;

/// What one connection to the test server was asked with, and the way to speak on it.
struct Connection {
    headers: AskedHeaders,
    say: mpsc::UnboundedSender<Result<Bytes, std::io::Error>>,
}

impl Connection {
    fn say(&self, text: &str) {
        self.say.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).unwrap();
    }
}

#[derive(Clone)]
struct Server {
    connections: mpsc::UnboundedSender<Connection>,
    refusals: Arc<Mutex<Vec<(StatusCode, &'static str)>>>,
}

async fn answer(Shared(server): Shared<Server>, headers: AskedHeaders) -> Response {
    if let Some((status, body)) = server.refusals.lock().unwrap().pop() {
        return (status, [("content-type", "application/problem+json")], body).into_response();
    }
    let (say, said) = mpsc::unbounded_channel();
    server.connections.send(Connection { headers, say }).unwrap();
    ([("content-type", "text/event-stream")], Body::from_stream(UnboundedReceiverStream::new(said)))
        .into_response()
}

async fn serve(refusals: Vec<(StatusCode, &'static str)>) -> (String, mpsc::UnboundedReceiver<Connection>) {
    let (connections, arriving) = mpsc::unbounded_channel();
    let server = Server { connections, refusals: Arc::new(Mutex::new(refusals)) };
    let router = Router::new().route("/events", get(answer)).with_state(server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, arriving)
}

fn id(update: &Update) -> Option<&str> {
    match update {
        Update::Event(event) => event.id.as_deref(),
        _ => None,
    }
}

#[tokio::test]
async fn resumes_after_the_last_event_with_fresh_headers() {
    let (url, mut arriving) = serve(vec![]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let target = Target::with_headers(url, move || {
        let turn = asked.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", format!("Bearer {turn}").parse().unwrap());
            Ok(headers)
        }
    })
    .resume_after(Some("6".to_owned()));
    let mut subscription = subscribe(client().unwrap(), target);

    assert!(matches!(subscription.next().await, Update::Opened));
    let first = arriving.recv().await.unwrap();
    assert_eq!(first.headers["last-event-id"], "6");
    assert_eq!(first.headers["authorization"], "Bearer 0");
    assert!(first.headers["user-agent"].to_str().unwrap().starts_with("foreman/"));
    first.say("event: event\nid: 7\ndata: a\n\nevent: sample\ndata: {}\n\n");
    let event = subscription.next().await;
    assert!(matches!(&event, Update::Event(e) if e.name == "event" && e.data == "a"), "{event:?}");
    assert_eq!(id(&event), Some("7"));
    assert!(matches!(subscription.next().await, Update::Event(e) if e.name == "sample"));
    // Half an event is not an event, and does not move the place to resume from.
    first.say("id: 8\ndata: never fin");
    drop(first);

    let lost = subscription.next().await;
    assert!(
        matches!(&lost, Update::Lost { retry_in, .. } if *retry_in <= Duration::from_millis(100)),
        "{lost:?}"
    );
    assert!(matches!(subscription.next().await, Update::Opened));
    let second = arriving.recv().await.unwrap();
    assert_eq!(second.headers["last-event-id"], "7");
    assert_eq!(second.headers["authorization"], "Bearer 1");
}

#[tokio::test]
async fn refusals_are_given_to_the_caller_and_tried_again() {
    const GONE: &str =
        r#"{"type":"urn:foreman:problem:device_gone","status":410,"code":"device_gone","detail":"Gone."}"#;
    let (url, mut arriving) = serve(vec![(StatusCode::GONE, GONE), (StatusCode::BAD_GATEWAY, "")]).await;
    let mut subscription = subscribe(client().unwrap(), Target::new(url, HeaderMap::new()));
    let Update::Lost { error, .. } = subscription.next().await else { panic!("should be lost") };
    assert_eq!(error.status(), Some(502));
    let Update::Lost { error, .. } = subscription.next().await else { panic!("should be lost") };
    assert_eq!(error.status(), Some(410));
    assert!(matches!(&error, StreamError::Request(RequestError::Refused { problem, .. })
        if problem.code == foreman_protocol::ProblemCode::DeviceGone));
    assert!(matches!(subscription.next().await, Update::Opened));
    assert!(arriving.recv().await.is_some());
}

#[tokio::test]
async fn headers_that_cannot_be_made_are_a_loss_like_any_other() {
    let target = Target::with_headers("http://127.0.0.1:9/", || async {
        Err(RequestError::Unreachable { message: "no bearer".to_owned() })
    });
    let mut subscription = subscribe(client().unwrap(), target);
    assert!(
        matches!(subscription.next().await, Update::Lost { error, .. } if error.to_string() == "no bearer")
    );
}

#[tokio::test]
async fn nobody_there_is_said_with_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut subscription = subscribe(client().unwrap(), Target::new(url, HeaderMap::new()));
    let Update::Lost { error, .. } = subscription.next().await else { panic!("should be lost") };
    assert!(error.to_string().starts_with("cannot connect (http://127.0.0.1:"), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn polling_next_in_a_select_loses_nothing() {
    let (url, mut arriving) = serve(vec![]).await;
    let mut subscription = subscribe(client().unwrap(), Target::new(url, HeaderMap::new()));
    let mut opened = false;
    let mut connection = None;
    while !(opened && connection.is_some()) {
        tokio::select! {
            biased;
            update = subscription.next() => opened |= matches!(update, Update::Opened),
            arrived = arriving.recv() => connection = arrived,
            () = tokio::task::yield_now() => {}
        }
    }
}

#[tokio::test]
async fn a_server_gone_silent_is_noticed() {
    let (url, mut arriving) = serve(vec![]).await;
    let mut subscription = subscribe(client().unwrap(), Target::new(url, HeaderMap::new()));
    assert!(matches!(subscription.next().await, Update::Opened));
    let connection = arriving.recv().await.unwrap();
    connection.say("id: 1\ndata: x\n\n");
    assert_eq!(id(&subscription.next().await), Some("1"));
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    let update = subscription.next().await;
    assert!(matches!(&update, Update::Lost { error: StreamError::Silent(_), .. }), "{update:?}");
    assert!(before.elapsed() >= SILENCE_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn any_byte_resets_the_watch() {
    let (say, said) = mpsc::unbounded_channel::<Result<Bytes, TransportError>>();
    let mut bytes = watched(UnboundedReceiverStream::new(said), SILENCE_LIMIT, Unfinished::default());
    let begin = tokio::time::Instant::now();
    tokio::spawn(async move {
        for _ in 0..4 {
            tokio::time::sleep(SILENCE_LIMIT - Duration::from_secs(1)).await;
            say.send(Ok(Bytes::from_static(b":"))).unwrap();
        }
        std::future::pending::<()>().await;
    });
    for _ in 0..4 {
        assert!(bytes.next().await.unwrap().is_ok());
    }
    assert!(bytes.next().await.unwrap().is_err());
    assert_eq!(begin.elapsed(), 5 * SILENCE_LIMIT - Duration::from_secs(4));
    assert!(bytes.next().await.is_none());
}

#[tokio::test]
async fn an_event_without_end_is_cut() {
    let (url, mut arriving) = serve(vec![]).await;
    let mut subscription = subscribe(client().unwrap(), Target::new(url, HeaderMap::new()));
    assert!(matches!(subscription.next().await, Update::Opened));
    let connection = arriving.recv().await.unwrap();
    let block = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..20 {
        connection.say.send(Ok(block.clone())).unwrap();
    }
    let update = subscription.next().await;
    assert!(matches!(&update, Update::Lost { error: StreamError::Malformed(_), .. }), "{update:?}");
}

/// A connection whose bytes are known beforehand.
#[derive(Clone)]
struct Canned(Vec<Bytes>);

impl HttpTransport for Canned {
    fn request(&self, _: Request<Option<Bytes>>) -> ResponseFuture {
        let chunks = self.0.clone().into_iter().map(Ok::<_, TransportError>);
        let body: launchdarkly_sdk_transport::ByteStream = Box::pin(stream::iter(chunks));
        Box::pin(async { Ok(launchdarkly_sdk_transport::Response::new(body)) })
    }
}

fn read_all(chunks: Vec<Bytes>) -> Vec<Event> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut attempt =
            Attempt::over(Canned(chunks), Unfinished::default(), "http://x/", &HeaderMap::new(), None)
                .await
                .unwrap();
        let mut events = Vec::new();
        loop {
            match attempt.next().await {
                Ok(event) => events.push(event),
                Err(StreamError::Ended | StreamError::Malformed(_)) => return events,
                Err(other) => panic!("{other}"),
            }
        }
    })
}

fn cut(bytes: &[u8], at: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut places: Vec<usize> = at.iter().map(|index| index.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| Bytes::copy_from_slice(&bytes[pair[0]..pair[1]])).collect()
}

fn line_end() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["\n", "\r\n", "\r"])
}

prop_compose! {
    fn event()(
        name in "[a-z.]{1,8}", id in prop::option::of("[0-9]{1,5}"), data in prop::collection::vec("[^\r\n]{0,12}", 1..4),
        comment in prop::option::of("[^\r\n]{0,6}"), end in line_end(),
    ) -> String {
        let mut text = String::new();
        if let Some(comment) = comment { text += &format!(":{comment}{end}"); }
        text += &format!("event: {name}{end}");
        if let Some(id) = id { text += &format!("id: {id}{end}"); }
        for line in data { text += &format!("data: {line}{end}"); }
        text + end
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        events in prop::collection::vec(event(), 1..6),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let bytes = events.concat().into_bytes();
        let whole = read_all(vec![Bytes::from(bytes.clone())]);
        prop_assert_eq!(whole.len(), events.len());
        prop_assert_eq!(read_all(cut(&bytes, &at)), whole);
    }

    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(prop::sample::select(b"data:id\n\r \xEF\xBB\xBF\x00\xFF7".to_vec()), 0..200),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        read_all(cut(&bytes, &at));
    }
}
