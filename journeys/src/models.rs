//! Vendors of language models, as far as their published APIs need it: OpenAI's chat completions, embeddings and list
//! of models, and Anthropic's messages, streaming or not, with tools; able to fail in every way that matters.
//!
//! Sources: <https://platform.openai.com/docs/api-reference> and <https://docs.anthropic.com/en/api/messages>. There is
//! no account behind the tests, so this is a contract test: it shows that we speak what is published, not that the
//! vendors agree.
//!
//! How it answers is said by [`Behaviour`], for all requests, or by the model's name for programs that have no other
//! way: `limited`, `fails`, `missing`, `hangs`, `breaks` and so on, with anything behind a dash.

mod anthropic;
mod openai;
mod vendors;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::watch;
pub use vendors::Vendor;

/// What the stub says it used.
pub const PROMPT_TOKENS: i64 = 12;
pub const CACHED_TOKENS: i64 = 4;
/// What it counts in any request that it is only asked to count.
pub const COUNTED_TOKENS: i64 = 2_095;

/// How requests are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// As documented.
    Answer,
    /// With this status and the vendor's shape of an error, and `Retry-After` where there is one, seconds.
    Fail(u16, Option<u32>),
    /// With this status, and `Retry-After` as it stands here.
    Busy(u16, String),
    /// 404, no such model.
    Missing,
    /// Never begins.
    Silent,
    /// Says who speaks, then the connection breaks before the first token.
    BreakFirst,
    /// Some tokens, then the connection breaks; or some of an answer that is not streamed.
    Break,
    /// The same, then nothing more, until the caller goes or [`Models::release`] lets it end.
    Hang,
    /// Says who speaks, then nothing more, as [`Behaviour::Hang`].
    HangFirst,
    /// Streams without saying what was used.
    NoUsage,
    /// The first token comes after so many milliseconds.
    Slow(u64),
}

impl Behaviour {
    /// `limited-x`, `fails-y`, …
    fn of_model(model: &str) -> Self {
        match model.split('-').next().unwrap_or_default() {
            "limited" => Self::Fail(429, model.rsplit('-').next().and_then(|s| s.parse().ok()).or(Some(20))),
            "fails" => Self::Fail(500, None),
            "refuses" => Self::Fail(401, None),
            "missing" => Self::Missing,
            "silent" => Self::Silent,
            "breaks" => Self::Break,
            "breaksfirst" => Self::BreakFirst,
            "hangs" => Self::Hang,
            "hangsfirst" => Self::HangFirst,
            "nousage" => Self::NoUsage,
            "slow" => Self::Slow(model.rsplit('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(500)),
            _ => Self::Answer,
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub raw: Bytes,
    pub body: Value,
}

#[derive(Default)]
struct Inner {
    behaviour: Option<Behaviour>,
    /// For the next requests, one each, before anything else.
    next: VecDeque<Behaviour>,
    asked: Vec<Asked>,
    listed: Vec<String>,
    /// What a request must show; without one anybody may ask.
    key: Option<String>,
    /// Whom it is in all that differs between vendors; without one it is at any address.
    vendor: Option<Vendor>,
    /// What may still be spent with the key, dollars.
    left: Option<f64>,
    keep: bool,
    asked_count: usize,
}

/// One vendor's server. It speaks both formats, whichever it is asked in, unless it is a certain [`Vendor`]'s.
#[derive(Clone)]
pub struct Models {
    inner: Arc<Mutex<Inner>>,
    /// Answers that the caller did not wait for.
    cancelled: watch::Sender<usize>,
    released: watch::Sender<bool>,
    url: String,
}

impl Models {
    /// On a port of its own; lists these models.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(models: &[&str]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::serve(listener, models)
    }

    /// As this vendor documents itself, for whoever shows the key.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn of(vendor: Vendor, models: &[&str], key: &str) -> Self {
        let stub = Self::start(models).await;
        stub.want_key(key);
        stub.with(|inner| inner.vendor = Some(vendor));
        stub
    }

    /// # Panics
    /// When the listener is not bound.
    pub fn serve(listener: tokio::net::TcpListener, models: &[&str]) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let listed = models.iter().map(|model| (*model).to_owned()).collect();
        let inner = Inner { listed, keep: true, ..Inner::default() };
        let stub = Self {
            inner: Arc::new(Mutex::new(inner)),
            cancelled: watch::Sender::new(0),
            released: watch::Sender::new(false),
            url,
        };
        let router = Router::new().fallback(answer).with_state(stub.clone());
        tokio::spawn(async move {
            let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                let _ = stream.set_nodelay(true);
            });
            axum::serve(listener, router).await
        });
        stub
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where it listens.
    #[must_use]
    pub fn place(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// What may still be spent with its key from now on, dollars.
    pub fn leave(&self, dollars: f64) {
        self.with(|inner| inner.left = Some(dollars));
    }

    /// The base address that a provider is given.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}/v1", self.url)
    }

