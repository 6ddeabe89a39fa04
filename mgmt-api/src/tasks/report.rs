//! What devices say of their tasks and links: acknowledged commands, state changes and uses, taken once however
//! often they come.

use axum::{extract::State, http::StatusCode};
use foreman_protocol::{
    Actor, CommandAction, CommandId, DeviceId, Event, LocalTask, Reports, Task, TaskReport, TaskSpec,
    TaskState,
};

use super::store;
use crate::{
    App,
    auth::device::DeviceCaller,
    bounds, commands,
    db::{Tx, now},
    events::{Cause, Effect},
    extract::Json,
    link,
    problem::{ApiError, ApiResult},
    router::keys,
};

const MOST_ITEMS: usize = 1_000;
/// Of the name of somebody at the device.
const NAME_CHARS: usize = 256;

/// Acknowledges commands and reports what became of tasks and of the device link. Sending it again changes nothing.
#[utoipa::path(post, path = "/api/v1/devices/{id}/reports", tag = "agent", params(("id" = DeviceId, Path)),
    request_body = Reports, responses((status = 204)))]
pub async fn reports(
    State(app): State<App>,
    caller: DeviceCaller,
    Json(reports): Json<Reports>,
) -> ApiResult<StatusCode> {
    let Reports { acknowledged, tasks, links, started } = &reports;
    let longest = [acknowledged.len(), tasks.len(), links.len(), started.len()];
    if longest.into_iter().any(|length| length > MOST_ITEMS) {
        return Err(ApiError::invalid("body", format!("At most {MOST_ITEMS} of each are taken at once.")));
    }
    for report in &reports.tasks {
        bounds::text("reason", report.reason.as_deref().unwrap_or_default(), 4096)?;
    }
    app.db
        .write(move |tx| {
            Box::pin(async move {
                commands::acknowledge(tx, caller.id, &reports.acknowledged).await?;
                let cause = caller.cause();
                for local in reports.started {
                    take_started(tx, &cause, caller.id, local).await?;
                }
                for report in reports.tasks {
                    take(tx, &cause, caller.id, report).await?;
                }
                for report in reports.links {
                    link::reports::take(tx, &cause, caller.id, report).await?;
                }
                Ok(())
            })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A task that began at the device: it is in the list from now on, once, whoever else told of it.
async fn take_started(tx: &mut Tx, cause: &Cause, device: DeviceId, local: LocalTask) -> ApiResult<()> {
    let LocalTask { id, command, cwd, env_names, timeout_s, by, ago_ms } = local;
    let env = env_names.into_iter().map(|name| (name, String::new())).collect();
    let spec = TaskSpec { command, cwd, env, timeout_s };
    spec.check()?;
    let name = by.chars().filter(|c| *c != '\0').take(NAME_CHARS).collect();
    let began = now() - i64::try_from(ago_ms).unwrap_or(i64::MAX).min(now());
    let mut task = Task::queued(id, device, &spec, Actor::Link { name }, began);
    if store::same(tx, cause.tenant, &task).await?.is_some() {
        return Ok(());
    }
    store::insert(tx, cause.tenant, &task).await?;
    task.version = tx.emit(cause, Event::TaskQueued { task: Box::new(task.clone()) }).await?;
    metrics::counter!("foreman_tasks_total").increment(1);
    Ok(())
}

async fn take(tx: &mut Tx, cause: &Cause, device: DeviceId, report: TaskReport) -> ApiResult<()> {
    let task = store::find(tx.conn(), cause.tenant, report.task_id).await?;
    // Unknown, or another device's: nothing to do, and no reason to make the device ask again.
    let Some(mut task) = task.filter(|task| task.device_id == device) else { return Ok(()) };
    if task.state.is_final() {
        if report.state == TaskState::Running && task.state == TaskState::Stopped {
            // Withdrawn while its start was on the way: it must not go on running.
            stop_again(tx, cause, &task).await?;
        }
        return Ok(());
    }
    let at = now() - i64::try_from(report.ago_ms).unwrap_or(i64::MAX).min(now());
    match report.state {
        TaskState::Queued => return Ok(()),
        TaskState::Running if task.state == TaskState::Running => return Ok(()),
        TaskState::Running => return advance(tx, cause, started(task, at)).await,
        _ => {}
    }
    // An agent that was killed meanwhile tells of the end alone; whoever follows the log sees the start before it.
    let ran = report.state == TaskState::Succeeded || report.exit_code.is_some() || report.signal.is_some();
    if task.state == TaskState::Queued && ran {
        task = started(task, at);
        advance(tx, cause, task.clone()).await?;
    }
    task.ended_at = Some(at.max(task.started_at.unwrap_or(task.created_at)));
    task.exit_code = report.exit_code;
    task.signal = report.signal;
    task.output_total = Some(report.output_total.unwrap_or(task.output_bytes).max(task.output_bytes));
    task.state = report.state;
    task.reason = report.reason;
    advance(tx, cause, task).await
}

/// The task as it runs since `at`, in milliseconds since 1970.
fn started(mut task: Task, at: i64) -> Task {
    task.started_at = Some(at.max(task.created_at));
    task.state = TaskState::Running;
    task
}

/// Keeps the task's new state and tells of it.
async fn advance(tx: &mut Tx, cause: &Cause, task: Task) -> ApiResult<()> {
    store::update_state(tx, &task).await?;
    if task.state.is_final() {
        keys::task::end(tx, cause, task.id).await?;
    }
    let id = task.id;
    tx.emit(cause, event(task)?).await?;
    tx.after_commit(Effect::Output(id));
    Ok(())
}

async fn stop_again(tx: &mut Tx, cause: &Cause, task: &Task) -> ApiResult<()> {
    let action = CommandAction::StopTask { task_id: task.id };
    commands::add(tx, cause, task.device_id, CommandId::fresh(), Some(task.id), &action).await?;
    tx.emit(cause, Event::TaskStopRequested { task: Box::new(task.clone()) }).await?;
    Ok(())
}

fn event(task: Task) -> ApiResult<Event> {
    let task = Box::new(task);
    Ok(match task.state {
        TaskState::Queued => return Err(ApiError::internal(anyhow::anyhow!("a report cannot queue a task"))),
        TaskState::Running => Event::TaskStarted { task },
        TaskState::Succeeded => Event::TaskCompleted { task },
        TaskState::Failed => Event::TaskFailed { task },
        TaskState::Stopped => Event::TaskStopped { task },
        TaskState::Lost => Event::TaskLost { task },
        TaskState::Refused => Event::TaskRefused { task },
    })
}
