//! Measurements over time, for charts.

use axum::extract::State;
use foreman_protocol::{DeviceId, Millis, Page, Role, TimedSample};
use serde::Deserialize;
use sqlx::Row;
use utoipa::IntoParams;

use super::store;
use crate::{
    App,
    auth::Caller,
    db::now,
    extract::{Json, Path, Query},
    problem::{ApiError, ApiResult},
};

/// The most points an answer holds.
const MOST_POINTS: usize = 500;
const HOUR_MS: i64 = 3_600_000;

#[derive(Debug, Deserialize, IntoParams)]
pub struct SamplesQuery {
    /// Only samples after this time; one hour ago when absent.
    since: Option<Millis>,
    /// How many at most, 1 to 500, thinned evenly.
    points: Option<usize>,
}

/// Measurements of a device, oldest first. Ten-second steps for two hours, then one a minute for 25 hours.
#[utoipa::path(get, path = "/api/v1/devices/{id}/samples", tag = "devices",
    params(("id" = DeviceId, Path), SamplesQuery), responses((status = 200, body = Page<TimedSample>)))]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    Query(query): Query<SamplesQuery>,
) -> ApiResult<Json<Page<TimedSample>>> {
    caller.at_least(Role::Viewer)?;
    store::find(app.db.read(), caller.tenant, id).await?.ok_or_else(|| ApiError::not_found("device"))?;
    let since = query.since.unwrap_or_else(|| now() - HOUR_MS);
    // Only the times first: a day is thousands of rows of which few are shown.
    let times: Vec<Millis> =
        sqlx::query("SELECT at FROM samples WHERE device_id = $1 AND at > $2 ORDER BY at LIMIT 20000")
            .bind(id.to_string())
            .bind(since)
            .fetch_all(app.db.read())
            .await?
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<_, _>>()?;
    let shown = thin(&times, query.points.unwrap_or(360).clamp(1, MOST_POINTS));
    if shown.is_empty() {
        return Ok(Json(Page { items: Vec::new(), next: None }));
    }
    let sql = format!(
        "SELECT at, body FROM samples WHERE device_id = $1 AND at IN ({}) ORDER BY at",
        crate::db::placeholders(2, shown.len())
    );
    let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.to_string()).persistent(false);
    for at in shown {
        rows = rows.bind(at);
    }
    let items = rows
        .fetch_all(app.db.read())
        .await?
        .iter()
        .map(|row| {
            Ok(TimedSample {
                at: row.try_get(0)?,
                sample: serde_json::from_str(&row.try_get::<String, _>(1)?)?,
            })
        })
        .collect::<ApiResult<Vec<_>>>()?;
    Ok(Json(Page { items, next: None }))
}

/// At most `most` values spread evenly, the newest always among them.
fn thin(times: &[Millis], most: usize) -> Vec<Millis> {
    if times.len() <= most {
        return times.to_vec();
    }
    (1..=most).map(|n| times[n * times.len() / most - 1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_newest_and_the_number() {
        let times: Vec<Millis> = (0..1000).collect();
        let thinned = thin(&times, 300);
        assert_eq!(thinned.len(), 300);
        assert_eq!(thinned.last(), Some(&999));
        assert!(thinned.is_sorted());
        assert_eq!(thin(&times[..5], 300), [0, 1, 2, 3, 4]);
    }
}
