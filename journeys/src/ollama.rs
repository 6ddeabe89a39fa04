//! Ollama's API as it is published, with a memory, made to wait and to fail on request.
//!
//! Programs that have no other way to it ask and tell at [`CONTROL`].
//!
//! Source: <https://docs.ollama.com/api>. Ollama itself cannot be had in the tests, so this is a contract test: it shows
//! that we speak what is published.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// Bytes of a layer that is pulled.
pub const LAYER: u64 = 4_000;
/// A pull tells this often how far it is.
pub const STEPS: u64 = 4;

/// Nothing of Ollama's: here it says what it was asked (GET), and is told (POST) any of `say`, its answer, where
/// `{question}` is what it was asked; `piece`, characters of an answer at once, 0 for a word; `may`, the steps that may
/// be taken from now on after the first of each answer, `"all"` for as many as there are; `more`, so many steps more;
/// `loaded`, the names of the models that are in memory now.
pub const CONTROL: &str = "/control";

/// What it says, and how much of it at once.
struct Script {
    say: String,
    piece: usize,
}

/// A model it has.
#[derive(Debug, Clone)]
pub struct Model {
    pub size: u64,
    pub context: u32,
    pub capabilities: Vec<&'static str>,
    /// Its own, one a line.
    pub parameters: &'static str,
    /// Where it really runs.
    pub remote_host: Option<&'static str>,
}

impl Model {
    #[must_use]
    pub fn with(capabilities: &[&'static str]) -> Self {
        Self {
            size: 2_019_393_189,
            context: 131_072,
            capabilities: capabilities.to_vec(),
            parameters: "stop \"<|eot_id|>\"",
            remote_host: None,
        }
    }
}

struct Inner {
    models: Mutex<BTreeMap<String, Model>>,
    /// With the context they run with.
    loaded: Mutex<BTreeMap<String, u32>>,
    /// How long it thinks before it tells of a model.
    show_takes: Mutex<Duration>,
    /// Steps of pulls, and words of answers, that may be taken; none is counted without a number.
    may: watch::Sender<Option<usize>>,
    script: Mutex<Script>,
    /// What was asked for.
    calls: Mutex<Vec<String>>,
    /// Bodies of the questions.
    questions: Mutex<Vec<Value>>,
    /// Answers and pulls whose reader went away before the end.
    given_up: watch::Sender<usize>,
    pulls: AtomicUsize,
}

impl Inner {
    /// Waits until one more step may be taken, and takes it.
    async fn step(&self) {
        let mut may = self.may.subscribe();
        loop {
            may.wait_for(|left| *left != Some(0)).await.expect("it lives as long as its steps");
            let mut taken = false;
            self.may.send_if_modified(|left| {
                taken = *left != Some(0);
                *left = left.map(|left| left.saturating_sub(1));
                false
            });
            if taken {
                return;
            }
        }
    }

