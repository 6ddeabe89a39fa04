//! A stand-in for what a device answers: one terminal, one file, one upload, one log, kept as simply as the contract
//! allows.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response, Sse, sse::Event},
    routing::{get, patch, post},
};
use foreman_protocol::{Terminal, TerminalEnded, TerminalFrame, TerminalId, TerminalState, Upload, UploadId};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use crate::scene::Came;

#[derive(Clone, Default)]
pub struct Api(Arc<Inner>);

#[derive(Default)]
pub struct Inner {
    pub screen: watch::Sender<Vec<u8>>,
    /// What each writer typed so far.
    pub typed: Mutex<HashMap<String, Vec<u8>>>,
    pub more_typed: Notify,
    pub sizes: Mutex<Vec<(u16, u16)>>,
    pub file: Mutex<Vec<u8>>,
    pub ranges: Mutex<Vec<String>>,
    pub uploaded: Mutex<Vec<u8>>,
    pub pieces: Mutex<Vec<u64>>,
    pub upload_size: Mutex<u64>,
    /// The terminal's program has ended: what it printed is shown, and nothing is taken any more.
    pub ended: AtomicBool,
}

impl std::ops::Deref for Api {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

pub const ETAG: &str = "\"v1\"";

impl Api {
    pub fn router(&self) -> Router {
        Router::new()
            .route("/hello", get(hello))
            .route("/terminals/{id}/attach", post(attach))
            .route("/files/content", get(content))
            .route("/uploads", post(start_upload))
            .route("/uploads/{id}", patch(piece).get(upload))
            .route("/logs/stream", get(logs))
            .route("/forward", post(|body: Body| async move { Body::from_stream(body.into_data_stream()) }))
            .with_state(self.clone())
    }

    pub fn print(&self, text: &str) {
        self.screen.send_modify(|screen| screen.extend_from_slice(text.as_bytes()));
    }

    pub fn all_typed(&self) -> String {
        let typed = self.typed.lock().unwrap();
        assert!(typed.len() <= 1, "one viewer is one writer: {typed:?}");
        typed.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// Waits until all of this was typed, and nothing else.
    pub async fn until_typed(&self, expected: &str) {
        let arrived = async {
            while self.all_typed().len() < expected.len() {
                self.more_typed.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), arrived).await.expect("all that was typed arrives");
        assert_eq!(self.all_typed(), expected);
    }

    fn start(&self) -> Upload {
        let (received, size) =
            (self.uploaded.lock().unwrap().len() as u64, *self.upload_size.lock().unwrap());
        // One is enough, so its id says nothing.
        let id: UploadId = "0199aa00-0000-7000-8000-000000000000".parse().unwrap();
        Upload { id, path: "/f".to_owned(), size, received, done: received == size }
    }
}

async fn hello(came: Option<Extension<Came>>) -> Json<serde_json::Value> {
    let name = came.map(|Extension(Came(path))| path).unwrap_or_default();
    Json(
        json!({"device_id": TerminalId::fresh(), "name": name, "level": "operate", "expires_at": 1, "policy": {},
        "agent_version": "0", "link_version": 1, "time": 1}),
    )
}

#[derive(Deserialize)]
struct Attach {
    from: usize,
    writer: Option<String>,
}

/// Frames without their lengths.
pub fn unframed(body: Body) -> impl Stream<Item = Bytes> + Unpin {
    let bytes = body.into_data_stream().map(|piece| piece.map_err(std::io::Error::other));
    let codec = LengthDelimitedCodec::new();
    let frames = FramedRead::new(tokio_util::io::StreamReader::new(Box::pin(bytes)), codec);
    Box::pin(
        frames.take_while(|frame| std::future::ready(frame.is_ok())).map(|frame| frame.unwrap().freeze()),
    )
}

fn framed(frame: &TerminalFrame) -> Bytes {
    let frame = frame.encode();
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], &frame].concat().into()
}

async fn attach(
    State(api): State<Api>,
    Path(id): Path<TerminalId>,
    Query(Attach { from, writer }): Query<Attach>,
    body: Body,
) -> Body {
    if api.ended.load(Ordering::Relaxed) {
        return last_words(&api, id, from, body);
    }
    let (accepted, accepts) = tokio::sync::mpsc::unbounded_channel();
    let name = writer.clone().unwrap_or_default();
    let known = api.typed.lock().unwrap().entry(name.clone()).or_default().len() as u64;
    let (typist, mut frames) = (api.clone(), unframed(body));
    tokio::spawn(async move {
        while let Some(frame) = frames.next().await {
            match TerminalFrame::decode(&frame).unwrap() {
                TerminalFrame::Input { offset, data } => {
                    let mut typed = typist.typed.lock().unwrap();
                    let typed = typed.get_mut(&name).unwrap();
                    assert!(offset <= typed.len() as u64, "typed with a hole");
                    let seen = typed.len() - usize::try_from(offset).unwrap();
                    typed.extend_from_slice(data.get(seen..).unwrap_or_default());
                    typist.more_typed.notify_one();
                    let _ = accepted.send(TerminalFrame::InputAccepted { received: typed.len() as u64 });
                }
                TerminalFrame::Resize { cols, rows } => typist.sizes.lock().unwrap().push((cols, rows)),
                other => panic!("a viewer does not say {other:?}"),
            }
        }
    });
    let terminal = terminal(id, None);
    let state = TerminalState { terminal, may_write: writer.is_some(), input_received: known };
    let first = stream::iter([TerminalFrame::State(Box::new(state))]);
    let screen = api.screen.subscribe();
    let output = stream::unfold((screen, from), |(mut screen, at)| async move {
        // A few bytes at a time, so that there is always something on its way when a path dies.
        let data = screen.wait_for(|screen| screen.len() > at).await.ok()?[at..].to_vec();
        let data = data[..data.len().min(97)].to_vec();
        let next = at + data.len();
        Some((TerminalFrame::Output { offset: at as u64, data }, (screen, next)))
    });
    let accepts = tokio_stream::wrappers::UnboundedReceiverStream::new(accepts);
    let frames = first.chain(stream::select(output, accepts));
    Body::from_stream(frames.map(|frame| Ok::<_, Infallible>(framed(&frame))))
}

