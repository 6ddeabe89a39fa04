//! What was used, added up as people ask for it, and as CSV.

use std::collections::HashMap;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use foreman_protocol::{CapPeriod, Millis, Role, TenantId, UsageBy, UsageMiss, UsageReport, UsageSum};
use futures_util::stream;
use serde::Deserialize;
use sqlx::{Row, any::AnyRow};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{ledger::DAY_MS, words};
use crate::{
    App,
    auth::Caller,
    db::{Db, now},
    extract::{Json, Query},
    problem::{ApiError, ApiResult},
};

/// Sums in one report.
const SUMS: i64 = 500;
/// The longest time a report is about.
const MOST_DAYS: i64 = 400;
/// Reasons in one report.
const MISSED: i64 = 50;
/// Rows of CSV read at a time.
const CSV_ROWS: i64 = 500;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(report)).routes(routes!(csv))
}

#[derive(Debug, Deserialize, IntoParams)]
struct Wanted {
    /// By model when absent.
    by: Option<UsageBy>,
    /// Milliseconds since the epoch; 30 days ago when absent.
    from: Option<Millis>,
    /// Exclusive; now when absent.
    to: Option<Millis>,
}

impl Wanted {
    fn span(&self) -> ApiResult<(Millis, Millis)> {
        let to = self.to.unwrap_or_else(|| now() + 1);
        let from = self.from.unwrap_or(to - 30 * DAY_MS);
        if from >= to || to - from > MOST_DAYS * DAY_MS {
            return Err(ApiError::invalid("from", format!("A report is about 1 to {MOST_DAYS} days.")));
        }
        Ok((from, to))
    }
}

/// The SQL for what a sum is called, text on both databases.
const fn name_sql(by: UsageBy) -> &'static str {
    match by {
        UsageBy::Model => "u.provider || '/' || u.model",
        UsageBy::Provider => "u.provider",
        UsageBy::Device => "COALESCE(u.device, '')",
        UsageBy::Key => "COALESCE(k.name, '')",
        UsageBy::Project => "COALESCE(u.project, '')",
        UsageBy::Day => "CAST(u.day AS TEXT)",
    }
}

const SUM_COLUMNS: &str = "CAST(COUNT(*) AS BIGINT) AS requests, \
     CAST(SUM(CASE WHEN u.outcome IN ('failed', 'broken') THEN 1 ELSE 0 END) AS BIGINT) AS failed, \
     CAST(SUM(u.input_tokens) AS BIGINT) AS input_tokens, CAST(SUM(u.output_tokens) AS BIGINT) AS output_tokens, \
     CAST(SUM(u.cached_tokens) AS BIGINT) AS cached_tokens, \
     CAST(COALESCE(SUM(u.cost_micros), 0) AS BIGINT) AS cost_micros, \
     CAST(SUM(CASE WHEN u.cost_micros IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS unpriced";

const FROM: &str = "FROM model_usage u LEFT JOIN model_keys k ON k.id = u.key_id \
     WHERE u.tenant_id = $1 AND u.at >= $2 AND u.at < $3";

/// What was used, by model, provider, device, key, project or day.
#[utoipa::path(get, path = "/api/v1/usage", tag = "models", params(Wanted),
    responses((status = 200, body = UsageReport)))]
async fn report(
    State(app): State<App>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> ApiResult<Json<UsageReport>> {
    caller.at_least(Role::Viewer)?;
    let (from, to) = wanted.span()?;
    let by = wanted.by.unwrap_or(UsageBy::Model);
    let asked = Asked { db: &app.db, tenant: caller.tenant, from, to };
    let total = asked.sums("'' ").await?.pop().unwrap_or_else(nothing);
    let mut sums = asked.sums(name_sql(by)).await?;
    if by == UsageBy::Day {
        sums.sort_by_key(|sum| sum.name.parse::<i64>().unwrap_or(0));
        for sum in &mut sums {
            sum.name = date(sum.name.parse().unwrap_or(0));
        }
    }
    let spent = |period| app.router.ledger.spent(caller.tenant, None, period);
    Ok(Json(UsageReport {
        from,
        to,
        by,
        total,
        sums,
        today_micros: spent(CapPeriod::Day),
        month_micros: spent(CapPeriod::Month),
        caps: app.router.routing().caps,
        missed: asked.missed().await?,
    }))
}

fn nothing() -> UsageSum {
    UsageSum {
        name: String::new(),
        requests: 0,
        failed: 0,
        input_tokens: 0,
        output_tokens: 0,
        cached_tokens: 0,
        cost_micros: 0,
        unpriced: 0,
        latency_ms: None,
        first_token_ms: None,
    }
}

/// `2026-11-21` of days since the epoch.
fn date(day: i64) -> String {
    let seconds = u64::try_from(day * DAY_MS / 1_000).unwrap_or(0);
    let text =
        humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
    text.to_string().chars().take(10).collect()
}

struct Asked<'a> {
    db: &'a Db,
    tenant: TenantId,
    from: Millis,
    to: Millis,
}

