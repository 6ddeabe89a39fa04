//! `/tasks` of this device: what runs here, started and followed by callers of the link.
//!
//! A task that is started here is the same as one of the server's: it outlives the agent, has the same limits, and the
//! server is told of it as soon as it can be. Here are the rights, the bounds and the wire form.

mod output;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{
        DefaultBodyLimit, Path as PathOf, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
    routing::{get, post},
};
use foreman_machine::run::{OutputReader, Piece, TaskFolder};
use foreman_protocol::{Level, Page, ProblemCode, ProblemReason, SpecFault, StartTask, Task, TaskId};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{ApiError, ApiResult, Caller, Device};
use crate::{
    journal::Local,
    tasks::{AskRefused, Asked, Board, Event},
};

const ALLOW_BASH: &str = "ALLOW_BASH";
/// Of a task that is asked for: the server takes no more of it either.
const BODY_BYTES: usize = 192 * 1024;
/// Outputs that are followed at the same time, by everyone together.
const STREAMS: usize = 64;
/// While the disk is full nothing can be written down, and nothing starts.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);
/// The newest of them are listed.
const LISTED: usize = 200;

type IdOf = Result<PathOf<TaskId>, PathRejection>;

/// What the tasks of this device are reached by.
#[derive(Clone)]
pub struct Tasks {
    board: Arc<Board>,
    desk: mpsc::UnboundedSender<Event>,
    /// Where the task folders are.
    folders: PathBuf,
    streams: Arc<Semaphore>,
}

impl Tasks {
    #[must_use]
    pub fn new(board: Arc<Board>, desk: mpsc::UnboundedSender<Event>, folders: PathBuf) -> Self {
        Self { board, desk, folders, streams: Arc::new(Semaphore::new(STREAMS)) }
    }

    fn reader(&self, id: TaskId) -> OutputReader {
        OutputReader::of(&TaskFolder::at(self.folders.join(id.to_string())))
    }

    /// With what is on the disk of its output now.
    fn with_output(&self, mut task: Task) -> Task {
        let mut reader = self.reader(task.id);
        task.output_bytes = reader.end().unwrap_or_default();
        task.output_start = match reader.read(0, 1) {
            Ok(Piece::Gap { to }) => to,
            _ => 0,
        };
        task
    }

    fn get(&self, id: TaskId) -> ApiResult<Task> {
        self.board.get(id).map(|task| self.with_output(task)).ok_or_else(gone)
    }
}

#[derive(Clone)]
struct Desk {
    device: Arc<Device>,
    tasks: Tasks,
}

/// `/tasks` and what is beneath.
pub fn router(device: Arc<Device>, tasks: Tasks) -> Router {
    Router::new()
        .route("/tasks", get(list).post(start).layer(DefaultBodyLimit::max(BODY_BYTES)))
        .route("/tasks/{id}", get(one))
        .route("/tasks/{id}/stop", post(stop))
        .route("/tasks/{id}/output", get(output::read))
        .with_state(Desk { device, tasks })
}

async fn list(State(desk): State<Desk>, Extension(caller): Extension<Caller>) -> ApiResult<Json<Page<Task>>> {
    caller.need(Level::View)?;
    let newest = desk.tasks.board.list().into_iter().take(LISTED);
    let items = newest.map(|task| desk.tasks.with_output(task)).collect();
    // What is older is with the server.
    Ok(Json(Page { items, next: None }))
}

async fn one(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: IdOf,
) -> ApiResult<Json<Task>> {
    caller.need(Level::View)?;
    desk.tasks.get(id_of(id)?).map(Json)
}

async fn start(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    request: Result<Json<StartTask>, JsonRejection>,
) -> ApiResult<(StatusCode, Json<Task>)> {
    caller.need(Level::Operate)?;
    desk.device.allow(ALLOW_BASH, |policy| policy.allow_bash)?;
    let Json(request) = request.map_err(|error| ApiError::invalid("body", error.body_text()))?;
    request.spec.check()?;
    if request.models.is_some() {
        return Err(ApiError::invalid(
            "models",
            "A device makes no keys for models. Ask its server for this task.",
        ));
    }
    let local = Local::asked(&request, caller.who(), caller.owner());
    let (reply, answer) = oneshot::channel();
    let asked = Asked::Start { spec: request.spec, local: Box::new(local), reply };
    let _ = desk.tasks.desk.send(asked.into());
    let task = answered(answer).await??;
    Ok((StatusCode::CREATED, Json(desk.tasks.with_output(task))))
}

/// Also when commands are not allowed any more: what runs from before must not be stuck.
async fn stop(
    State(desk): State<Desk>,
    Extension(caller): Extension<Caller>,
    id: IdOf,
) -> ApiResult<(StatusCode, Json<Task>)> {
    caller.need(Level::Operate)?;
    let id = id_of(id)?;
    let task = desk.tasks.get(id)?;
    if desk.tasks.board.owner(id) != Some(caller.owner()) {
        caller.need(Level::Admin)?;
    }
    if task.state.is_final() {
        return Err(ApiError::new(ProblemCode::Conflict, "This task has ended already.")
            .because(ProblemReason::TaskEnded));
    }
    let (reply, answer) = oneshot::channel();
    let _ = desk.tasks.desk.send(Asked::Stop { task: id, reply }.into());
    answered(answer).await?;
    Ok((StatusCode::ACCEPTED, Json(desk.tasks.get(id)?)))
}

async fn answered<T>(answer: oneshot::Receiver<T>) -> ApiResult<T> {
    let late = || {
        let message = "The device cannot write it down now; its disk may be full. Try again: asked for with the \
                       same id it runs once.";
        ApiError::new(ProblemCode::StorageUnavailable, message)
    };
    match tokio::time::timeout(TAKEN_WITHIN, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(late()),
    }
}

fn gone() -> ApiError {
    ApiError::not_found("task on this device; when it ended, its server has it")
}

fn id_of(id: IdOf) -> ApiResult<TaskId> {
    id.map(|PathOf(id)| id).map_err(|_| gone())
}

impl From<SpecFault> for ApiError {
    fn from(fault: SpecFault) -> Self {
        Self::invalid(fault.field, fault.message)
    }
}

impl From<AskRefused> for ApiError {
    fn from(refused: AskRefused) -> Self {
        match refused {
            AskRefused::Over => {
                Self::new(ProblemCode::Conflict, "It was started before and has ended; its server has it.")
                    .because(ProblemReason::TaskEnded)
            }
            AskRefused::TooMany(limit) => {
                let message = format!(
                    "{limit} tasks wait on this device already. Nothing was started; stop some of them."
                );
                Self::new(ProblemCode::LimitReached, message)
                    .with(json!({ "limit": limit, "reason": ProblemReason::TasksWaiting }))
            }
        }
    }
}
