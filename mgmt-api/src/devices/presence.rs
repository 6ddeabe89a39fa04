//! Heartbeats and what they mean: last seen, online and offline, GPU memory warnings.
//!
//! Heartbeats that arrive while a commit is under way are written together in the next one, by two statements
//! for all of them. Only turns (online, offline, warning, all clear) are events.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use axum::extract::State;
use foreman_protocol::{DeviceId, DeviceStatus, Event, HeartbeatAnswer, Millis, Sample, TenantId};
use sqlx::Row;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{announce, store};
use crate::{
    App,
    auth::{self, device::DeviceCaller},
    db::{Db, Tx, now},
    events::{Cause, Effect},
    extract::Json,
    problem::{ApiError, ApiResult},
};

/// A warning is raised at this share of GPU memory …
const GPU_MEMORY_HIGH: f64 = 0.90;
/// … and taken back below this one, so that a value around the limit does not raise it again and again.
const GPU_MEMORY_NORMAL: f64 = 0.85;
/// Heartbeats written by one statement. Fixed sizes keep the number of prepared statements small.
const STATEMENT_SIZES: [usize; 4] = [128, 32, 8, 1];
/// Heartbeats taken into one write.
const GROUP: usize = 512;
const MINUTE_MS: i64 = 60_000;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(heartbeat))
}

/// A heartbeat on its way to the database.
pub struct Beat {
    tenant: TenantId,
    device: DeviceId,
    at: Millis,
    sample: Sample,
    body: String,
    reply: oneshot::Sender<ApiResult<()>>,
}

/// Where heartbeats go.
#[derive(Clone)]
pub struct Heartbeats(mpsc::Sender<Beat>);

impl Heartbeats {
    pub fn start(db: Db) -> Self {
        let (beats, queue) = mpsc::channel(4096);
        tokio::spawn(write_groups(db, queue));
        Self(beats)
    }
}

/// Reports that the device lives and how it is doing.
#[utoipa::path(post, path = "/api/v1/devices/{id}/heartbeat", tag = "agent", params(("id" = DeviceId, Path)),
    request_body = Sample, responses((status = 200, body = HeartbeatAnswer)))]
async fn heartbeat(
    State(app): State<App>,
    caller: DeviceCaller,
    Json(sample): Json<Sample>,
) -> ApiResult<Json<HeartbeatAnswer>> {
    check(&sample)?;
    let (reply, written) = oneshot::channel();
    let at = now();
    let beat = Beat {
        tenant: caller.tenant,
        device: caller.id,
        at,
        body: serde_json::to_string(&sample)?,
        sample,
        reply,
    };
    app.heartbeats.0.send(beat).await.map_err(|_| ApiError::unavailable())?;
    written.await.map_err(|_| ApiError::unavailable())??;
    metrics::counter!("foreman_heartbeats_total").increment(1);
    Ok(Json(HeartbeatAnswer { server_time: at, heartbeat_s: app.settings.heartbeat_s }))
}

fn check(sample: &Sample) -> ApiResult<()> {
    for (field, length, most) in [
        ("gpus", sample.gpus.len(), 64),
        ("temperatures", sample.temperatures.len(), 128),
        ("loaded_models", sample.loaded_models.len(), 256),
        ("loaded_context", sample.loaded_context.as_ref().map_or(0, BTreeMap::len), 256),
    ] {
        if length > most {
            return Err(ApiError::invalid(field, format!("At most {most} are taken.")));
        }
    }
    Ok(())
}

async fn write_groups(db: Db, mut queue: mpsc::Receiver<Beat>) {
    // Which minute each device's last kept sample belongs to: one a minute outlives the others.
    let mut kept: HashMap<DeviceId, i64> = HashMap::new();
    let mut group = Vec::with_capacity(GROUP);
    while queue.recv_many(&mut group, GROUP).await > 0 {
        let mut replies = Vec::with_capacity(group.len());
        let mut rows = Vec::with_capacity(group.len());
        for beat in group.drain(..) {
            let minute = beat.at / MINUTE_MS;
            let keep = kept.insert(beat.device, minute) != Some(minute);
            replies.push((beat.device, beat.reply));
            rows.push(Measured {
                tenant: beat.tenant,
                device: beat.device,
                at: beat.at,
                sample: beat.sample,
                body: beat.body,
                keep,
            });
        }
        let outcome = db.write(move |tx| Box::pin(write(tx, rows))).await;
        match outcome {
            Ok(known) => {
                for (device, reply) in replies {
                    let answer = if known.contains(&device) { Ok(()) } else { Err(ApiError::device_gone()) };
                    let _ = reply.send(answer);
                }
            }
            Err(error) => {
                tracing::error!(%error, cause = ?error.internal, "heartbeats were not written");
                for (_, reply) in replies {
                    let _ = reply.send(Err(ApiError::new(error.code, error.message.clone())));
                }
            }
        }
    }
}