    /// Refuses who does not show this key.
    pub fn want_key(&self, key: &str) {
        self.with(|inner| inner.key = Some(key.to_owned()));
    }

    /// From now on, for all requests.
    pub fn behave(&self, behaviour: Behaviour) {
        self.with(|inner| inner.behaviour = Some(behaviour));
    }

    /// For the next request only; several are taken in order.
    pub fn once(&self, behaviour: Behaviour) {
        self.with(|inner| inner.next.push_back(behaviour));
    }

    /// Lets hanging answers end.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Does not keep what it is asked, for measurements.
    pub fn forget(&self) {
        self.with(|inner| inner.keep = false);
    }

    /// Requests for answers and embeddings, not for the list of models.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.with(|inner| inner.asked.clone())
    }

    /// How many of them there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.with(|inner| inner.asked_count)
    }

    /// Waits until so many answers were given up by their caller.
    ///
    /// # Panics
    /// When that does not happen.
    pub async fn cancelled(&self, count: usize) {
        let mut cancelled = self.cancelled.subscribe();
        crate::soon("the request upstream ends", cancelled.wait_for(|now| *now >= count))
            .await
            .expect("the stub lives");
    }
}

async fn answer(State(stub): State<Models>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let anthropic = path.ends_with("/messages") || parts.headers.contains_key("anthropic-version");
    let raw = axum::body::to_bytes(body, 64 << 20).await.unwrap_or_default();
    let (vendor, wanted) = stub.with(|inner| (inner.vendor, inner.key.clone()));
    let body: Value = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    if let Some(vendor) = vendor {
        let (listed, left) = stub.with(|inner| (inner.listed.clone(), inner.left));
        let asked = (&parts.method, &parts.uri, &parts.headers, &body);
        if let Some(said) = vendor.before(asked, &listed, wanted.as_deref(), left) {
            return said;
        }
    } else if wanted.is_some_and(|key| !shows(&parts.headers, &key)) {
        return refused(anthropic, 401, None);
    }
    if path.ends_with("/models") {
        let listed = stub.with(|inner| inner.listed.clone());
        return json(
            StatusCode::OK,
            &if anthropic { anthropic::list(&listed) } else { openai::list(&listed) },
        );
    }
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let behaviour = stub.with(|inner| {
        inner.asked_count += 1;
        if inner.keep {
            inner.asked.push(Asked {
                path: path.clone(),
                headers: parts.headers.clone(),
                raw,
                body: body.clone(),
            });
        }
        let next = inner.next.pop_front().or_else(|| inner.behaviour.clone());
        next.unwrap_or_else(|| Behaviour::of_model(&model))
    });
    match behaviour {
        Behaviour::Fail(status, retry) => {
            return refused(anthropic, status, retry.map(|seconds| seconds.to_string()).as_deref());
        }
        Behaviour::Busy(status, ref retry) => return refused(anthropic, status, Some(retry)),
        Behaviour::Missing => return missing(anthropic, &model),
        Behaviour::Slow(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Behaviour::Silent => {
            let _gone = Guard { cancelled: stub.cancelled.clone(), whole: false };
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    if path.ends_with("/messages/count_tokens") {
        return json(StatusCode::OK, &serde_json::json!({ "input_tokens": COUNTED_TOKENS }));
    }
    if path.ends_with("/embeddings") {
        return json(StatusCode::OK, &openai::embeddings(&body));
    }
    if body["stream"] != true {
        let whole = if anthropic { anthropic::whole(&body) } else { openai::whole(&body) };
        return match behaviour {
            Behaviour::Hang | Behaviour::Break => {
                in_pieces(&stub, "application/json", cut(&whole), behaviour)
            }
            _ => json(StatusCode::OK, &whole),
        };
    }
    let counts = behaviour != Behaviour::NoUsage;
    let events = match vendor {
        Some(vendor) => vendor.events(&body),
        None if anthropic => anthropic::events(&body, counts),
        None => openai::events(&body, counts),
    };
    in_pieces(&stub, "text/event-stream", events, behaviour)
}

fn shows(headers: &HeaderMap, key: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text("authorization") == format!("Bearer {key}") || text("x-api-key") == key
}

fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-request-id", header::HeaderValue::from_static("req_of_the_stub"));
    response
}

fn refused(anthropic: bool, status: u16, retry: Option<&str>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = if anthropic { anthropic::error(status) } else { openai::error(status) };
    let mut response = json(status, &body);
    if let Some(retry) = retry {
        let retry = header::HeaderValue::from_str(retry).expect("a header");
        response.headers_mut().insert(header::RETRY_AFTER, retry);
    }
    response
}

fn missing(anthropic: bool, model: &str) -> Response {
    let body = if anthropic { anthropic::missing(model) } else { openai::missing(model) };
    json(StatusCode::NOT_FOUND, &body)
}

/// Counts an answer that was dropped before its end.
struct Guard {
    cancelled: watch::Sender<usize>,
    whole: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.whole {
            self.cancelled.send_modify(|count| *count += 1);
        }
    }
}

struct Streaming {
    events: VecDeque<Bytes>,
    sent: usize,
    behaviour: Behaviour,
    released: watch::Receiver<bool>,
    guard: Guard,
    broken: bool,
}

/// Events that are sent before an answer hangs or breaks: both formats' preamble and two tokens.
const BEFORE: usize = 4;

/// As many pieces as it needs to hang or break between them.
fn cut(whole: &Value) -> Vec<Bytes> {
    let whole = whole.to_string().into_bytes();
    whole.chunks(whole.len().div_ceil(BEFORE + 2)).map(Bytes::copy_from_slice).collect()
}

fn in_pieces(stub: &Models, kind: &'static str, events: Vec<Bytes>, behaviour: Behaviour) -> Response {
    let state = Streaming {
        events: events.into(),
        sent: 0,
        behaviour,
        released: stub.released.subscribe(),
        guard: Guard { cancelled: stub.cancelled.clone(), whole: false },
        broken: false,
    };
    let body = Body::from_stream(stream::unfold(state, |mut state| async move {
        if state.broken {
            return None;
        }
        let stop = match state.behaviour {
            Behaviour::BreakFirst => state.sent == 1,
            Behaviour::Break => state.sent == BEFORE,
            _ => false,
        };
        if stop {
            state.broken = true;
            // A pause sends off what was said: an error alone would take it along.
            tokio::time::sleep(Duration::from_millis(50)).await;
            state.guard.whole = true;
            return Some((Err(io::Error::other("cut")), state));
        }
        let hangs = match state.behaviour {
            Behaviour::Hang => state.sent == BEFORE,
            Behaviour::HangFirst => state.sent == 1,
            _ => false,
        };
        if hangs {
            let _ = state.released.wait_for(|released| *released).await;
        }
        let event = state.events.pop_front()?;
        state.sent += 1;
        state.guard.whole = state.events.is_empty();
        Some((Ok::<_, io::Error>(event), state))
    }));
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

/// What is said: something that shows what was understood, in pieces of a word each.
fn words(body: &Value) -> Vec<String> {
    let model = body["model"].as_str().unwrap_or_default();
    let last =
        body["messages"].as_array().and_then(|messages| messages.last()).cloned().unwrap_or(Value::Null);
    let said = text(&last["content"]);
    format!("{model} heard: {said}").split_inclusive(' ').map(str::to_owned).collect()
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| match part["type"].as_str().unwrap_or_default() {
                "text" => part["text"].as_str().unwrap_or_default().to_owned(),
                "tool_result" => format!("[result {}]", text(&part["content"])),
                kind => format!("[{kind}]"),
            })
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}
