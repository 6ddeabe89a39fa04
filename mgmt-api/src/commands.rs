//! Instructions to devices: rows until acknowledged, streamed in order, delivered again after every reconnect.

use std::collections::VecDeque;

use axum::{extract::State, response::Response};
use bytes::Bytes;
use foreman_protocol::{
    Command, CommandAction, CommandId, DeviceId, Dial, PING_INTERVAL_S, ProblemCode, ProblemReason, TaskId,
};
use futures_util::stream;
use sqlx::Row;
use tokio::sync::{broadcast, watch};

use crate::{
    App,
    auth::{self, device::DeviceCaller},
    bounds,
    db::{Db, Tx, now},
    events::{Cause, hub, stream::sse},
    problem::{ApiError, ApiResult},
    sealing::Seal,
};

/// Commands read at a time.
const CHUNK: i64 = 100;

/// Adds a command. Its place in the device's order is the cursor of the event that is logged right after it in
/// the same write, which is also what wakes the device's stream.
pub async fn add(
    tx: &mut Tx,
    cause: &Cause,
    device: DeviceId,
    id: CommandId,
    task: Option<TaskId>,
    action: &CommandAction,
) -> ApiResult<()> {
    let row = NewRow { id, task, action: action_name(action), body: serde_json::to_string(action)? };
    insert(tx, cause, device, row).await
}

/// What has secrets in it, sealed for the time it waits.
pub struct Sealed(NewRow);

impl Sealed {
    pub fn new(seal: &Seal, task: TaskId, action: &CommandAction) -> ApiResult<Self> {
        let id = CommandId::fresh();
        let body = seal.seal(&about(id), serde_json::to_string(action)?.as_bytes())?;
        let body = format!("{SEALED}{body}");
        Ok(Self(NewRow { id, task: Some(task), action: action_name(action), body }))
    }
}

/// Adds a command with secrets. See [`add`].
pub async fn add_sealed(tx: &mut Tx, cause: &Cause, device: DeviceId, command: Sealed) -> ApiResult<()> {
    insert(tx, cause, device, command.0).await
}

/// Begins the body of a row that is sealed; JSON begins otherwise.
const SEALED: &str = "sealed ";

fn about(id: CommandId) -> String {
    format!("command {id}")
}

struct NewRow {
    id: CommandId,
    task: Option<TaskId>,
    action: &'static str,
    body: String,
}

async fn insert(tx: &mut Tx, cause: &Cause, device: DeviceId, row: NewRow) -> ApiResult<()> {
    let waiting = sqlx::query("SELECT COUNT(*) FROM commands WHERE device_id = $1")
        .bind(device.to_string())
        .fetch_one(tx.conn())
        .await?
        .try_get::<i64, _>(0)?;
    if waiting >= bounds::WAITING_COMMANDS {
        return Err(ApiError::new(
            ProblemCode::LimitReached,
            format!("This device has {waiting} commands waiting. Nothing was added; wait until it is back."),
        )
        .because(ProblemReason::CommandsWaiting));
    }
    let seq = tx.next_cursor(cause.tenant).await?;
    sqlx::query("INSERT INTO commands (id, device_id, task_id, action, seq, body, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(row.id.to_string())
        .bind(device.to_string())
        .bind(row.task.map(|task| task.to_string()))
        .bind(row.action)
        .bind(seq)
        .bind(row.body)
        .bind(now())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The `action` column: what can be withdrawn.
const START_TASK: &str = "start_task";

const fn action_name(action: &CommandAction) -> &'static str {
    match action {
        CommandAction::StartTask { .. } => START_TASK,
        CommandAction::StopTask { .. } => "stop_task",
        CommandAction::Probe => "probe",
        CommandAction::Revoke { .. } => "revoke",
        CommandAction::Unknown => "unknown",
    }
}

/// A device's commands as server-sent events: first all it has not acknowledged, then new ones as they come; and
/// `dial` when somebody waits for it on the relay.
#[utoipa::path(get, path = "/api/v1/devices/{id}/commands", tag = "agent", params(("id" = DeviceId, Path)),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub async fn stream_commands(State(app): State<App>, caller: DeviceCaller) -> Response {
    metrics::counter!("foreman_command_streams_total").increment(1);
    let reader = Reader {
        // Subscribe first, then read.
        news: app.hub.commands(caller.id),
        dials: app.hub.dials(caller.id),
        app,
        device: caller.id,
        sent: 0,
        ready: VecDeque::from([hub::ping_frame()]),
        look: true,
    };
    sse(stream::unfold(reader, Reader::next))
}

