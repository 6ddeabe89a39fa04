//! The append-only event log: how a state change is written, chained and announced.
//!
//! Every state change writes its rows and one event in the same transaction. There is no second way to
//! announce a change: the dashboard's stream, the audit view, metrics and device wake-ups all read this log.

pub mod audit;
pub mod hub;
pub mod live;
pub mod stream;

use std::net::IpAddr;

use foreman_protocol::{Actor, DeviceId, Event, EventRecord, MessageId, Millis, TaskId, TenantId};
use sha2::{Digest, Sha256};
use sqlx::{Row, any::AnyRow};

use crate::{
    db::{Tx, now},
    problem::ApiResult,
};

/// The hash before a tenant's first event.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Who does something, and from which network address.
#[derive(Debug, Clone)]
pub struct Cause {
    pub tenant: TenantId,
    pub actor: Actor,
    pub source: Option<String>,
}

impl Cause {
    /// Somebody who is not signed in.
    pub fn anonymous(tenant: TenantId, from: IpAddr) -> Self {
        Self { tenant, actor: Actor::Anonymous, source: Some(from.to_string()) }
    }

    /// Foreman itself: a timer or a limit.
    pub fn system(tenant: TenantId) -> Self {
        Self { tenant, actor: Actor::System, source: None }
    }

    /// Someone with a shell on the server's host.
    pub fn host(tenant: TenantId) -> Self {
        Self { tenant, actor: Actor::Host, source: None }
    }
}

/// What a committed write wants told.
#[derive(Debug, Clone)]
pub enum Effect {
    Event {
        tenant: TenantId,
        record: Box<EventRecord>,
    },
    /// More output of a task, or its end.
    Output(TaskId),
    /// More of an answer in a conversation, or its end.
    Answer(MessageId),
    /// A measurement, as the JSON that was stored.
    Sample {
        tenant: TenantId,
        device: DeviceId,
        at: Millis,
        body: String,
    },
}

/// PostgreSQL refuses notifications of 8,000 bytes and more.
const NOTIFICATION_IDS: usize = 150;

impl Effect {
    /// What other replicas are told: where to look, never the content. `events`, `output <ids>`, `answers <ids>`,
    /// `samples <ids>`.
    pub fn notifications(effects: &[Effect]) -> Vec<String> {
        let mut outputs = Vec::new();
        let mut answers = Vec::new();
        let mut samples = Vec::new();
        let mut events = false;
        for effect in effects {
            match effect {
                Effect::Event { .. } => events = true,
                Effect::Output(task) => outputs.push(task.to_string()),
                Effect::Answer(message) => answers.push(message.to_string()),
                Effect::Sample { device, .. } => samples.push(device.to_string()),
            }
        }
        let mut payloads = Vec::new();
        if events {
            payloads.push("events".to_owned());
        }
        for (word, mut ids) in [("output", outputs), ("answers", answers), ("samples", samples)] {
            ids.sort_unstable();
            ids.dedup();
            payloads.extend(ids.chunks(NOTIFICATION_IDS).map(|some| format!("{word} {}", some.join(" "))));
        }
        payloads
    }
}

impl Tx {
    /// The cursor the next event of this tenant will get. Nothing else writes until this write ends.
    pub async fn next_cursor(&mut self, tenant: TenantId) -> ApiResult<i64> {
        let row = sqlx::query("SELECT last_cursor FROM tenants WHERE id = $1")
            .bind(tenant.to_string())
            .fetch_one(self.conn())
            .await?;
        Ok(row.try_get::<i64, _>(0)? + 1)
    }

