//! Tasks: starting, listing and stopping work on devices. What a device reports is in `report`, output in `output`.

pub mod output;
pub mod report;
pub mod store;

use axum::{extract::State, http::StatusCode};
use foreman_protocol::{
    CommandAction, CommandId, DeviceId, DeviceStatus, Event, Page, ProblemCode, ProblemReason, Role,
    SpecFault, StartTask, StopAllAnswer, Task, TaskId, TaskState,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    auth::Caller,
    commands,
    db::{Tx, now},
    devices,
    events::Cause,
    extract::{Json, Path, Query},
    problem::{ApiError, ApiResult},
    query::{Filter, Paging},
    router::keys::{self, task::TaskKey},
};

/// How far ahead the clock of somebody who makes an id may be: ids sort by their time.
const AHEAD_MS: i64 = 24 * 3_600_000;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_of_device, create))
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(stop))
        .routes(routes!(stop_all))
        .routes(routes!(output::read))
        .routes(routes!(output::append))
        .routes(routes!(report::reports))
        .routes(routes!(commands::stream_commands))
}

#[derive(Debug, Deserialize, IntoParams)]
struct TaskQuery {
    /// States, separated by commas.
    state: Option<String>,
    device: Option<DeviceId>,
    /// Part of the command.
    q: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Tasks on all devices, newest first.
#[utoipa::path(get, path = "/api/v1/tasks", tag = "tasks", params(TaskQuery), responses((status = 200, body = Page<Task>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TaskQuery>,
) -> ApiResult<Json<Page<Task>>> {
    page(&app, &caller, query).await
}

/// Tasks of one device, newest first.
#[utoipa::path(get, path = "/api/v1/devices/{id}/tasks", tag = "tasks", params(("id" = DeviceId, Path), TaskQuery),
    responses((status = 200, body = Page<Task>)))]
async fn list_of_device(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    Query(query): Query<TaskQuery>,
) -> ApiResult<Json<Page<Task>>> {
    devices::store::find(app.db.read(), caller.tenant, id)
        .await?
        .ok_or_else(|| ApiError::not_found("device"))?;
    page(&app, &caller, TaskQuery { device: Some(id), ..query }).await
}

async fn page(app: &App, caller: &Caller, query: TaskQuery) -> ApiResult<Json<Page<Task>>> {
    let paging = Paging { limit: query.limit, cursor: query.cursor };
    let mut filter = Filter::new("tenant_id =", caller.tenant.to_string());
    paging.after(&mut filter, "id <");
    if let Some(device) = query.device {
        filter.text("device_id =", device.to_string());
    }
    if let Some(q) = &query.q {
        filter.contains("summary", q);
    }
    if let Some(states) = query.state.as_deref().filter(|states| !states.is_empty()) {
        let states = states
            .split(',')
            .map(|text| store::read_state(text).map(TaskState::as_str))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| {
                ApiError::invalid(
                    "state",
                    "States are queued, running, succeeded, failed, stopped, lost, refused.",
                )
            })?;
        filter.one_of("state", states);
    }
    let sql = format!(
        "SELECT {} FROM tasks WHERE {} ORDER BY id DESC LIMIT {}",
        store::COLUMNS,
        filter.sql(),
        paging.fetch()
    );
    let rows = filter.fetch(&app.db, sql).await?;
    let items = rows.iter().map(store::read).collect::<ApiResult<Vec<_>>>()?;
    Ok(Json(paging.page(items, |task| task.id.to_string())))
}

/// One task.
#[utoipa::path(get, path = "/api/v1/tasks/{id}", tag = "tasks", params(("id" = TaskId, Path)),
    responses((status = 200, body = Task)))]
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<TaskId>) -> ApiResult<Json<Task>> {
    let task = store::find(app.db.read(), caller.tenant, id).await?;
    Ok(Json(task.ok_or_else(|| ApiError::not_found("task"))?))
}

/// Starts a program or a shell line on a device. It waits there when the device is offline. Asked again with the same
/// id it is answered with the task that is there.
#[utoipa::path(post, path = "/api/v1/devices/{id}/tasks", tag = "tasks", params(("id" = DeviceId, Path)),
    request_body = StartTask, responses((status = 201, body = Task)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(device): Path<DeviceId>,
    Json(StartTask { id, mut spec, models }): Json<StartTask>,
) -> ApiResult<(StatusCode, Json<Task>)> {
    caller.at_least(Role::Operator)?;
    spec.check()?;
    let cause = caller.cause();
    let mut task = Task::queued(id_of(id)?, device, &spec, caller.actor(), now());
    let key = models.as_ref().map(|models| TaskKey::fresh(&caller, &task, models)).transpose()?;
    if let (Some(models), Some(key)) = (&models, &key) {
        key.tell(&app.settings.public_url, models, &mut spec.env);
        spec.check()?;
    }
    task.models = models;
    let made = key.is_some();
    // With the values of its environment, which nobody reads in the database.
    let start = CommandAction::StartTask { task_id: task.id, spec };
    let start = commands::Sealed::new(&app.seal, task.id, &start)?;
    let task = app.db.write(move |tx| Box::pin(queue(tx, cause, task, start, key))).await?;
    if made {
        app.router.keys.learn(&app.db).await?;
    }
    metrics::counter!("foreman_tasks_total").increment(1);
    Ok((StatusCode::CREATED, Json(task)))
}

