//! The audit view: the same log, filtered and paged, exported as JSON lines, its chain verified.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use foreman_protocol::{AuditVerification, DeviceId, EventRecord, MAX_PAGE, Page, TenantId};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use sqlx::Row;
use utoipa::IntoParams;

use super::{GENESIS, StoredEvent};
use crate::{
    App,
    auth::Caller,
    db::Db,
    extract::{Json, Query},
    problem::ApiResult,
    query::Filter,
};

#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
pub struct AuditQuery {
    /// Types that start with this: `device.task`.
    #[serde(rename = "type")]
    kind: Option<String>,
    device: Option<DeviceId>,
    /// Part of the name of who did it.
    actor: Option<String>,
    /// Part of anything in the event.
    q: Option<String>,
    /// Only events before this one: `next` of the page before.
    #[serde(alias = "before")]
    cursor: Option<i64>,
    limit: Option<u32>,
    /// `jsonl` for the whole filtered log, oldest first, as a file.
    format: Option<String>,
}

/// The audit log, newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "events", params(AuditQuery),
    responses((status = 200, content(
        (Page<EventRecord> = "application/json"),
        (String = "application/x-ndjson"),
    ))),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<AuditQuery>,
) -> ApiResult<Response> {
    let lines = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("application/x-ndjson"));
    if lines || query.format.as_deref() == Some("jsonl") {
        return Ok(export(app.db.clone(), caller.tenant, query));
    }
    let limit = query.limit.unwrap_or(50).clamp(1, MAX_PAGE);
    let filter = query.filter(caller.tenant, query.cursor.map(|cursor| ("cursor <", cursor)));
    let mut items = read(&app.db, filter, "DESC", i64::from(limit) + 1).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|record| record.cursor.to_string());
    Ok(Json(Page { items, next }).into_response())
}

impl AuditQuery {
    fn filter(&self, tenant: TenantId, bound: Option<(&'static str, i64)>) -> Filter {
        let mut filter = Filter::new("tenant_id =", tenant.to_string());
        if let Some(kind) = &self.kind {
            filter.starts_with("type", kind);
        }
        if let Some(device) = self.device {
            filter.text("device_id =", device.to_string());
        }
        if let Some(actor) = &self.actor {
            filter.contains("actor", actor);
        }
        if let Some(q) = &self.q {
            filter.contains("body", q);
        }
        if let Some((condition, cursor)) = bound {
            filter.number(condition, cursor);
        }
        filter
    }
}

async fn read(db: &Db, filter: Filter, order: &str, limit: i64) -> ApiResult<Vec<EventRecord>> {
    let sql = format!(
        "SELECT {} FROM events WHERE {} ORDER BY cursor {order} LIMIT {limit}",
        StoredEvent::COLUMNS,
        filter.sql()
    );
    let rows = filter.fetch(db, sql).await?;
    rows.iter()
        .map(|row| {
            let (stored, hash) = StoredEvent::read(row)?;
            stored.into_record(hash)
        })
        .collect()
}

fn export(db: Db, tenant: TenantId, query: AuditQuery) -> Response {
    let lines = stream::unfold(Some(0_i64), move |after| {
        let (db, query) = (db.clone(), query.clone());
        async move {
            let filter = query.filter(tenant, Some(("cursor >", after?)));
            match read(&db, filter, "ASC", 500).await {
                Ok(records) => {
                    let next = records.last().map(|record| record.cursor)?;
                    let mut text = String::new();
                    for record in &records {
                        text.push_str(&serde_json::to_string(record).ok()?);
                        text.push('\n');
                    }
                    Some((Ok(Bytes::from(text)), Some(next)))
                }
                // Cut the download short rather than end it as if it were whole.
                Err(error) => Some((Err(std::io::Error::other(error.to_string())), None)),
            }
        }
    });
    // Compression asks once more after the end.
    let mut response = Response::new(Body::from_stream(lines.fuse()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"foreman-audit.jsonl\""),
    );
    response
}

/// Checks the chain of hashes over the whole log.
#[utoipa::path(
    get, path = "/api/v1/audit/verify", tag = "events",
    responses((status = 200, body = AuditVerification)),
)]
pub async fn verify(State(app): State<App>, caller: Caller) -> ApiResult<Json<AuditVerification>> {
    Ok(Json(verify_chain(&app.db, caller.tenant).await?))
}

/// Recomputes every hash up to the head as it stands now. An edited row, a removed row and a removed tail all show.
pub async fn verify_chain(db: &Db, tenant: TenantId) -> ApiResult<AuditVerification> {
    let head = sqlx::query("SELECT last_cursor, last_hash FROM tenants WHERE id = $1")
        .bind(tenant.to_string())
        .fetch_one(db.read())
        .await?;
    let (last_cursor, last_hash): (i64, String) = (head.try_get(0)?, head.try_get(1)?);
    let mut previous = GENESIS.to_owned();
    let mut cursor = 0;
    while cursor < last_cursor {
        let sql = format!(
            "SELECT {} FROM events WHERE tenant_id = $1 AND cursor > $2 AND cursor <= $3 ORDER BY cursor LIMIT 1000",
            StoredEvent::COLUMNS
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(tenant.to_string())
            .bind(cursor)
            .bind(last_cursor)
            .fetch_all(db.read())
            .await?;
        if rows.is_empty() {
            return Ok(broken(cursor));
        }
        for row in &rows {
            let (stored, hash) = StoredEvent::read(row)?;
            if stored.cursor != cursor + 1 || stored.hash(&previous) != hash {
                return Ok(broken(cursor));
            }
            cursor = stored.cursor;
            previous = hash;
        }
    }
    if previous != last_hash {
        return Ok(broken(cursor));
    }
    Ok(AuditVerification {
        intact: true,
        checked: u64::try_from(cursor).unwrap_or_default(),
        broken_at: None,
    })
}

fn broken(after: i64) -> AuditVerification {
    AuditVerification {
        intact: false,
        checked: u64::try_from(after).unwrap_or_default(),
        broken_at: Some(after + 1),
    }
}