    fn allow(&self, steps: usize) {
        self.may.send_modify(|left| *left = left.map(|left| left + steps));
    }
}

/// A running one; it stops listening when it is dropped.
pub struct Ollama {
    inner: Arc<Inner>,
    /// In the form of `OLLAMA_HOST`.
    pub host: String,
    serving: JoinHandle<()>,
}

impl Drop for Ollama {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Ollama {
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// # Panics
    /// When nothing can listen there.
    pub async fn start_at(address: &str) -> Self {
        let inner = Arc::new(Inner {
            models: Mutex::default(),
            loaded: Mutex::default(),
            show_takes: Mutex::default(),
            may: watch::Sender::new(Some(0)),
            script: Mutex::new(Script { say: "Hello from the device.".to_owned(), piece: 0 }),
            calls: Mutex::default(),
            questions: Mutex::default(),
            given_up: watch::Sender::new(0),
            pulls: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind(address).await.expect("a port");
        let host = listener.local_addr().expect("bound").to_string();
        let router = Router::new()
            .route("/api/version", get(|| async { Json(json!({ "version": "0.12.6" })) }))
            .route("/api/tags", get(tags))
            .route("/api/ps", get(loaded))
            .route("/api/show", post(show))
            .route("/api/pull", post(pull))
            .route("/api/delete", delete(remove))
            .route("/v1/models", get(openai_models))
            .route("/v1/chat/completions", post(chat).layer(DefaultBodyLimit::disable()))
            .route(CONTROL, get(state).post(told).layer(DefaultBodyLimit::disable()))
            .with_state(Arc::clone(&inner));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { inner, host, serving }
    }

    pub fn add(&self, name: &str, model: Model) {
        locked(&self.inner.models).insert(name.to_owned(), model);
    }

    pub fn load(&self, name: &str) {
        self.load_with(name, 4_096);
    }

    /// With so much context, tokens.
    pub fn load_with(&self, name: &str, context: u32) {
        locked(&self.inner.loaded).insert(name.to_owned(), context);
    }

    /// From now on it thinks so long before it tells of a model; of one that is called `stuck` it never tells.
    pub fn show_takes(&self, time: Duration) {
        *locked(&self.inner.show_takes) = time;
    }

    /// Lets so many steps of a pull, or words of an answer, happen.
    pub fn let_happen(&self, steps: usize) {
        self.inner.allow(steps);
    }

    /// Nothing is held any more.
    pub fn let_all_happen(&self) {
        self.inner.may.send_replace(None);
    }

    #[must_use]
    pub fn names(&self) -> Vec<String> {
        locked(&self.inner.models).keys().cloned().collect()
    }

    /// Pulls that were begun.
    #[must_use]
    pub fn pulls(&self) -> usize {
        self.inner.pulls.load(Ordering::SeqCst)
    }

    /// What was asked for: `show llama3.2:latest`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        locked(&self.inner.calls).clone()
    }

    /// Waits until this many readers have gone away before the end.
    ///
    /// # Panics
    /// When they do not.
    pub async fn given_up(&self, times: usize) {
        let mut given_up = self.inner.given_up.subscribe();
        crate::soon("whoever asked Ollama goes away", given_up.wait_for(|count| *count >= times))
            .await
            .expect("it runs");
    }
}

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

/// Ollama adds the tag that everybody means.
fn tagged(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

fn asked(inner: &Inner, what: &str, body: &Bytes) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let name = tagged(body["model"].as_str()?);
    locked(&inner.calls).push(format!("{what} {name}"));
    Some(name)
}

async fn state(State(inner): State<Arc<Inner>>) -> Json<Value> {
    Json(json!({
        "names": locked(&inner.models).keys().collect::<Vec<_>>(),
        "calls": *locked(&inner.calls),
        "questions": *locked(&inner.questions),
        "pulls": inner.pulls.load(Ordering::SeqCst),
        "given_up": *inner.given_up.borrow(),
    }))
}

async fn told(State(inner): State<Arc<Inner>>, Json(told): Json<Value>) {
    let number = |name: &str| told[name].as_u64().and_then(|number| usize::try_from(number).ok());
    {
        let mut script = locked(&inner.script);
        if let Some(say) = told["say"].as_str() {
            say.clone_into(&mut script.say);
        }
        script.piece = number("piece").unwrap_or(script.piece);
    }
    if let Some(names) = told["loaded"].as_array() {
        let names = names.iter().filter_map(|name| Some((name.as_str()?.to_owned(), 4_096)));
        *locked(&inner.loaded) = names.collect();
    }
    if !told["may"].is_null() {
        inner.may.send_replace(number("may"));
    }
    inner.allow(number("more").unwrap_or(0));
}

async fn tags(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let models: Vec<Value> = locked(&inner.models)
        .iter()
        .map(|(name, model)| {
            let mut row = json!({ "name": name, "model": name, "size": model.size, "digest": digest(name),
                "modified_at": "2026-10-03T23:34:03.409490317-07:00",
                "details": { "format": "gguf", "family": "llama", "parameter_size": "3.2B" } });
            if let Some(host) = model.remote_host {
                row["remote_host"] = json!(host);
                row["remote_model"] = json!(name);
            }
            row
        })
        .collect();
    Json(json!({ "models": models }))
}

fn digest(name: &str) -> String {
    format!("{:064x}", name.len())
}

async fn loaded(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let models = locked(&inner.loaded).clone();
    let models: Vec<Value> = models
        .iter()
        .map(|(name, context)| {
            json!({ "name": name, "model": name, "size": 6_591_830_464_u64, "context_length": context })
        })
        .collect();
    Json(json!({ "models": models }))
}

async fn show(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let name = asked(&inner, "show", &body).unwrap_or_default();
    let takes = *locked(&inner.show_takes);
    tokio::time::sleep(takes).await;
    if name.starts_with("stuck") {
        std::future::pending::<()>().await;
    }
    match locked(&inner.models).get(&name) {
        Some(model) => Json(json!({ "capabilities": model.capabilities, "details": { "family": "llama" },
            "parameters": model.parameters,
            "model_info": { "general.architecture": "llama", "llama.context_length": model.context } }))
        .into_response(),
        None => error(StatusCode::NOT_FOUND, &format!("model '{name}' not found")),
    }
}

async fn remove(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let name = asked(&inner, "delete", &body).unwrap_or_default();
    match locked(&inner.models).remove(&name) {
        Some(_) => StatusCode::OK.into_response(),
        None => error(StatusCode::NOT_FOUND, &format!("model '{name}' not found")),
    }
}

/// Counts the readers that go away before everything was said.
struct Reader {
    inner: Arc<Inner>,
    heard_all: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.heard_all {
            self.inner.given_up.send_modify(|count| *count += 1);
        }
    }
}

/// Each piece waits until it may be said, but for those of `at_once`.
fn said(inner: Arc<Inner>, kind: &'static str, pieces: Vec<String>, at_once: usize) -> Response {
    let state = (Reader { inner, heard_all: false }, pieces.into_iter(), at_once);
    let body = stream::unfold(state, |(mut reader, mut pieces, at_once)| async move {
        let Some(piece) = pieces.next() else {
            // Dropped here: the reader counts as one who gave up unless it says otherwise.
            reader.heard_all = true;
            drop(reader);
            return None;
        };
        if at_once == 0 {
            reader.inner.step().await;
        }
        Some((Ok::<_, std::io::Error>(Bytes::from(piece)), (reader, pieces, at_once.saturating_sub(1))))
    });
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
}

async fn pull(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let name = asked(&inner, "pull", &body).unwrap_or_default();
    inner.pulls.fetch_add(1, Ordering::SeqCst);
    let line = |value: Value| format!("{value}\n");
    if name.starts_with("missing") {
        let lines = vec![
            line(json!({ "status": "pulling manifest" })),
            line(json!({ "error": "pull model manifest: file does not exist" })),
        ];
        return said(inner, "application/x-ndjson", lines, 2);
    }
    let mut lines = vec![line(json!({ "status": "pulling manifest" }))];
    for step in 1..=STEPS {
        lines.push(line(
            json!({ "status": "pulling 170370233dd5", "digest": "sha256:170370233dd5", "total": LAYER,
            "completed": LAYER * step / STEPS }),
        ));
    }
    lines.push(line(json!({ "status": "verifying sha256 digest" })));
    lines.push(line(json!({ "status": "success" })));
    // It has the model once the layers are there, a moment before it says so.
    locked(&inner.models).insert(name, Model::with(&["completion", "tools"]));
    said(inner, "application/x-ndjson", lines, 1)
}

async fn openai_models(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let names: Vec<String> = locked(&inner.models).keys().cloned().collect();
    let data: Vec<Value> = names.iter().map(|name| json!({ "id": name, "object": "model" })).collect();
    Json(json!({ "object": "list", "data": data }))
}

/// Says what it was told to say, word by word; the first at once.
async fn chat(State(inner): State<Arc<Inner>>, body: Bytes) -> Response {
    let Some(name) = asked(&inner, "chat", &body) else {
        return error(StatusCode::BAD_REQUEST, "missing request body");
    };
    if !locked(&inner.models).keys().any(|known| tagged(known) == name) {
        let message =
            json!({ "error": { "message": format!("model '{name}' not found"), "type": "not_found_error" } });
        return (StatusCode::NOT_FOUND, Json(message)).into_response();
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    locked(&inner.questions).push(body.clone());
    let words = words(&locked(&inner.script), &question(&body));
    let spoken = words.len();
    let usage = json!({ "prompt_tokens": 11, "completion_tokens": spoken, "total_tokens": 11 + spoken });
    if body["stream"] != true {
        return Json(
            json!({ "id": "chatcmpl-1", "object": "chat.completion", "created": 1_763_700_000, "model": name,
            "choices": [{ "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": words.concat() } }], "usage": usage }),
        )
        .into_response();
    }
    let chunk = |delta: Value, finish: Value, usage: Option<&Value>| {
        let mut chunk = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_763_700_000,
            "model": name, "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
        if let Some(usage) = usage {
            chunk["usage"] = usage.clone();
        }
        format!("data: {chunk}\n\n")
    };
    let mut pieces: Vec<String> = words
        .into_iter()
        .map(|word| chunk(json!({ "role": "assistant", "content": word }), Value::Null, None))
        .collect();
    pieces.push(chunk(json!({}), json!("stop"), Some(&usage)));
    pieces.push("data: [DONE]\n\n".to_owned());
    said(inner, "text/event-stream", pieces, 1)
}

/// The words of the last message, whether it is text or parts.
fn question(body: &Value) -> String {
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    match last.map(|message| &message["content"]) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn words(script: &Script, question: &str) -> Vec<String> {
    let text = script.say.replace("{question}", question);
    if script.piece == 0 {
        return text.split_inclusive(char::is_whitespace).map(str::to_owned).collect();
    }
    let text: Vec<char> = text.chars().collect();
    text.chunks(script.piece).map(|piece| piece.iter().collect()).collect()
}
