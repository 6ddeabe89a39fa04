//! A server that speaks the device's side of the contract and can be as awkward as a real one only rarely is: it
//! loses answers after acting on them, forgets output, expires bearers, and lets devices go.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{get, post, put},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use foreman_protocol::{
    Challenge, ChallengeAnswer, CommandAction, CommandId, ConnectRequest, Connected, DeviceBearer,
    DeviceFacts, DeviceId, HeartbeatAnswer, LinkReport, LocalTask, OutputAccepted, Problem, ProblemCode,
    Reports, TaskCommand, TaskId, TaskReport, TaskSpec, TaskState, TunnelToken, challenge_message,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;

pub const TOKEN: &str = "the-token";

#[derive(Default)]
pub struct Inner {
    pub device: Option<(DeviceId, VerifyingKey)>,
    /// Raw command JSON by rising seq, until acknowledged.
    pub commands: BTreeMap<i64, (CommandId, String)>,
    pub acknowledged: Vec<CommandId>,
    pub reports: Vec<TaskReport>,
    pub output: BTreeMap<TaskId, Vec<u8>>,
    pub gaps: Vec<(TaskId, usize)>,
    pub facts: Option<DeviceFacts>,
    pub beats: u32,
    pub bearers: HashSet<String>,
    pub bearers_granted: u32,
    /// So many reports are acted on and then answered with an error.
    pub lose_report_answers: u32,
    /// The same for output.
    pub lose_output_answers: u32,
    /// Every so many output requests the server forgets all output of the task.
    pub forget_output_once: bool,
    /// Reports are refused without acting on them.
    pub deaf: bool,
    /// So many reports were refused that way.
    pub unheard: u32,
    pub gone: bool,
    /// Its X25519 link key, standard base64, told at `connect`.
    pub link_key: Option<String>,
    pub links: Vec<LinkReport>,
    /// Tasks that began at the device.
    pub started: Vec<LocalTask>,
    /// Calls from the relay, as JSON, sent once each.
    pub dials: Vec<String>,
    /// What cloudflared runs with.
    pub tunnel: Option<TunnelToken>,
}

#[derive(Clone)]
pub struct Server {
    pub url: String,
    inner: Arc<Mutex<Inner>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(Router::new()).await
    }

    /// With routes of the test's own.
    pub async fn start_with(more: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, inner: Arc::default(), changed: Arc::new(watch::Sender::new(0)) };
        let router = Router::new()
            .route("/api/v1/devices/connect", post(connect))
            .route("/api/v1/devices/{id}/challenge", post(challenge))
            .route("/api/v1/devices/{id}/bearer", post(bearer))
            .route("/api/v1/devices/{id}/facts", put(facts))
            .route("/api/v1/devices/{id}/heartbeat", post(heartbeat))
            .route("/api/v1/devices/{id}/commands", get(commands))
            .route("/api/v1/devices/{id}/reports", post(reports))
            .route("/api/v1/devices/{id}/tasks/{task}/output", put(output))
            .route("/api/v1/devices/{id}/disconnect", post(disconnect))
            .route("/api/v1/devices/{id}/tunnel", get(tunnel))
            .with_state(server.clone())
            .merge(more);
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let done = act(&mut self.inner.lock().unwrap());
        self.changed.send_modify(|count| *count += 1);
        done
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Inner) -> bool) {
        let mut changed = self.changed.subscribe();
        let wait = async {
            loop {
                changed.mark_unchanged();
                if is_so(&self.inner.lock().unwrap()) {
                    return;
                }
                changed.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), wait).await;
        let reports = || self.inner.lock().unwrap().reports.clone();
        assert!(waited.is_ok(), "never so: {what}; reports: {:?}", reports());
    }

    pub fn command(&self, action: CommandAction) -> CommandId {
        let id = CommandId::fresh();
        let action = serde_json::to_value(action).unwrap();
        self.raw(id, action);
        id
    }

    /// A command as it may come from another version.
    pub fn raw(&self, id: CommandId, mut action: serde_json::Value) {
        self.with(|inner| {
            let seq = inner
                .commands
                .last_key_value()
                .map_or(1, |(seq, _)| seq + 1)
                .max(inner.acknowledged.len() as i64 + 1);
            action["id"] = serde_json::json!(id);
            action["seq"] = serde_json::json!(seq);
            inner.commands.insert(seq, (id, action.to_string()));
        });
    }

    pub fn shell(&self, line: &str) -> TaskId {
        let task_id = TaskId::fresh();
        let command = TaskCommand::Shell { shell: line.to_owned() };
        let spec = TaskSpec { command, cwd: Some("/".to_owned()), env: Default::default(), timeout_s: None };
        self.command(CommandAction::StartTask { task_id, spec });
        task_id
    }

    pub async fn until_state(&self, task: TaskId, state: TaskState) -> TaskReport {
        self.until(state.as_str(), |inner| inner.report(task, state).is_some()).await;
        self.with(|inner| inner.report(task, state).unwrap())
    }

    pub async fn until_output(&self, task: TaskId, wanted: &str) {
        self.until(wanted, |inner| inner.text(task).contains(wanted)).await;
    }
}