async fn queue(
    tx: &mut Tx,
    cause: Cause,
    mut task: Task,
    start: commands::Sealed,
    key: Option<TaskKey>,
) -> ApiResult<Task> {
    if devices::store::status(tx, cause.tenant, task.device_id).await? == DeviceStatus::Pending {
        return Err(ApiError::conflict("This device has not connected yet, so nothing can run there.")
            .because(ProblemReason::DeviceNotConnected));
    }
    if let Some(there) = store::same(tx, cause.tenant, &task).await? {
        return Ok(there);
    }
    store::insert(tx, cause.tenant, &task).await?;
    if let Some(key) = key {
        key.insert(tx, &cause).await?;
    }
    commands::add_sealed(tx, &cause, task.device_id, start).await?;
    task.version = tx.emit(&cause, Event::TaskQueued { task: Box::new(task.clone()) }).await?;
    Ok(task)
}

/// The id under which it starts: the asker's, or a fresh one.
fn id_of(asked: Option<TaskId>) -> ApiResult<TaskId> {
    let Some(id) = asked else { return Ok(TaskId::fresh()) };
    match id.made_at() {
        Some(at) if at <= now() + AHEAD_MS => Ok(id),
        _ => Err(ApiError::invalid("id", "An id is a UUIDv7 made now.")),
    }
}

impl From<SpecFault> for ApiError {
    fn from(fault: SpecFault) -> Self {
        Self::invalid(fault.field, fault.message)
    }
}

/// Stops a task: its whole process tree. A task the device has not received yet is withdrawn.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/stop", tag = "tasks", params(("id" = TaskId, Path)),
    responses((status = 202, body = Task)))]
async fn stop(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TaskId>,
) -> ApiResult<(StatusCode, Json<Task>)> {
    caller.at_least(Role::Operator)?;
    let cause = caller.cause();
    let task = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let task = store::find(tx.conn(), cause.tenant, id)
                    .await?
                    .ok_or_else(|| ApiError::not_found("task"))?;
                if task.state.is_final() {
                    return Err(ApiError::new(ProblemCode::Conflict, "This task has ended already.")
                        .because(ProblemReason::TaskEnded));
                }
                request_stop(tx, &cause, task).await
            })
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(task)))
}

/// Asks the device to stop a task that has not ended. Asking twice is asking once.
pub async fn request_stop(tx: &mut Tx, cause: &Cause, mut task: Task) -> ApiResult<Task> {
    if task.stop_requested_at.is_some() {
        return Ok(task);
    }
    task.stop_requested_at = Some(now());
    sqlx::query("UPDATE tasks SET stop_requested_at = $1 WHERE id = $2")
        .bind(task.stop_requested_at)
        .bind(task.id.to_string())
        .execute(tx.conn())
        .await?;
    let action = CommandAction::StopTask { task_id: task.id };
    commands::add(tx, cause, task.device_id, CommandId::fresh(), Some(task.id), &action).await?;
    task.version = tx.emit(cause, Event::TaskStopRequested { task: Box::new(task.clone()) }).await?;
    let withdrawn = task.state == TaskState::Queued && withdraw(tx, &task).await?;
    if withdrawn {
        task.state = TaskState::Stopped;
        task.ended_at = Some(now());
        task.reason = Some("Stopped before the device had started it.".to_owned());
        task.output_total = Some(0);
        store::update_state(tx, &task).await?;
        keys::task::end(tx, cause, task.id).await?;
        task.version = tx.emit(cause, Event::TaskStopped { task: Box::new(task.clone()) }).await?;
    }
    Ok(task)
}

/// Whether an offline device can be spared the task. The start may still be on its way; the stop command, which
/// stays, follows it then.
async fn withdraw(tx: &mut Tx, task: &Task) -> ApiResult<bool> {
    let offline = sqlx::query("SELECT 1 FROM presence WHERE device_id = $1 AND status = 'offline'")
        .bind(task.device_id.to_string())
        .fetch_optional(tx.conn())
        .await?
        .is_some();
    if !offline {
        return Ok(false);
    }
    commands::withdraw_start(tx, task.id).await
}

/// Stops everything that waits or runs on a device.
#[utoipa::path(post, path = "/api/v1/devices/{id}/tasks/stop", tag = "tasks", params(("id" = DeviceId, Path)),
    responses((status = 202, body = StopAllAnswer)))]
async fn stop_all(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
) -> ApiResult<(StatusCode, Json<StopAllAnswer>)> {
    caller.at_least(Role::Operator)?;
    let cause = caller.cause();
    let stopping = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                devices::store::status(tx, cause.tenant, id).await?;
                let tasks = store::open_tasks(tx, id).await?;
                let stopping = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
                for task in tasks {
                    request_stop(tx, &cause, task).await?;
                }
                Ok(stopping)
            })
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(StopAllAnswer { stopping })))
}
