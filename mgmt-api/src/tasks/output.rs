//! Task output: taken from the device exactly once by offset, kept in chunks, read from any offset or live.

use axum::{
    body::Body,
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use foreman_protocol::{
    DeviceId, OutputAccepted, OutputChunk, OutputGap, ProblemCode, Role, Task, TaskId, TenantId,
};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use sqlx::Row;
use utoipa::IntoParams;

use super::store::{self, to_i64, to_u64};
use crate::{
    App,
    auth::{Caller, device::DeviceCaller},
    bounds,
    db::{Db, Tx},
    events::{
        Effect, hub,
        live::{self, Growing, Look},
    },
    extract::{Json, Path, Query, too_large},
    problem::{ApiError, ApiResult},
};

/// The most bytes one plain read returns unless a smaller limit is asked for.
const READ_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes read from the database at a time, for live readers and downloads.
const STEP_BYTES: u64 = 256 * 1024;

/// Offsets stay exact in JSON and in a BIGINT: 2^53.
const LARGEST_OFFSET: u64 = 1 << 53;

#[derive(Debug, Deserialize, IntoParams)]
pub struct AppendQuery {
    /// Of the first byte, counted from the task's first byte.
    offset: u64,
    /// 1 when the device no longer has the bytes before `offset`.
    gap: Option<u8>,
}

/// The device in the address is checked where the bearer is.
#[derive(Debug, Deserialize)]
pub struct OutputPath {
    task: TaskId,
}

/// Takes a piece of output. Bytes the server has already are skipped, so sending again is safe.
#[utoipa::path(put, path = "/api/v1/devices/{id}/tasks/{task}/output", tag = "agent",
    params(("id" = DeviceId, Path), ("task" = TaskId, Path), AppendQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = OutputAccepted)))]
pub async fn append(
    State(app): State<App>,
    caller: DeviceCaller,
    Path(path): Path<OutputPath>,
    Query(query): Query<AppendQuery>,
    request: Request,
) -> ApiResult<Json<OutputAccepted>> {
    let data = Bytes::from_request(request, &()).await.map_err(|_| too_large(bounds::OUTPUT_BYTES))?;
    if data.len() > bounds::OUTPUT_BYTES {
        return Err(too_large(bounds::OUTPUT_BYTES));
    }
    if query.offset > LARGEST_OFFSET {
        return Err(ApiError::invalid("offset", "No task has that much output."));
    }
    let keep = app.settings.output_limit;
    metrics::counter!("foreman_output_bytes_total").increment(data.len() as u64);
    let gap = query.gap == Some(1);
    let acknowledged = app
        .db
        .write(move |tx| {
            Box::pin(take(tx, caller, path.task, Piece { offset: query.offset, data, gap }, keep))
        })
        .await?;
    Ok(Json(OutputAccepted { acknowledged }))
}

struct Piece {
    offset: u64,
    data: Bytes,
    gap: bool,
}

async fn take(tx: &mut Tx, caller: DeviceCaller, id: TaskId, piece: Piece, keep: u64) -> ApiResult<u64> {
    let row = sqlx::query("SELECT output_bytes, output_start FROM tasks WHERE id = $1 AND device_id = $2")
        .bind(id.to_string())
        .bind(caller.id.to_string())
        .fetch_optional(tx.conn())
        .await?
        .ok_or_else(|| ApiError::not_found("task"))?;
    let have = to_u64(row.try_get(0)?);
    let start = to_u64(row.try_get(1)?);
    if piece.offset > have && !piece.gap {
        return Err(ApiError::new(
            ProblemCode::OutputOffset,
            "This does not continue the output the server has.",
        )
        .with(json!({ "expected": have })));
    }
    let skipped = have.saturating_sub(piece.offset).min(piece.data.len() as u64);
    let new = piece.data.slice(usize::try_from(skipped).unwrap_or(usize::MAX)..);
    if new.is_empty() {
        return match piece.gap && piece.offset > have {
            true => declare_lost(tx, id, piece.offset).await,
            false => Ok(have),
        };
    }
    let from = piece.offset + skipped;
    let to = from + new.len() as u64;
    sqlx::query("INSERT INTO task_output (task_id, start_offset, size, data) VALUES ($1, $2, $3, $4)")
        .bind(id.to_string())
        .bind(to_i64(from))
        .bind(to_i64(new.len() as u64))
        .bind(&new[..])
        .execute(tx.conn())
        .await?;
    let start = if to - start > keep { let_go(tx, id, to - keep).await?.max(start) } else { start };
    sqlx::query("UPDATE tasks SET output_bytes = $1, output_start = $2 WHERE id = $3")
        .bind(to_i64(to))
        .bind(to_i64(start))
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    tx.after_commit(Effect::Output(id));
    Ok(to)
}