impl Inner {
    pub fn report(&self, task: TaskId, state: TaskState) -> Option<TaskReport> {
        self.reports.iter().find(|report| report.task_id == task && report.state == state).cloned()
    }

    pub fn text(&self, task: TaskId) -> String {
        self.output.get(&task).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }

    fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        if self.gone {
            return Some(problem(410, ProblemCode::DeviceGone, None));
        }
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        (!self.bearers.contains(bearer)).then(|| problem(401, ProblemCode::Unauthenticated, None))
    }
}

fn problem(status: u16, code: ProblemCode, details: Option<serde_json::Value>) -> Response {
    let message = "No.".to_owned();
    let problem = Problem { kind: "urn:x".to_owned(), status, code, message, details };
    (StatusCode::from_u16(status).unwrap(), Json(problem)).into_response()
}

fn lost() -> Response {
    problem(503, ProblemCode::Unavailable, None)
}

async fn connect(State(server): State<Server>, Json(request): Json<ConnectRequest>) -> Response {
    if request.token != TOKEN {
        return problem(403, ProblemCode::ConnectionTokenInvalid, None);
    }
    let key: [u8; 32] = STANDARD.decode(request.public_key).unwrap().try_into().unwrap();
    let device_id = DeviceId::fresh();
    server.with(|inner| inner.device = Some((device_id, VerifyingKey::from_bytes(&key).unwrap())));
    Json(Connected {
        device_id,
        name: "Awkward".to_owned(),
        server_time: 0,
        heartbeat_s: 1,
        server_link_key: server.with(|inner| inner.link_key.clone()),
    })
    .into_response()
}

async fn challenge(State(server): State<Server>) -> Response {
    if server.with(|inner| inner.gone) {
        return problem(410, ProblemCode::DeviceGone, None);
    }
    Json(Challenge { challenge: "c2FsdA==".to_owned() }).into_response()
}

async fn bearer(State(server): State<Server>, Json(answer): Json<ChallengeAnswer>) -> Response {
    server.with(|inner| {
        let (device, key) = inner.device.unwrap();
        let signature = Signature::from_slice(&STANDARD.decode(answer.signature).unwrap()).unwrap();
        if key.verify(&challenge_message(device, &answer.challenge), &signature).is_err() {
            return problem(401, ProblemCode::Unauthenticated, None);
        }
        inner.bearers_granted += 1;
        let bearer = format!("b{}", inner.bearers_granted);
        inner.bearers.insert(format!("Bearer {bearer}"));
        Json(DeviceBearer { bearer, expires_in_s: 600, server_link_key: None }).into_response()
    })
}

async fn facts(State(server): State<Server>, headers: HeaderMap, Json(facts): Json<DeviceFacts>) -> Response {
    server.with(|inner| match inner.refusal(&headers) {
        Some(refusal) => refusal,
        None => {
            inner.facts = Some(facts);
            StatusCode::NO_CONTENT.into_response()
        }
    })
}