struct Reader {
    app: App,
    device: DeviceId,
    news: watch::Receiver<()>,
    dials: broadcast::Receiver<Dial>,
    /// The last command sent on this stream.
    sent: i64,
    ready: VecDeque<Bytes>,
    look: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some((Ok(bytes), self));
            }
            if self.look {
                self.look = false;
                match self.read().await {
                    Ok(true) => {}
                    // The device is gone: it will be told when it asks for its next bearer.
                    Ok(false) => return None,
                    Err(error) => {
                        tracing::warn!(device.id = %self.device, %error, "commands could not be read; the device reconnects");
                        return None;
                    }
                }
                continue;
            }
            tokio::select! {
                () = self.app.closing.cancelled() => return None,
                changed = self.news.changed() => match changed {
                    Ok(()) => self.look = true,
                    Err(_) => return None,
                },
                dial = self.dials.recv() => match dial {
                    Ok(dial) => self.ready.extend(dial_frame(&dial)),
                    // Whoever called and was not heard waits no longer.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
                () = tokio::time::sleep(std::time::Duration::from_secs(PING_INTERVAL_S)) => {
                    // A command added by another process on this host shows up here at the latest.
                    self.look = true;
                    self.ready.push_back(hub::ping_frame());
                }
            }
        }
    }

    /// Reads what was not sent yet; `false` when the device may no longer listen.
    async fn read(&mut self) -> ApiResult<bool> {
        let rows = sqlx::query(
            "SELECT id, seq, body FROM commands WHERE device_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(self.device.to_string())
        .bind(self.sent)
        .bind(CHUNK)
        .fetch_all(self.app.db.read())
        .await?;
        if rows.is_empty() {
            return still_connected(&self.app.db, self.device).await;
        }
        for row in &rows {
            let id = auth::parse(&row.try_get::<String, _>("id")?)?;
            let body: String = row.try_get("body")?;
            let action = match body.strip_prefix(SEALED) {
                Some(sealed) => serde_json::from_slice(&self.app.seal.open_sealed(&about(id), sealed)?)?,
                None => serde_json::from_str(&body)?,
            };
            let command = Command { id, seq: row.try_get("seq")?, action };
            self.sent = command.seq;
            self.ready.push_back(hub::frame("command", Some(command.seq), &serde_json::to_string(&command)?));
        }
        self.look = rows.len() as i64 == CHUNK;
        Ok(true)
    }
}

/// The tasks whose start waits sealed.
pub async fn sealed(tx: &mut Tx) -> ApiResult<Vec<TaskId>> {
    let rows = sqlx::query("SELECT task_id FROM commands WHERE body LIKE $1 AND task_id IS NOT NULL")
        .bind(format!("{SEALED}%"))
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(|row| auth::parse(&row.try_get::<String, _>(0)?)).collect()
}

/// Takes a start back that the device has not acknowledged; whether there was one.
pub async fn withdraw_start(tx: &mut Tx, task: TaskId) -> ApiResult<bool> {
    let removed = sqlx::query("DELETE FROM commands WHERE task_id = $1 AND action = $2")
        .bind(task.to_string())
        .bind(START_TASK)
        .execute(tx.conn())
        .await?;
    Ok(removed.rows_affected() > 0)
}

fn dial_frame(dial: &Dial) -> Option<Bytes> {
    let data = serde_json::to_string(dial).ok()?;
    Some(hub::frame("dial", None, &data))
}

async fn still_connected(db: &Db, device: DeviceId) -> ApiResult<bool> {
    let row = sqlx::query("SELECT 1 FROM devices WHERE id = $1 AND public_key IS NOT NULL")
        .bind(device.to_string())
        .fetch_optional(db.read())
        .await?;
    Ok(row.is_some())
}

/// Forgets commands the device has taken over, and with them whatever secrets they carried.
pub async fn acknowledge(tx: &mut Tx, device: DeviceId, commands: &[CommandId]) -> ApiResult<()> {
    for command in commands {
        sqlx::query("DELETE FROM commands WHERE id = $1 AND device_id = $2")
            .bind(command.to_string())
            .bind(device.to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}