impl Asked<'_> {
    async fn fetch(&self, sql: String) -> ApiResult<Vec<AnyRow>> {
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.tenant.to_string());
        Ok(query.bind(self.from).bind(self.to).fetch_all(self.db.read()).await?)
    }

    async fn sums(&self, name: &str) -> ApiResult<Vec<UsageSum>> {
        let sql = format!(
            "SELECT {name} AS name, {SUM_COLUMNS} {FROM} GROUP BY 1 ORDER BY cost_micros DESC, requests DESC, name \
             LIMIT {SUMS}"
        );
        let mut sums = self
            .fetch(sql)
            .await?
            .iter()
            .map(|row| {
                Ok(UsageSum {
                    name: row.try_get::<String, _>("name")?.trim().to_owned(),
                    requests: row.try_get("requests")?,
                    failed: row.try_get("failed")?,
                    input_tokens: row.try_get("input_tokens")?,
                    output_tokens: row.try_get("output_tokens")?,
                    cached_tokens: row.try_get("cached_tokens")?,
                    cost_micros: row.try_get("cost_micros")?,
                    unpriced: row.try_get("unpriced")?,
                    latency_ms: None,
                    first_token_ms: None,
                })
            })
            .collect::<ApiResult<Vec<_>>>()?;
        for (name, median) in self.medians(name, "latency_ms").await? {
            if let Some(sum) = sums.iter_mut().find(|sum| sum.name == name) {
                sum.latency_ms = Some(median);
            }
        }
        for (name, median) in self.medians(name, "first_token_ms").await? {
            if let Some(sum) = sums.iter_mut().find(|sum| sum.name == name) {
                sum.first_token_ms = Some(median);
            }
        }
        Ok(sums)
    }

    /// Who did not answer, and why.
    async fn missed(&self) -> ApiResult<Vec<UsageMiss>> {
        let sql = format!(
            "SELECT miss, CAST(COUNT(*) AS BIGINT) AS requests, CAST(MAX(at) AS BIGINT) AS last_at \
             FROM model_usage_misses WHERE tenant_id = $1 AND at >= $2 AND at < $3 \
             GROUP BY miss ORDER BY requests DESC, last_at DESC LIMIT {MISSED}"
        );
        let rows = self.fetch(sql).await?;
        rows.iter()
            .map(|row| {
                Ok(UsageMiss {
                    miss: serde_json::from_str(&row.try_get::<String, _>("miss")?)?,
                    requests: row.try_get("requests")?,
                    last_at: row.try_get("last_at")?,
                })
            })
            .collect()
    }

    /// Of answers that came whole. Neither database has a median, both can number rows.
    async fn medians(&self, name: &str, column: &'static str) -> ApiResult<Vec<(String, i64)>> {
        let sql = format!(
            "SELECT m.name, m.value FROM (SELECT {name} AS name, u.{column} AS value, \
             ROW_NUMBER() OVER (PARTITION BY {name} ORDER BY u.{column}) AS place, \
             COUNT(*) OVER (PARTITION BY {name}) AS many \
             {FROM} AND u.{column} IS NOT NULL AND u.outcome = 'answered') m WHERE m.place = (m.many + 1) / 2"
        );
        let rows = self.fetch(sql).await?;
        rows.iter().map(|row| Ok((row.try_get::<String, _>(0)?.trim().to_owned(), row.try_get(1)?))).collect()
    }
}

const HEAD: &str = "time,account,key,project,provider,model,device,input_tokens,output_tokens,cached_tokens,\
                    cost_usd,estimated,latency_ms,first_token_ms,outcome,missed\r\n";

/// Every request as a line, oldest first.
#[utoipa::path(get, path = "/api/v1/usage.csv", tag = "models", params(Wanted),
    responses((status = 200, content_type = "text/csv", body = String)))]