/// The device has nothing more before `end`: readers are told of a gap instead of waiting for it.
async fn declare_lost(tx: &mut Tx, id: TaskId, end: u64) -> ApiResult<u64> {
    sqlx::query("UPDATE tasks SET output_bytes = $1 WHERE id = $2")
        .bind(to_i64(end))
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    tx.after_commit(Effect::Output(id));
    Ok(end)
}

/// Deletes whole chunks before `limit`; where the kept output now starts.
async fn let_go(tx: &mut Tx, id: TaskId, limit: u64) -> ApiResult<u64> {
    sqlx::query("DELETE FROM task_output WHERE task_id = $1 AND start_offset + size <= $2")
        .bind(id.to_string())
        .bind(to_i64(limit))
        .execute(tx.conn())
        .await?;
    let row = sqlx::query("SELECT MIN(start_offset) FROM task_output WHERE task_id = $1")
        .bind(id.to_string())
        .fetch_one(tx.conn())
        .await?;
    Ok(row.try_get::<Option<i64>, _>(0)?.map_or(0, to_u64))
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct OutputQuery {
    /// First byte wanted; 0 when absent.
    offset: Option<u64>,
    /// Bytes at most, up to 4 MiB.
    limit: Option<u64>,
    /// 1: everything kept, as a file.
    download: Option<u8>,
}

/// Output of a task: bytes from an offset, or with `Accept: text/event-stream` live from there.
///
/// Live it sends `output`, `gap` where output is no longer kept, `ping`, and `end` with the task when all is said.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/output", tag = "tasks", params(("id" = TaskId, Path), OutputQuery),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)))]
pub async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TaskId>,
    Query(query): Query<OutputQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    caller.at_least(Role::Viewer)?;
    // Subscribe first, then read.
    let news = app.hub.output(id);
    let task =
        store::find(app.db.read(), caller.tenant, id).await?.ok_or_else(|| ApiError::not_found("task"))?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("text/event-stream") {
        let resume = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
        let offset = resume.or(query.offset).unwrap_or_default().min(LARGEST_OFFSET);
        let reader = LiveReader { db: app.db.clone(), tenant: caller.tenant, id, offset };
        return Ok(live::follow(app, caller, news, reader));
    }
    if query.download == Some(1) {
        return Ok(download(app.db.clone(), &task));
    }
    let offset = query.offset.unwrap_or_default().clamp(task.output_start, LARGEST_OFFSET);
    let limit = query.limit.unwrap_or(READ_BYTES).clamp(1, READ_BYTES);
    let (offset, data) = read_on(&app.db, id, offset, limit).await?;
    let next = offset + data.len() as u64;
    let mut response = plain(Body::from(data));
    let out = response.headers_mut();
    out.insert("x-output-start", HeaderValue::from(offset));
    out.insert("x-output-next", HeaderValue::from(next));
    if let Some(total) = task.output_total {
        out.insert("x-output-total", HeaderValue::from(total));
    }
    Ok(response)
}

