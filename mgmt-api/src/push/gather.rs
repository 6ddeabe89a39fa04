//! From the log to what is due at each receiver: each event is read once, and what it makes due is written together
//! with how far was read. So nothing is lost and nothing heard twice, whenever this server is killed, and whichever of
//! several servers reads.

use foreman_notices::{News, Notice, Standing, TOLD, Word, news};
use foreman_protocol::{Event, NoticeRules, PushChoice, TenantId};
use sqlx::Row;

use crate::{
    auth::parse,
    db::{Db, Tx, now},
    events::StoredEvent,
    problem::ApiResult,
};

/// Events one write takes in.
const CHUNK: i64 = 200;
/// What was told so long ago is on no screen any more.
const FORGET_MS: i64 = 3 * 86_400_000;

struct Receiver {
    id: String,
    since: i64,
    rules: NoticeRules,
}

/// Reads every log to its end.
pub async fn gather(db: &Db) -> ApiResult<()> {
    let behind = sqlx::query(
        "SELECT t.id FROM tenants t LEFT JOIN push_read p ON p.tenant_id = t.id \
         WHERE (p.cursor IS NULL OR p.cursor < t.last_cursor) \
         AND EXISTS (SELECT 1 FROM push_receivers r WHERE r.tenant_id = t.id)",
    )
    .fetch_all(db.read())
    .await?;
    for row in behind {
        let tenant: TenantId = parse(&row.try_get::<String, _>(0)?)?;
        while db.write(move |tx| Box::pin(some(tx, tenant))).await? {}
    }
    Ok(())
}

/// Whether there is more.
async fn some(tx: &mut Tx, tenant: TenantId) -> ApiResult<bool> {
    let head = tx.next_cursor(tenant).await? - 1;
    let receivers = receivers(tx, tenant).await?;
    let row = sqlx::query("SELECT cursor FROM push_read WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_optional(tx.conn())
        .await?;
    let read: i64 = row.map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
    let from = receivers.iter().map(|receiver| receiver.since).min().map_or(head, |since| read.max(since));
    let events = events(tx, tenant, from, head).await?;
    for (cursor, event) in &events {
        let name = device_name(tx, event).await?;
        for news in news(event, || name) {
            for receiver in receivers.iter().filter(|receiver| receiver.since < *cursor) {
                hear(tx, receiver, news.clone()).await?;
            }
        }
    }
    let more = events.len() as i64 == CHUNK;
    let reached = events.last().filter(|_| more).map_or(head, |(cursor, _)| *cursor);
    sqlx::query(
        "INSERT INTO push_read (tenant_id, cursor) VALUES ($1, $2) ON CONFLICT (tenant_id) DO UPDATE SET cursor = $2",
    )
    .bind(tenant.to_string())
    .bind(reached)
    .execute(tx.conn())
    .await?;
    Ok(more)
}

async fn receivers(tx: &mut Tx, tenant: TenantId) -> ApiResult<Vec<Receiver>> {
    let rows = sqlx::query("SELECT id, since, choice FROM push_receivers WHERE tenant_id = $1 ORDER BY id")
        .bind(tenant.to_string())
        .fetch_all(tx.conn())
        .await?;
    rows.iter()
        .map(|row| {
            let choice: PushChoice = serde_json::from_str(&row.try_get::<String, _>("choice")?)?;
            Ok(Receiver { id: row.try_get("id")?, since: row.try_get("since")?, rules: choice.rules })
        })
        .collect()
}

async fn events(tx: &mut Tx, tenant: TenantId, from: i64, head: i64) -> ApiResult<Vec<(i64, Event)>> {
    let sql = format!(
        "SELECT {} FROM events WHERE tenant_id = $1 AND cursor > $2 AND cursor <= $3 AND type IN ({}) \
         ORDER BY cursor LIMIT {CHUNK}",
        StoredEvent::COLUMNS,
        crate::db::placeholders(4, TOLD.len())
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.to_string()).bind(from).bind(head);
    for kind in TOLD {
        query = query.bind(*kind);
    }
    let rows = query.fetch_all(tx.conn()).await?;
    rows.iter()
        .map(|row| {
            let (stored, hash) = StoredEvent::read(row)?;
            let record = stored.into_record(hash)?;
            Ok((record.cursor, record.event))
        })
        .collect()
}

/// Of the device that a task is on.
async fn device_name(tx: &mut Tx, event: &Event) -> ApiResult<String> {
    let Some(task) = event.task() else { return Ok(String::new()) };
    let row = sqlx::query("SELECT name FROM devices WHERE id = $1")
        .bind(task.device_id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or_default())
}

async fn hear(tx: &mut Tx, receiver: &Receiver, news: News) -> ApiResult<()> {
    let subject = news.subject().to_string();
    let row = sqlx::query("SELECT told, due FROM push_standings WHERE receiver_id = $1 AND subject = $2")
        .bind(&receiver.id)
        .bind(&subject)
        .fetch_optional(tx.conn())
        .await?;
    let before = match &row {
        Some(row) => Standing { told: json::<Notice>(row, "told")?, due: json::<Word>(row, "due")? },
        None => Standing::default(),
    };
    let mut after = before.clone();
    after.hear(news, &receiver.rules);
    if after == before {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO push_standings (receiver_id, subject, told, due, at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (receiver_id, subject) DO UPDATE SET told = $3, due = $4, at = $5",
    )
    .bind(&receiver.id)
    .bind(&subject)
    .bind(after.told.as_ref().map(serde_json::to_string).transpose()?)
    .bind(after.due.as_ref().map(serde_json::to_string).transpose()?)
    .bind(now())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A column of JSON.
pub fn json<T: serde::de::DeserializeOwned>(row: &sqlx::any::AnyRow, column: &str) -> ApiResult<Option<T>> {
    let text: Option<String> = row.try_get(column)?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// Forgets what was told long ago and what there is nothing to remember of.
pub async fn prune(db: &Db) -> ApiResult<()> {
    db.write(|tx| {
        Box::pin(async move {
            sqlx::query("DELETE FROM push_standings WHERE at < $1 OR (told IS NULL AND due IS NULL)")
                .bind(now() - FORGET_MS)
                .execute(tx.conn())
                .await?;
            Ok(())
        })
    })
    .await
}
