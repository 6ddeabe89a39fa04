//! The terminals of this device, for callers of the link.
//!
//! Who may look may not type; who may type may end what they opened themselves; the rest is the owner's. While the
//! policy does not allow commands nobody opens or attaches to a terminal, and one who is attached sees and types no more.

mod attach;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Extension, Json, Router,
    extract::{
        Path as PathOf, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
    routing::{get, post},
};
use foreman_machine::terminal::{OpenError, Opener, Setup, Terminals, UpdateError};
use foreman_protocol::{
    Level, LinkUse, OpenTerminal, Page, ProblemCode, ProblemReason, Terminal, TerminalId, UpdateTerminal,
};

use super::{ApiError, ApiResult, Caller, Device};

const ALLOW_BASH: &str = "ALLOW_BASH";
/// Between the request to end a terminal and the kill.
const GRACE: Duration = Duration::from_secs(5);
/// How long a terminal that ended stays listed.
const KEPT: Duration = Duration::from_secs(600);

#[derive(Debug, Clone)]
struct Desk {
    device: Arc<Device>,
    terminals: Arc<Terminals>,
}

type IdOf = Result<PathOf<TerminalId>, PathRejection>;
type BodyOf<T> = Result<Json<T>, JsonRejection>;

/// The terminals of an agent whose state is in `state_dir`. They live as long as they are used in this process.
///
/// # Errors
/// When the program cannot find itself, which it is started as again for each terminal.
pub fn terminals(
    state_dir: &Path,
    on_use: impl Fn(LinkUse) + Send + Sync + 'static,
) -> anyhow::Result<Arc<Terminals>> {
    let own = std::env::current_exe().context("Cannot find this program")?;
    // Once the file was replaced by a newer one its name leads nowhere, or to one that may not understand this one.
    let program = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { own };
    Ok(Arc::new(Terminals::new(Setup {
        holder: vec![program.into(), crate::HOLD.into()],
        recordings: state_dir.join("recordings"),
        hidden_env: "FOREMAN_",
        grace: GRACE,
        kept: KEPT,
        on_use: Box::new(on_use),
    })))
}

pub fn router(device: Arc<Device>, terminals: Arc<Terminals>) -> Router {
    Router::new()
        .route("/terminals", get(list).post(open))
        .route("/terminals/{id}", get(one).patch(update).delete(end))
        .route("/terminals/{id}/attach", post(attach::attach))
        .with_state(Desk { device, terminals })
}

async fn list(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
) -> ApiResult<Json<Page<Terminal>>> {
    caller.need(Level::View)?;
    // Few enough for one page.
    Ok(Json(Page { items: desk.terminals.list(), next: None }))
}

async fn one(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: IdOf,
) -> ApiResult<Json<Terminal>> {
    caller.need(Level::View)?;
    Ok(Json(desk.terminals.get(id_of(id)?).ok_or_else(gone)?))
}

async fn open(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    request: BodyOf<OpenTerminal>,
) -> ApiResult<(StatusCode, Json<Terminal>)> {
    caller.need(Level::Operate)?;
    let policy = desk.device.allow(ALLOW_BASH, |policy| policy.allow_bash)?;
    let request = body_of(request)?;
    if request.record {
        caller.need(Level::Admin)?;
    }
    let opener = Opener { name: caller.who(), owner: caller.owner() };
    let terminal = desk.terminals.open(&policy, request, opener).await.map_err(not_opened)?;
    Ok((StatusCode::CREATED, Json(terminal)))
}

async fn update(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: IdOf,
    request: BodyOf<UpdateTerminal>,
) -> ApiResult<Json<Terminal>> {
    let id = id_of(id)?;
    let request = body_of(request)?;
    if request.record.is_some() {
        caller.need(Level::Admin)?;
    }
    if request.record == Some(true) {
        desk.device.allow(ALLOW_BASH, |policy| policy.allow_bash)?;
    }
    need_for(&desk, &caller, id)?;
    Ok(Json(desk.terminals.update(id, &request).map_err(not_updated)?))
}

/// Also when commands are not allowed any more: what is left from before must not be stuck.
async fn end(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: IdOf,
) -> ApiResult<StatusCode> {
    let id = id_of(id)?;
    need_for(&desk, &caller, id)?;
    if desk.terminals.end(id, &caller.who()) { Ok(StatusCode::NO_CONTENT) } else { Err(gone()) }
}

/// What a caller needs to change a terminal: more when somebody else opened it.
fn need_for(desk: &Desk, caller: &Caller, id: TerminalId) -> ApiResult<()> {
    caller.need(Level::Operate)?;
    let theirs = desk.terminals.owner(id).ok_or_else(gone)?;
    if theirs == caller.owner() { Ok(()) } else { caller.need(Level::Admin) }
}

fn gone() -> ApiError {
    ApiError::not_found("terminal")
}

fn id_of(id: IdOf) -> ApiResult<TerminalId> {
    id.map(|PathOf(id)| id).map_err(|_| gone())
}

fn body_of<T>(body: BodyOf<T>) -> ApiResult<T> {
    body.map(|Json(body)| body).map_err(|error| ApiError::invalid("body", error.body_text()))
}

fn not_opened(error: OpenError) -> ApiError {
    match error {
        OpenError::Refused { setting: Some(setting), refusal } => {
            ApiError { message: refusal.to_string(), ..ApiError::policy(setting) }
        }
        OpenError::Refused { setting: None, refusal } => ApiError::invalid("cwd", refusal.to_string()),
        OpenError::Invalid { field, message } => ApiError::invalid(field, message),
        OpenError::TooMany => {
            ApiError::new(ProblemCode::LimitReached, error.to_string()).because(ProblemReason::TerminalsOpen)
        }
        OpenError::Failed(cause) => ApiError::internal(&cause.context("the terminal could not be opened")),
    }
}

fn not_updated(error: UpdateError) -> ApiError {
    match error {
        UpdateError::NotFound => gone(),
        UpdateError::Invalid { field, message } => ApiError::invalid(field, message),
        UpdateError::Ended => {
            ApiError::new(ProblemCode::Conflict, error.to_string()).because(ProblemReason::TerminalEnded)
        }
        UpdateError::Failed(cause) => ApiError::internal(&cause.context("the recording could not be begun")),
    }
}
