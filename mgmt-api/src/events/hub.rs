//! The live side of the log: one task per process reads committed events in order and hands every reader the
//! same bytes, encoded once.
//!
//! A commit in this process brings its events along; a commit elsewhere (a replica, a command on the host) is
//! found by PostgreSQL's notification or, at the latest, by a look once a second. Either way what is sent is the
//! log's order without holes: an event that does not follow the last one sent makes the task read the rows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use foreman_protocol::{
    DeviceId, Dial, Event, EventRecord, MessageId, Millis, StreamProvider, TaskId, TenantId,
};
use sqlx::Row;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Effect, StoredEvent};
use crate::{
    db::{Db, now},
    problem::ApiResult,
};

/// Frames a slow reader may fall behind before it goes back to reading rows.
const BACKLOG: usize = 1024;
/// Calls a device may be behind with.
const DIALS: usize = 16;
/// How often the log is looked at for writes of other processes, at the latest.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rows read at a time.
pub const READ_CHUNK: i64 = 500;

/// One server-sent event, ready to send. Events of the log carry their cursor.
#[derive(Debug, Clone)]
pub struct Frame {
    pub cursor: Option<i64>,
    pub bytes: Bytes,
}

impl Frame {
    /// Nothing follows: the server is shutting down. It travels like any other frame, so that thousands of
    /// readers need not watch for the shutdown each on their own.
    const END: Self = Self { cursor: None, bytes: Bytes::new() };