async fn csv(State(app): State<App>, caller: Caller, Query(wanted): Query<Wanted>) -> ApiResult<Response> {
    caller.at_least(Role::Viewer)?;
    let (from, to) = wanted.span()?;
    let reader =
        CsvReader { app, tenant: caller.tenant, from, to, after: String::new(), begun: false, over: false };
    let mut response = Response::new(Body::from_stream(stream::try_unfold(reader, CsvReader::next)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"foreman-usage.csv\""),
    );
    Ok(response)
}

struct CsvReader {
    app: App,
    tenant: TenantId,
    from: Millis,
    to: Millis,
    /// The last id that was sent.
    after: String,
    begun: bool,
    over: bool,
}

impl CsvReader {
    async fn next(mut self) -> ApiResult<Option<(Bytes, Self)>> {
        if self.over {
            return Ok(None);
        }
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(Some((Bytes::from_static(HEAD.as_bytes()), self)));
        }
        let sql = format!(
            "SELECT u.id, u.at, u.account, COALESCE(k.name, '') AS key_name, COALESCE(u.project, '') AS project, \
             u.provider, u.model, COALESCE(u.device, '') AS device, u.input_tokens, u.output_tokens, u.cached_tokens, \
             u.cost_micros, u.estimated, u.latency_ms, u.first_token_ms, u.outcome {FROM} AND u.id > $4 \
             ORDER BY u.id LIMIT {CSV_ROWS}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(self.tenant.to_string())
            .bind(self.from)
            .bind(self.to)
            .bind(&self.after)
            .fetch_all(self.app.db.read())
            .await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let last: String = last.try_get("id")?;
        let mut missed = self.missed(&last).await?;
        self.after = last;
        self.over = (rows.len() as i64) < CSV_ROWS;
        let lines = rows
            .iter()
            .map(|row| line(row, &missed.remove(&row.try_get::<String, _>("id")?).unwrap_or_default()));
        let lines = lines.collect::<ApiResult<String>>()?;
        Ok(Some((lines.into(), self)))
    }

    /// By request, up to this one: who did not answer it, in the words of the header.
    async fn missed(&self, last: &str) -> ApiResult<HashMap<String, String>> {
        let rows = sqlx::query(
            "SELECT usage_id, miss FROM model_usage_misses \
             WHERE tenant_id = $1 AND at >= $2 AND at < $3 AND usage_id > $4 AND usage_id <= $5 ORDER BY usage_id, nth",
        )
        .bind(self.tenant.to_string())
        .bind(self.from)
        .bind(self.to)
        .bind(&self.after)
        .bind(last)
        .fetch_all(self.app.db.read())
        .await?;
        let mut missed: HashMap<String, String> = HashMap::new();
        for row in rows {
            let said = words::miss(&serde_json::from_str(&row.try_get::<String, _>("miss")?)?);
            let all = missed.entry(row.try_get("usage_id")?).or_default();
            all.push_str(if all.is_empty() { "" } else { "; " });
            all.push_str(&said);
        }
        Ok(missed)
    }
}

fn line(row: &AnyRow, missed: &str) -> ApiResult<String> {
    let number = |name: &str| -> ApiResult<String> {
        Ok(row.try_get::<Option<i64>, _>(name)?.map(|number| number.to_string()).unwrap_or_default())
    };
    let text = |name: &str| -> ApiResult<String> { Ok(field(&row.try_get::<String, _>(name)?)) };
    let at = u64::try_from(row.try_get::<i64, _>("at")?).unwrap_or(0);
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at);
    let cost: Option<i64> = row.try_get("cost_micros")?;
    let cost =
        cost.map(|micros| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)).unwrap_or_default();
    let fields = [
        humantime::format_rfc3339_millis(at).to_string(),
        text("account")?,
        text("key_name")?,
        text("project")?,
        text("provider")?,
        text("model")?,
        text("device")?,
        number("input_tokens")?,
        number("output_tokens")?,
        number("cached_tokens")?,
        cost,
        if row.try_get::<i64, _>("estimated")? != 0 { "yes".into() } else { "no".into() },
        number("latency_ms")?,
        number("first_token_ms")?,
        text("outcome")?,
        field(missed),
    ];
    Ok(format!("{}\r\n", fields.join(",")))
}

/// A name that a spreadsheet would run as a formula is quoted as text.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_text_whatever_is_in_it() {
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(date(20_778), "2026-11-21");
    }
}