async fn heartbeat(State(server): State<Server>, headers: HeaderMap) -> Response {
    server.with(|inner| match inner.refusal(&headers) {
        Some(refusal) => refusal,
        None => {
            inner.beats += 1;
            Json(HeartbeatAnswer { server_time: 0, heartbeat_s: 1 }).into_response()
        }
    })
}

async fn commands(State(server): State<Server>, headers: HeaderMap) -> Response {
    if let Some(refusal) = server.with(|inner| inner.refusal(&headers)) {
        return refusal;
    }
    Sse::new(command_stream(server)).keep_alive(KeepAlive::default()).into_response()
}

/// Everything not acknowledged, then what comes; ends when the device is let go.
fn command_stream(server: Server) -> impl Stream<Item = Result<Event, Infallible>> {
    let changed = server.changed.subscribe();
    stream::unfold((server, changed, 0), |(server, mut changed, sent)| async move {
        loop {
            changed.mark_unchanged();
            let (gone, next) = {
                let mut inner = server.inner.lock().unwrap();
                if let Some(dial) = inner.dials.pop() {
                    let event = Event::default().event("dial").data(dial);
                    drop(inner);
                    return Some((Ok(event), (server, changed, sent)));
                }
                let next =
                    inner.commands.range(sent + 1..).next().map(|(seq, (_, json))| (*seq, json.clone()));
                (inner.gone, next)
            };
            if gone {
                return None;
            }
            if let Some((seq, json)) = next {
                let event = Event::default().event("command").id(seq.to_string()).data(json);
                return Some((Ok(event), (server, changed, seq)));
            }
            changed.changed().await.ok()?;
        }
    })
    .boxed()
}

async fn reports(State(server): State<Server>, headers: HeaderMap, Json(reports): Json<Reports>) -> Response {
    server.with(|inner| {
        if let Some(refusal) = inner.refusal(&headers) {
            return refusal;
        }
        if inner.deaf {
            inner.unheard += 1;
            return lost();
        }
        inner.commands.retain(|_, (id, _)| !reports.acknowledged.contains(id));
        inner.acknowledged.extend(reports.acknowledged);
        inner.started.extend(reports.started);
        inner.reports.extend(reports.tasks);
        inner.links.extend(reports.links);
        if inner.lose_report_answers > 0 {
            inner.lose_report_answers -= 1;
            return lost();
        }
        StatusCode::NO_CONTENT.into_response()
    })
}

#[derive(serde::Deserialize)]
struct Place {
    offset: usize,
    gap: Option<u8>,
}

async fn output(
    State(server): State<Server>,
    headers: HeaderMap,
    Path((_, task)): Path<(DeviceId, TaskId)>,
    Query(place): Query<Place>,
    body: Bytes,
) -> Response {
    server.with(|inner| {
        if let Some(refusal) = inner.refusal(&headers) {
            return refusal;
        }
        if std::mem::take(&mut inner.forget_output_once) {
            inner.output.remove(&task);
        }
        let kept = inner.output.entry(task).or_default();
        if place.offset > kept.len() {
            if place.gap.is_none() {
                let expected = serde_json::json!({ "expected": kept.len() });
                return problem(409, ProblemCode::OutputOffset, Some(expected));
            }
            inner.gaps.push((task, place.offset));
            kept.resize(place.offset, b'?');
        }
        if let Some(news) = body.get(kept.len() - place.offset..) {
            kept.extend(news);
        }
        let acknowledged = kept.len() as u64;
        if inner.lose_output_answers > 0 {
            inner.lose_output_answers -= 1;
            return lost();
        }
        Json(OutputAccepted { acknowledged }).into_response()
    })
}

async fn tunnel(State(server): State<Server>, headers: HeaderMap) -> Response {
    server.with(|inner| match (inner.refusal(&headers), &inner.tunnel) {
        (Some(refusal), _) => refusal,
        (None, Some(tunnel)) => Json(tunnel).into_response(),
        (None, None) => problem(404, ProblemCode::NotFound, None),
    })
}

async fn disconnect(State(server): State<Server>, headers: HeaderMap) -> Response {
    server.with(|inner| match inner.refusal(&headers) {
        Some(refusal) => refusal,
        None => {
            inner.gone = true;
            StatusCode::NO_CONTENT.into_response()
        }
    })
}