    pub fn is_end(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Where readers subscribe.
#[derive(Clone, Default)]
pub struct Hub {
    tenants: Arc<Mutex<HashMap<TenantId, broadcast::Sender<Frame>>>>,
    outputs: Wakers<TaskId>,
    answers: Wakers<MessageId>,
    commands: Wakers<DeviceId>,
    departures: Wakers<DeviceId>,
    sign_offs: Wakers<TenantId>,
    dials: Arc<Mutex<HashMap<DeviceId, broadcast::Sender<Dial>>>>,
    /// Tells what this process announced from what others did.
    me: Me,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Me(Uuid);

impl Default for Me {
    fn default() -> Self {
        Self(Uuid::now_v7())
    }
}

/// Wakes whoever waits for news about one thing.
#[derive(Clone)]
struct Wakers<K>(Arc<Mutex<HashMap<K, watch::Sender<()>>>>);

impl<K> Default for Wakers<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Copy + Eq + std::hash::Hash> Wakers<K> {
    fn subscribe(&self, key: K) -> watch::Receiver<()> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens any more: forget, so the map holds only what is watched.
        if map.len() > 64 && map.len().is_power_of_two() {
            map.retain(|_, sender| sender.receiver_count() > 0);
        }
        map.entry(key).or_insert_with(|| watch::channel(()).0).subscribe()
    }

    fn wake(&self, key: K) {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = map.get(&key) {
            sender.send_replace(());
        }
    }
}

impl Hub {
    /// Everything announced to a tenant from now on.
    pub fn subscribe(&self, tenant: TenantId) -> broadcast::Receiver<Frame> {
        self.sender(tenant).subscribe()
    }

    /// Changes when a task has more output or ended.
    pub fn output(&self, task: TaskId) -> watch::Receiver<()> {
        self.outputs.subscribe(task)
    }

    /// Changes when more of an answer is there, it was stopped or ended.
    pub fn answer(&self, message: MessageId) -> watch::Receiver<()> {
        self.answers.subscribe(message)
    }

    /// Changes when a device may have new commands.
    pub fn commands(&self, device: DeviceId) -> watch::Receiver<()> {
        self.commands.subscribe(device)
    }

    /// Changes when a device left, was deleted or came with another identity: what is open to it ends.
    pub fn departure(&self, device: DeviceId) -> watch::Receiver<()> {
        self.departures.subscribe(device)
    }

    /// Changes when somebody of a tenant may have lost the right to be here.
    pub fn sign_offs(&self, tenant: TenantId) -> watch::Receiver<()> {
        self.sign_offs.subscribe(tenant)
    }

    /// Calls to a device, which are worth nothing later: only who listens now hears them.
    pub fn dials(&self, device: DeviceId) -> broadcast::Receiver<Dial> {
        let mut map = self.dials.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() > 64 && map.len().is_power_of_two() {
            map.retain(|_, sender| sender.receiver_count() > 0);
        }
        map.entry(device).or_insert_with(|| broadcast::channel(DIALS).0).subscribe()
    }

    /// Calls a device; `false` when its command stream is not open in this process.
    pub fn dial(&self, device: DeviceId, dial: Dial) -> bool {
        let map = self.dials.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&device).is_some_and(|sender| sender.send(dial).is_ok())
    }

    /// What has the other processes call a device, where its command stream is open there.
    pub fn dial_payload(&self, device: DeviceId, dial: &Dial) -> ApiResult<String> {
        Ok(format!("dial {} {device} {}", self.me.0, serde_json::to_string(dial)?))
    }

    fn heard_dial(&self, payload: &str) -> Option<(DeviceId, Dial)> {
        let mut words = payload.strip_prefix("dial ")?.splitn(3, ' ');
        let from = words.next()?.parse().ok()?;
        let call = (words.next()?.parse().ok()?, serde_json::from_str(words.next()?).ok()?);
        (Me(from) != self.me).then_some(call)
    }

    fn sender(&self, tenant: TenantId) -> broadcast::Sender<Frame> {
        let mut map = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        map.entry(tenant).or_insert_with(|| broadcast::channel(BACKLOG).0).clone()
    }

    fn publish_to_all(&self, frame: &Frame) {
        let tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in tenants.values() {
            let _ = sender.send(frame.clone());
        }
    }

    fn publish(&self, tenant: TenantId, frame: Frame) {
        // No reader is fine.
        let _ = self.sender(tenant).send(frame);
    }

    /// `body` is the sample's JSON, passed on as it is: a [`foreman_protocol::StreamSample`] around it.
    fn publish_sample(&self, tenant: TenantId, device: DeviceId, at: Millis, body: &str) {
        let readers = self.sender(tenant);
        if readers.receiver_count() > 0 {
            let data = format!(r#"{{"device_id":"{device}","at":{at},"sample":{body}}}"#);
            let _ = readers.send(Frame { cursor: None, bytes: frame("sample", None, &data) });
        }
    }

    /// Tells whoever reads now how a provider does now.
    pub fn publish_provider(&self, tenant: TenantId, told: &StreamProvider) -> ApiResult<()> {
        let bytes = frame("provider", None, &serde_json::to_string(told)?);
        self.publish(tenant, Frame { cursor: None, bytes });
        Ok(())
    }

    fn publish_record(&self, tenant: TenantId, record: &EventRecord) -> ApiResult<()> {
        self.publish(tenant, Frame { cursor: Some(record.cursor), bytes: event_frame(record)? });
        if let Some(device) = record.event.device_id() {
            self.commands.wake(device);
            if matches!(
                record.event,
                Event::DeviceDeleted { .. }
                    | Event::DeviceDisconnected { .. }
                    | Event::DeviceConnected { .. }
            ) {
                self.departures.wake(device);
            }
        }
        if matches!(
            record.event,
            Event::SessionEnded { .. } | Event::PasswordChanged { .. } | Event::ApiTokenRevoked { .. }
        ) {
            self.sign_offs.wake(tenant);
        }
        if let Some(task) = record.event.task() {
            self.outputs.wake(task.id);
        }
        Ok(())
    }
}

/// A log row as a server-sent event.
pub fn event_frame(record: &EventRecord) -> ApiResult<Bytes> {
    Ok(frame("event", Some(record.cursor), &serde_json::to_string(record)?))
}

/// `data` must be one line, which JSON is.
pub fn frame(name: &str, id: Option<i64>, data: &str) -> Bytes {
    match id {
        Some(id) => format!("id: {id}\nevent: {name}\ndata: {data}\n\n").into(),
        None => format!("event: {name}\ndata: {data}\n\n").into(),
    }
}

/// Follows the log until the effects' senders are gone. `heard` yields what other replicas announce.
pub async fn follow(
    db: Db,
    hub: Hub,
    mut effects: mpsc::Receiver<Effect>,
    mut heard: mpsc::Receiver<String>,
) {
    let mut sent = heads(&db).await.unwrap_or_default();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let outcome = tokio::select! {
            effect = effects.recv() => match effect {
                Some(effect) => apply(&db, &hub, &mut sent, effect).await,
                None => return,
            },
            Some(payload) = heard.recv() => hear(&db, &hub, &mut sent, &payload).await,
            _ = look.tick() => catch_up(&db, &hub, &mut sent).await,
        };
        if let Err(error) = outcome {
            // The next look tries again; readers only wait a little longer.
            tracing::warn!(%error, "the event log could not be read");
        }
    }
}

async fn apply(db: &Db, hub: &Hub, sent: &mut HashMap<TenantId, i64>, effect: Effect) -> ApiResult<()> {
    match effect {
        Effect::Event { tenant, record } => {
            let last = sent.entry(tenant).or_insert(0);
            if record.cursor <= *last {
                return Ok(());
            }
            if record.cursor == *last + 1 {
                hub.publish_record(tenant, &record)?;
                *last = record.cursor;
                return Ok(());
            }
            catch_up(db, hub, sent).await
        }
        Effect::Output(task) => {
            hub.outputs.wake(task);
            Ok(())
        }
        Effect::Answer(message) => {
            hub.answers.wake(message);
            Ok(())
        }
        Effect::Sample { tenant, device, at, body } => {
            hub.publish_sample(tenant, device, at, &body);
            Ok(())
        }
    }
}

/// What another replica announced: `events`, `output <ids>`, `answers <ids>`, `samples <ids>`,
/// `dial <from> <id> <json>`.
async fn hear(db: &Db, hub: &Hub, sent: &mut HashMap<TenantId, i64>, payload: &str) -> ApiResult<()> {
    let mut words = payload.split(' ');
    match words.next() {
        Some("events") => catch_up(db, hub, sent).await,
        Some("output") => {
            words.filter_map(|id| id.parse().ok()).for_each(|task| hub.outputs.wake(task));
            Ok(())
        }
        Some("answers") => {
            words.filter_map(|id| id.parse().ok()).for_each(|message| hub.answers.wake(message));
            Ok(())
        }
        Some("samples") => {
            for device in words.filter_map(|id| id.parse::<DeviceId>().ok()) {
                forward_sample(db, hub, device).await?;
            }
            Ok(())
        }
        Some("dial") => {
            if let Some((device, dial)) = hub.heard_dial(payload) {
                hub.dial(device, dial);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn forward_sample(db: &Db, hub: &Hub, device: DeviceId) -> ApiResult<()> {
    let row = sqlx::query(
        "SELECT d.tenant_id, s.at, s.body FROM samples s JOIN devices d ON d.id = s.device_id \
         WHERE s.device_id = $1 ORDER BY s.at DESC LIMIT 1",
    )
    .bind(device.to_string())
    .fetch_optional(db.read())
    .await?;
    let Some(row) = row else { return Ok(()) };
    let Ok(tenant) = row.try_get::<String, _>(0)?.parse() else { return Ok(()) };
    hub.publish_sample(tenant, device, row.try_get(1)?, &row.try_get::<String, _>(2)?);
    Ok(())
}

/// Sends every committed event that was not sent yet.
async fn catch_up(db: &Db, hub: &Hub, sent: &mut HashMap<TenantId, i64>) -> ApiResult<()> {
    for (tenant, head) in heads(db).await? {
        loop {
            let last = *sent.entry(tenant).or_insert(0);
            if last >= head {
                break;
            }
            let records = read_after(db, tenant, last, READ_CHUNK).await?;
            let Some(newest) = records.last().map(|record| record.cursor) else { break };
            for record in &records {
                hub.publish_record(tenant, record)?;
            }
            sent.insert(tenant, newest);
        }
    }
    Ok(())
}

async fn heads(db: &Db) -> ApiResult<HashMap<TenantId, i64>> {
    let rows = sqlx::query("SELECT id, last_cursor FROM tenants").fetch_all(db.read()).await?;
    rows.iter()
        .map(|row| {
            let id: String = row.try_get(0)?;
            Ok((id.parse().map_err(crate::problem::ApiError::internal)?, row.try_get(1)?))
        })
        .collect()
}

/// The newest cursor of a tenant.
pub async fn head(db: &Db, tenant: TenantId) -> ApiResult<i64> {
    let row = sqlx::query("SELECT last_cursor FROM tenants WHERE id = $1")
        .bind(tenant.to_string())
        .fetch_one(db.read())
        .await?;
    Ok(row.try_get(0)?)
}

/// Up to `limit` events after a cursor, oldest first.
pub async fn read_after(db: &Db, tenant: TenantId, after: i64, limit: i64) -> ApiResult<Vec<EventRecord>> {
    let sql = format!(
        "SELECT {} FROM events WHERE tenant_id = $1 AND cursor > $2 ORDER BY cursor LIMIT $3",
        StoredEvent::COLUMNS
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.to_string())
        .bind(after)
        .bind(limit)
        .fetch_all(db.read())
        .await?;
    rows.iter()
        .map(|row| {
            let (stored, hash) = StoredEvent::read(row)?;
            stored.into_record(hash)
        })
        .collect()
}

/// A `ping` to every reader of every tenant, made once for all of them, and the end when the server closes.
pub async fn ping(hub: Hub, closing: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(foreman_protocol::PING_INTERVAL_S));
    loop {
        tokio::select! {
            () = closing.cancelled() => return hub.publish_to_all(&Frame::END),
            _ = every.tick() => hub.publish_to_all(&Frame { cursor: None, bytes: ping_frame() }),
        }
    }
}

pub fn ping_frame() -> Bytes {
    frame("ping", None, &format!(r#"{{"server_time":{}}}"#, now()))
}

/// Passes on what PostgreSQL notifies, reconnecting forever; a lost notification only costs up to a second.
pub async fn listen(url: String, heard: mpsc::Sender<String>) {
    loop {
        match sqlx::postgres::PgListener::connect(&url).await {
            Ok(mut listener) => {
                if listener.listen("foreman").await.is_ok() {
                    while let Ok(notification) = listener.recv().await {
                        if heard.send(notification.payload().to_owned()).await.is_err() {
                            return;
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "cannot listen to PostgreSQL; trying again"),
        }
        if heard.is_closed() {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use foreman_protocol::{Sample, StreamSample};

    use super::*;

    #[tokio::test]
    async fn a_call_reaches_only_who_listens_and_travels_between_replicas() {
        let hub = Hub::default();
        let device = DeviceId::fresh();
        let dial = Dial { ticket: "fmr_x".into(), server: Some("http://one:3001".into()), account: None };
        assert!(!hub.dial(device, dial.clone()));
        let mut listening = hub.dials(device);
        let payload = Hub::default().dial_payload(device, &dial).unwrap();
        let (to, heard) = hub.heard_dial(&payload).unwrap();
        assert!(hub.heard_dial(&hub.dial_payload(device, &dial).unwrap()).is_none(), "its own");
        assert!(hub.dial(to, heard) && !hub.dial(DeviceId::fresh(), dial.clone()));
        assert_eq!(listening.try_recv().unwrap(), dial);
        drop(listening);
        assert!(!hub.dial(device, dial));
    }

    #[test]
    fn a_measurement_is_framed_as_the_wire_type() {
        let hub = Hub::default();
        let (tenant, device) = (TenantId::fresh(), DeviceId::fresh());
        let mut reader = hub.subscribe(tenant);
        let sample = Sample { cpu_percent: 12.5, ..Sample::default() };
        hub.publish_sample(tenant, device, 7, &serde_json::to_string(&sample).unwrap());
        let frame = String::from_utf8(reader.try_recv().unwrap().bytes.to_vec()).unwrap();
        let data = frame.strip_prefix("event: sample\ndata: ").unwrap().trim_end();
        let read: StreamSample = serde_json::from_str(data).unwrap();
        assert_eq!(read, StreamSample { device_id: device, at: 7, sample });
    }
}
