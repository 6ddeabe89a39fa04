//! Tasks as rows.

use foreman_protocol::{DeviceId, Task, TaskId, TaskState, TenantId};
use sqlx::{Any, Executor, Row, any::AnyRow};

use crate::{
    auth::parse,
    db::{Tx, placeholders},
    problem::{ApiError, ApiResult},
};

pub const COLUMNS: &str = "id, device_id, command, cwd, env_names, timeout_s, models, state, reason, exit_code, signal, requested_by, \
     created_at, started_at, ended_at, stop_requested_at, output_bytes, output_start, output_total, version";

pub async fn find<'c>(
    from: impl Executor<'c, Database = Any>,
    tenant: TenantId,
    id: TaskId,
) -> ApiResult<Option<Task>> {
    let sql = format!("SELECT {COLUMNS} FROM tasks WHERE id = $1 AND tenant_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(tenant.to_string())
        .fetch_optional(from)
        .await?;
    row.as_ref().map(read).transpose()
}

/// What waits or runs on a device.
pub async fn open_tasks(tx: &mut Tx, device: DeviceId) -> ApiResult<Vec<Task>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tasks WHERE device_id = $1 AND state IN ('queued', 'running') ORDER BY id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(device.to_string()).fetch_all(tx.conn()).await?;
    rows.iter().map(read).collect()
}

/// The task that has this id already, when it is the same device's.
///
/// # Errors
/// `conflict` when it is somebody else's; no more is said of that one.
pub async fn same(tx: &mut Tx, tenant: TenantId, task: &Task) -> ApiResult<Option<Task>> {
    let there = sqlx::query("SELECT 1 FROM tasks WHERE id = $1").bind(task.id.to_string());
    if there.fetch_optional(tx.conn()).await?.is_none() {
        return Ok(None);
    }
    let there = find(tx.conn(), tenant, task.id).await?;
    match there.filter(|there| there.device_id == task.device_id) {
        Some(there) => Ok(Some(there)),
        None => {
            Err(ApiError::conflict("Another task has this id. Nothing was started; ask with a fresh one."))
        }
    }
}

pub async fn insert(tx: &mut Tx, tenant: TenantId, task: &Task) -> ApiResult<()> {
    let sql = format!(
        "INSERT INTO tasks (id, tenant_id, device_id, command, summary, cwd, env_names, timeout_s, models, state, \
         requested_by, created_at, output_bytes, output_start, version) VALUES ({})",
        placeholders(1, 15)
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(task.id.to_string())
        .bind(tenant.to_string())
        .bind(task.device_id.to_string())
        .bind(serde_json::to_string(&task.command)?)
        .bind(task.command.summary())
        .bind(&task.cwd)
        .bind(serde_json::to_string(&task.env_names)?)
        .bind(task.timeout_s.map(to_i64))
        .bind(task.models.as_ref().map(serde_json::to_string).transpose()?)
        .bind(task.state.as_str())
        .bind(serde_json::to_string(&task.requested_by)?)
        .bind(task.created_at)
        .bind(to_i64(task.output_bytes))
        .bind(to_i64(task.output_start))
        .bind(task.version)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Writes what changes when a task starts or ends.
pub async fn update_state(tx: &mut Tx, task: &Task) -> ApiResult<()> {
    sqlx::query(
        "UPDATE tasks SET state = $1, reason = $2, exit_code = $3, signal = $4, started_at = $5, ended_at = $6, \
         output_total = $7 WHERE id = $8",
    )
    .bind(task.state.as_str())
    .bind(&task.reason)
    .bind(task.exit_code.map(i64::from))
    .bind(task.signal.map(i64::from))
    .bind(task.started_at)
    .bind(task.ended_at)
    .bind(task.output_total.map(to_i64))
    .bind(task.id.to_string())
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub fn read(row: &AnyRow) -> ApiResult<Task> {
    let number = |column: &str| row.try_get::<Option<i64>, _>(column);
    Ok(Task {
        id: parse(&row.try_get::<String, _>("id")?)?,
        device_id: parse(&row.try_get::<String, _>("device_id")?)?,
        command: serde_json::from_str(&row.try_get::<String, _>("command")?)?,
        cwd: row.try_get("cwd")?,
        env_names: serde_json::from_str(&row.try_get::<String, _>("env_names")?)?,
        timeout_s: number("timeout_s")?.map(to_u64),
        models: row
            .try_get::<Option<String>, _>("models")?
            .map(|models| serde_json::from_str(&models))
            .transpose()?,
        state: read_state(&row.try_get::<String, _>("state")?)?,
        reason: row.try_get("reason")?,
        exit_code: number("exit_code")?.and_then(|code| i32::try_from(code).ok()),
        signal: number("signal")?.and_then(|signal| i32::try_from(signal).ok()),
        requested_by: serde_json::from_str(&row.try_get::<String, _>("requested_by")?)?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
        stop_requested_at: row.try_get("stop_requested_at")?,
        output_bytes: to_u64(row.try_get("output_bytes")?),
        output_start: to_u64(row.try_get("output_start")?),
        output_total: number("output_total")?.map(to_u64),
        version: row.try_get("version")?,
    })
}

pub fn read_state(text: &str) -> ApiResult<TaskState> {
    [
        TaskState::Queued,
        TaskState::Running,
        TaskState::Succeeded,
        TaskState::Failed,
        TaskState::Stopped,
        TaskState::Lost,
        TaskState::Refused,
    ]
    .into_iter()
    .find(|state| state.as_str() == text)
    .ok_or_else(|| ApiError::internal(anyhow::anyhow!("unknown task state {text:?}")))
}

pub fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