fn plain(body: Body) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn download(db: Db, task: &Task) -> Response {
    let (id, end) = (task.id, task.output_bytes);
    let body = stream::unfold(Some(task.output_start), move |offset| {
        let db = db.clone();
        async move {
            let offset = offset.filter(|offset| *offset < end)?;
            match read_on(&db, id, offset, STEP_BYTES).await {
                Ok((_, data)) if data.is_empty() => None,
                Ok((offset, data)) => {
                    let next = offset + data.len() as u64;
                    Some((Ok(Bytes::from(data)), Some(next)))
                }
                Err(error) => Some((Err(std::io::Error::other(error.to_string())), None)),
            }
        }
    });
    // Compression asks once more after the end.
    let mut response = plain(Body::from_stream(body.fuse()));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"task-{id}.log\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// Up to `limit` bytes from `offset`, or from where output goes on when there is a hole; where they start.
async fn read_on(db: &Db, id: TaskId, offset: u64, limit: u64) -> ApiResult<(u64, Vec<u8>)> {
    let data = read_chunks(db, id, offset, limit).await?;
    if !data.is_empty() {
        return Ok((offset, data));
    }
    match next_start(db, id, offset).await? {
        Some(next) => Ok((next, read_chunks(db, id, next, limit).await?)),
        None => Ok((offset, data)),
    }
}

/// Up to `limit` bytes from `offset`, within the first run without a gap; empty when there are none at `offset`.
async fn read_chunks(db: &Db, id: TaskId, offset: u64, limit: u64) -> ApiResult<Vec<u8>> {
    let mut data = Vec::new();
    while (data.len() as u64) < limit {
        let at = offset + data.len() as u64;
        // The chunk that `at` falls into and those right after it, a few at a time.
        let rows = sqlx::query(
            "SELECT start_offset, data FROM task_output WHERE task_id = $1 AND start_offset >= COALESCE(\
             (SELECT MAX(start_offset) FROM task_output WHERE task_id = $1 AND start_offset <= $2), $2) \
             AND start_offset < $3 ORDER BY start_offset LIMIT 64",
        )
        .bind(id.to_string())
        .bind(to_i64(at))
        .bind(to_i64(offset + limit))
        .fetch_all(db.read())
        .await?;
        let before = data.len();
        for row in &rows {
            let wanted = offset + data.len() as u64;
            let start = to_u64(row.try_get(0)?);
            let chunk: Vec<u8> = row.try_get(1)?;
            if start > wanted || start + (chunk.len() as u64) <= wanted {
                break;
            }
            let skip = usize::try_from(wanted - start).unwrap_or(usize::MAX);
            let room = usize::try_from(limit - data.len() as u64).unwrap_or(usize::MAX);
            data.extend(chunk[skip..].iter().take(room));
            if data.len() as u64 >= limit {
                break;
            }
        }
        if data.len() == before {
            break;
        }
    }
    Ok(data)
}

struct LiveReader {
    db: Db,
    tenant: TenantId,
    id: TaskId,
    /// Bytes that were sent.
    offset: u64,
}

impl Growing for LiveReader {
    async fn look(&mut self) -> ApiResult<Look> {
        let db = &self.db;
        let Some(task) = store::find(db.read(), self.tenant, self.id).await? else {
            return Ok(Look::End(None));
        };
        if self.offset < task.output_start {
            return self.gap(task.output_start);
        }
        if self.offset < task.output_bytes {
            let data = read_chunks(db, self.id, self.offset, STEP_BYTES).await?;
            if data.is_empty() {
                let next = next_start(db, self.id, self.offset).await?.unwrap_or(task.output_bytes);
                return self.gap(next);
            }
            let chunk = OutputChunk { offset: self.offset, data: STANDARD.encode(&data) };
            self.offset += data.len() as u64;
            let (id, chunk) = (to_i64(self.offset), serde_json::to_string(&chunk)?);
            return Ok(Look::Frame(hub::frame("output", Some(id), &chunk)));
        }
        let complete = task.output_total.is_none_or(|total| self.offset >= total);
        if task.state.is_final() && complete {
            return Ok(Look::End(Some(hub::frame("end", None, &serde_json::to_string(&task)?))));
        }
        Ok(Look::Nothing)
    }
}

impl LiveReader {
    fn gap(&mut self, to: u64) -> ApiResult<Look> {
        let gap = OutputGap { from: self.offset, to };
        self.offset = to;
        Ok(Look::Frame(hub::frame("gap", Some(to_i64(to)), &serde_json::to_string(&gap)?)))
    }
}

/// Where output goes on after a hole.
async fn next_start(db: &Db, id: TaskId, after: u64) -> ApiResult<Option<u64>> {
    let row =
        sqlx::query("SELECT MIN(start_offset) FROM task_output WHERE task_id = $1 AND start_offset > $2")
            .bind(id.to_string())
            .bind(to_i64(after))
            .fetch_one(db.read())
            .await?;
    Ok(row.try_get::<Option<i64>, _>(0)?.map(to_u64))
}