struct Measured {
    tenant: TenantId,
    device: DeviceId,
    at: Millis,
    sample: Sample,
    body: String,
    keep: bool,
}

/// Writes a group; which devices exist.
async fn write(tx: &mut Tx, rows: Vec<Measured>) -> ApiResult<Vec<DeviceId>> {
    let mut known = Vec::with_capacity(rows.len());
    let mut state = HashMap::with_capacity(rows.len());
    for some in in_sizes(&rows) {
        for (device, status, high) in touch(tx, some).await? {
            state.insert(device, (status, high));
        }
    }
    let alive: Vec<&Measured> = rows.iter().filter(|row| state.contains_key(&row.device)).collect();
    for some in in_sizes(&alive) {
        insert(tx, some).await?;
    }
    for row in alive {
        let Some((status, high)) = state.get_mut(&row.device) else { continue };
        if *status != DeviceStatus::Online {
            *status = DeviceStatus::Online;
            turn_online(tx, row).await?;
        }
        let share = row.sample.gpu_memory_share();
        if let Some(turned) = share.and_then(|share| gpu_turn(*high, share)) {
            *high = turned;
            turn_gpu_memory(tx, row, turned, share.unwrap_or_default()).await?;
        }
        let (tenant, device, at) = (row.tenant, row.device, row.at);
        tx.after_commit(Effect::Sample { tenant, device, at, body: row.body.clone() });
        known.push(row.device);
    }
    Ok(known)
}

/// Cuts a slice into pieces of the sizes that statements are prepared for.
fn in_sizes<T>(mut rows: &[T]) -> Vec<&[T]> {
    let mut pieces = Vec::new();
    for size in STATEMENT_SIZES {
        while rows.len() >= size {
            let (piece, rest) = rows.split_at(size);
            pieces.push(piece);
            rows = rest;
        }
    }
    pieces
}