fn terminal(id: TerminalId, ended: Option<TerminalEnded>) -> Terminal {
    Terminal {
        id,
        name: "sh".to_owned(),
        command: vec![],
        cwd: "/".to_owned(),
        cols: 80,
        rows: 24,
        created_at: 1,
        opened_by: "me".to_owned(),
        viewers: 1,
        writers: 1,
        recording: None,
        output_bytes: 0,
        ended,
    }
}

/// What is asked with is let go behind them, without anybody having read it.
fn last_words(api: &Api, id: TerminalId, from: usize, asked: Body) -> Body {
    let ended = TerminalEnded { at: 1, exit_code: Some(0), signal: None };
    let terminal = terminal(id, Some(ended.clone()));
    let state = TerminalState { terminal, may_write: false, input_received: 0 };
    let screen = api.screen.borrow().clone();
    let output =
        (from..screen.len()).map(|at| TerminalFrame::Output { offset: at as u64, data: vec![screen[at]] });
    let frames = [TerminalFrame::State(Box::new(state))]
        .into_iter()
        .chain(output)
        .chain([TerminalFrame::Ended(ended)]);
    let all = frames.map(|frame| framed(&frame)).collect::<Vec<_>>().concat();
    Body::from_stream(stream::iter([all]).map(move |all| {
        let _held = &asked;
        Ok::<_, Infallible>(all)
    }))
}

async fn content(State(api): State<Api>, headers: HeaderMap) -> Response {
    let file = Bytes::from(api.file.lock().unwrap().clone());
    let size = file.len();
    let start = headers.get(header::RANGE).map(|range| {
        assert_eq!(headers[header::IF_RANGE], ETAG);
        let range = range.to_str().unwrap();
        api.ranges.lock().unwrap().push(range.to_owned());
        range.strip_prefix("bytes=").unwrap().trim_end_matches('-').parse::<usize>().unwrap()
    });
    let pieces: Vec<_> =
        file.slice(start.unwrap_or(0)..).chunks(10_000).map(Bytes::copy_from_slice).collect();
    let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)));
    let length = (size - start.unwrap_or(0)).to_string();
    let mut response = ([(header::ETAG, ETAG), (header::CONTENT_LENGTH, &length)], body).into_response();
    if let Some(start) = start {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {start}-{}/{size}", size - 1).parse().unwrap();
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

async fn start_upload(State(api): State<Api>, Json(start): Json<serde_json::Value>) -> Json<Upload> {
    *api.upload_size.lock().unwrap() = start["size"].as_u64().unwrap();
    Json(api.start())
}

async fn upload(State(api): State<Api>) -> Json<Upload> {
    Json(api.start())
}

#[derive(Deserialize)]
struct Offset {
    offset: u64,
}

async fn piece(State(api): State<Api>, Query(Offset { offset }): Query<Offset>, body: Body) -> Json<Upload> {
    assert_eq!(offset, api.uploaded.lock().unwrap().len() as u64, "a piece that does not continue");
    api.pieces.lock().unwrap().push(offset);
    let mut body = body.into_data_stream();
    while let Some(Ok(bytes)) = body.next().await {
        api.uploaded.lock().unwrap().extend_from_slice(&bytes);
    }
    Json(api.start())
}

/// Three lines, then silence until the path is cut, then the rest.
async fn logs(headers: HeaderMap) -> impl IntoResponse {
    let after: u32 = headers.get("last-event-id").map_or(0, |id| id.to_str().unwrap().parse().unwrap());
    let line = |number: u32| {
        Event::default()
            .event("line")
            .id(number.to_string())
            .json_data(json!({"text": format!("line {number}")}))
    };
    let some = stream::iter((after + 1..=after + 3).map(line));
    let end = match after {
        0 => stream::pending().boxed(),
        _ => stream::iter([Ok(Event::default().event("end").data("{}"))]).boxed(),
    };
    Sse::new(some.chain(end))
        .keep_alive(axum::response::sse::KeepAlive::new().interval(Duration::from_secs(15)))
}