    /// Appends to the log and marks the thing it is about with the event's cursor.
    pub async fn emit(&mut self, cause: &Cause, mut event: Event) -> ApiResult<i64> {
        let tenant = cause.tenant.to_string();
        let head = sqlx::query("SELECT last_cursor, last_hash FROM tenants WHERE id = $1")
            .bind(&tenant)
            .fetch_one(self.conn())
            .await?;
        let cursor = head.try_get::<i64, _>(0)? + 1;
        let previous: String = head.try_get(1)?;
        event.set_version(cursor);

        let row = StoredEvent {
            tenant,
            cursor,
            at: now(),
            kind: event.name().to_owned(),
            device: event.device_id().map(|id| id.to_string()),
            actor: serde_json::to_string(&cause.actor)?,
            source: cause.source.clone(),
            body: serde_json::to_string(&event)?,
        };
        let hash = row.hash(&previous);
        sqlx::query(
            "INSERT INTO events (tenant_id, cursor, at, type, device_id, actor, source, body, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&row.tenant)
        .bind(row.cursor)
        .bind(row.at)
        .bind(&row.kind)
        .bind(&row.device)
        .bind(&row.actor)
        .bind(&row.source)
        .bind(&row.body)
        .bind(&hash)
        .execute(self.conn())
        .await?;
        sqlx::query("UPDATE tenants SET last_cursor = $1, last_hash = $2 WHERE id = $3")
            .bind(cursor)
            .bind(&hash)
            .bind(&row.tenant)
            .execute(self.conn())
            .await?;
        self.mark_version(&event, cursor).await?;

        let record = EventRecord {
            cursor,
            at: row.at,
            actor: cause.actor.clone(),
            source: cause.source.clone(),
            event,
            hash,
        };
        metrics::counter!("foreman_events_total", "type" => record.event.name()).increment(1);
        self.after_commit(Effect::Event { tenant: cause.tenant, record: Box::new(record) });
        Ok(cursor)
    }

    async fn mark_version(&mut self, event: &Event, cursor: i64) -> ApiResult<()> {
        let (sql, id) = match event.task() {
            Some(task) => ("UPDATE tasks SET version = $1 WHERE id = $2", Some(task.id.to_string())),
            None => (
                "UPDATE presence SET version = $1 WHERE device_id = $2",
                event.device_id().map(|device| device.to_string()),
            ),
        };
        if let Some(id) = id {
            sqlx::query(sql).bind(cursor).bind(id).execute(self.conn()).await?;
        }
        Ok(())
    }
}

/// A row of `events` as it is stored, without its hash.
pub struct StoredEvent {
    pub tenant: String,
    pub cursor: i64,
    pub at: Millis,
    pub kind: String,
    pub device: Option<String>,
    pub actor: String,
    pub source: Option<String>,
    pub body: String,
}

impl StoredEvent {
    pub const COLUMNS: &'static str = "tenant_id, cursor, at, type, device_id, actor, source, body, hash";

    pub fn read(row: &AnyRow) -> Result<(Self, String), sqlx::Error> {
        let stored = Self {
            tenant: row.try_get("tenant_id")?,
            cursor: row.try_get("cursor")?,
            at: row.try_get("at")?,
            kind: row.try_get("type")?,
            device: row.try_get("device_id")?,
            actor: row.try_get("actor")?,
            source: row.try_get("source")?,
            body: row.try_get("body")?,
        };
        Ok((stored, row.try_get("hash")?))
    }

    /// Covers the hash before and every column; lengths go in too, so no two rows hash the same text.
    pub fn hash(&self, previous: &str) -> String {
        let mut digest = Sha256::new();
        let cursor = self.cursor.to_string();
        let at = self.at.to_string();
        for part in [
            previous,
            &self.tenant,
            &cursor,
            &at,
            &self.kind,
            self.device.as_deref().unwrap_or_default(),
            &self.actor,
            self.source.as_deref().unwrap_or_default(),
            &self.body,
        ] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        hex(&digest.finalize())
    }

    pub fn into_record(self, hash: String) -> ApiResult<EventRecord> {
        Ok(EventRecord {
            cursor: self.cursor,
            at: self.at,
            actor: serde_json::from_str(&self.actor)?,
            source: self.source,
            event: serde_json::from_str(&self.body)?,
            hash,
        })
    }
}

pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
}