async fn touch(tx: &mut Tx, rows: &[Measured]) -> ApiResult<Vec<(DeviceId, DeviceStatus, bool)>> {
    let values: Vec<String> = (0..rows.len()).map(|n| format!("(${}, ${})", n * 2 + 1, n * 2 + 2)).collect();
    let sql = format!(
        "UPDATE presence SET last_seen_at = v.column2 FROM (VALUES {}) AS v WHERE presence.device_id = v.column1 \
         RETURNING device_id, status, gpu_memory_high",
        values.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for row in rows {
        query = query.bind(row.device.to_string()).bind(row.at);
    }
    let rows = query.fetch_all(tx.conn()).await?;
    rows.iter()
        .map(|row| {
            let device = auth::parse(&row.try_get::<String, _>(0)?)?;
            Ok((device, store::read_status(&row.try_get::<String, _>(1)?)?, row.try_get::<i64, _>(2)? != 0))
        })
        .collect()
}

async fn insert(tx: &mut Tx, rows: &[&Measured]) -> ApiResult<()> {
    let values: Vec<String> =
        (0..rows.len()).map(|n| format!("({})", crate::db::placeholders(n * 4 + 1, 4))).collect();
    let sql = format!(
        "INSERT INTO samples (device_id, at, keep, body) VALUES {} ON CONFLICT (device_id, at) DO NOTHING",
        values.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for row in rows {
        query = query.bind(row.device.to_string()).bind(row.at).bind(i64::from(row.keep)).bind(&row.body);
    }
    query.execute(tx.conn()).await?;
    Ok(())
}

async fn turn_online(tx: &mut Tx, row: &Measured) -> ApiResult<()> {
    sqlx::query("UPDATE presence SET status = 'online', status_since = $1 WHERE device_id = $2")
        .bind(row.at)
        .bind(row.device.to_string())
        .execute(tx.conn())
        .await?;
    announce(tx, &Cause::system(row.tenant), row.device, |device| Event::DeviceOnline { device }).await?;
    Ok(())
}

/// The new state of the warning, when it changes.
fn gpu_turn(high: bool, share: f64) -> Option<bool> {
    match high {
        false if share >= GPU_MEMORY_HIGH => Some(true),
        true if share < GPU_MEMORY_NORMAL => Some(false),
        _ => None,
    }
}

async fn turn_gpu_memory(tx: &mut Tx, row: &Measured, high: bool, share: f64) -> ApiResult<()> {
    sqlx::query("UPDATE presence SET gpu_memory_high = $1 WHERE device_id = $2")
        .bind(i64::from(high))
        .bind(row.device.to_string())
        .execute(tx.conn())
        .await?;
    let percent = (share * 1000.0).round() as f32 / 10.0;
    announce(tx, &Cause::system(row.tenant), row.device, |device| match high {
        true => Event::DeviceGpuMemoryHigh { device, percent },
        false => Event::DeviceGpuMemoryNormal { device, percent },
    })
    .await?;
    Ok(())
}

/// Declares devices offline that have been silent for `after`.
///
/// Silence is measured by this process's own monotonic clock from the moment it saw `last_seen_at` change, so a
/// jump of the wall clock declares nobody dead, a server that was down for an hour gives its devices time to come
/// back, and replicas agree through the row.
pub async fn watch_silence(db: Db, after: Duration) {
    let mut heard: HashMap<DeviceId, (Option<Millis>, Instant)> = HashMap::new();
    let mut look =
        tokio::time::interval((after / 30).clamp(Duration::from_millis(100), Duration::from_secs(10)));
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        if let Err(error) = sweep(&db, after, &mut heard).await {
            tracing::warn!(%error, "cannot look for silent devices; trying again");
        }
    }
}

async fn sweep(
    db: &Db,
    after: Duration,
    heard: &mut HashMap<DeviceId, (Option<Millis>, Instant)>,
) -> ApiResult<()> {
    let rows = sqlx::query(
        "SELECT p.device_id, p.last_seen_at, d.tenant_id FROM presence p JOIN devices d ON d.id = p.device_id \
         WHERE p.status = 'online'",
    )
    .fetch_all(db.read())
    .await?;
    let mut online = HashMap::with_capacity(rows.len());
    for row in rows {
        let device: DeviceId = auth::parse(&row.try_get::<String, _>(0)?)?;
        let seen: Option<Millis> = row.try_get(1)?;
        let since = match heard.get(&device) {
            Some((before, since)) if *before == seen => *since,
            _ => Instant::now(),
        };
        online.insert(device, (seen, since));
        if since.elapsed() >= after {
            let tenant: TenantId = auth::parse(&row.try_get::<String, _>(2)?)?;
            db.write(move |tx| Box::pin(turn_offline(tx, tenant, device, seen))).await?;
            online.remove(&device);
        }
    }
    metrics::gauge!("foreman_devices_online").set(online.len() as f64);
    *heard = online;
    Ok(())
}

async fn turn_offline(
    tx: &mut Tx,
    tenant: TenantId,
    device: DeviceId,
    seen: Option<Millis>,
) -> ApiResult<()> {
    // Nothing when a heartbeat or another replica was faster.
    let turned = sqlx::query(
        "UPDATE presence SET status = 'offline', status_since = $1 \
         WHERE device_id = $2 AND status = 'online' AND (last_seen_at = $3 OR $4 = 1)",
    )
    .bind(now())
    .bind(device.to_string())
    .bind(seen.unwrap_or_default())
    .bind(i64::from(seen.is_none()))
    .execute(tx.conn())
    .await?;
    if turned.rows_affected() > 0 {
        announce(tx, &Cause::system(tenant), device, |device| Event::DeviceOffline { device }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_is_raised_once_and_taken_back_with_hysteresis() {
        let shares = [0.5, 0.91, 0.95, 0.89, 0.92, 0.86, 0.84, 0.89, 0.93];
        let mut high = false;
        let mut turns = Vec::new();
        for share in shares {
            if let Some(turned) = gpu_turn(high, share) {
                high = turned;
                turns.push((share, turned));
            }
        }
        assert_eq!(turns, [(0.91, true), (0.84, false), (0.93, true)]);
    }

    #[test]
    fn pieces_have_prepared_sizes_and_lose_nothing() {
        let rows: Vec<usize> = (0..301).collect();
        let pieces = in_sizes(&rows);
        assert!(pieces.iter().all(|piece| STATEMENT_SIZES.contains(&piece.len())));
        assert_eq!(pieces.concat(), rows);
    }
}
