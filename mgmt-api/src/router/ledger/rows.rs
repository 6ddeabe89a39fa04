//! Usage as rows: many in one statement, each once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use foreman_protocol::{ModelKeyId, TenantId, UsageOutcome};
use sqlx::Row;

use super::Entry;
use crate::{
    db::{Db, Tx},
    problem::ApiResult,
};

const COLUMNS: &str = "id, tenant_id, at, day, account, key_id, project, provider_id, provider, model, device_id, \
     device, input_tokens, output_tokens, cached_tokens, cost_micros, estimated, latency_ms, first_token_ms, outcome";
const COLUMN_COUNT: usize = 20;
/// Rows in one statement. SQLite looks its parameters up one after the other: with many, that takes longer than the row.
const ROWS: usize = 8;

pub const fn outcome_name(outcome: UsageOutcome) -> &'static str {
    match outcome {
        UsageOutcome::Answered => "answered",
        UsageOutcome::Cancelled => "cancelled",
        UsageOutcome::Broken => "broken",
        UsageOutcome::Failed => "failed",
        UsageOutcome::Interrupted => "interrupted",
    }
}

/// Whether some of them may be rows already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Nobody has tried to write them.
    Never,
    /// A server that died, or a try that failed, may have written them all the same.
    Perhaps,
}

/// Makes rows of them and adds up what they cost. Those that are rows already are skipped.
pub async fn insert(db: &Db, entries: Vec<Arc<Entry>>, tried: Tried) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move {
            let mut sums = Sums::default();
            for some in entries.chunks(ROWS) {
                let new = insert_some(tx, some, tried).await?;
                some.iter()
                    .filter(|entry| new.as_ref().is_none_or(|new| new.contains(&entry.id.to_string())))
                    .for_each(|entry| sums.add(entry));
            }
            sums.write(tx).await
        })
    })
    .await
}

/// The ids of those that were new; `None` when all were, which need not be asked then.
async fn insert_some(
    tx: &mut Tx,
    entries: &[Arc<Entry>],
    tried: Tried,
) -> ApiResult<Option<HashSet<String>>> {
    let rows: Vec<String> = (0..entries.len())
        .map(|row| format!("({})", crate::db::placeholders(row * COLUMN_COUNT + 1, COLUMN_COUNT)))
        .collect();
    let skipping = match tried {
        Tried::Never => "",
        Tried::Perhaps => " ON CONFLICT (id) DO NOTHING RETURNING id",
    };
    let sql = format!("INSERT INTO model_usage ({COLUMNS}) VALUES {}{skipping}", rows.join(", "));
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for entry in entries {
        query = query
            .bind(entry.id.to_string())
            .bind(entry.tenant.to_string())
            .bind(entry.at)
            .bind(entry.day())
            .bind(&entry.account)
            .bind(entry.key.map(|key| key.to_string()))
            .bind(&entry.project)
            .bind(entry.provider_id.to_string())
            .bind(&entry.provider)
            .bind(&entry.model)
            .bind(entry.device_id.map(|device| device.to_string()))
            .bind(&entry.device)
            .bind(entry.input)
            .bind(entry.output)
            .bind(entry.cached)
            .bind(entry.cost_micros)
            .bind(i64::from(entry.estimated))
            .bind(entry.latency_ms)
            .bind(entry.first_token_ms)
            .bind(outcome_name(entry.outcome));
    }
    if tried == Tried::Never {
        query.execute(tx.conn()).await?;
        return Ok(None);
    }
    let made = query.fetch_all(tx.conn()).await?;
    Ok(Some(made.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?))
}

/// What new rows add up to.
#[derive(Default)]
struct Sums {
    /// Micro-dollars by tenant, day and key, empty for none.
    spent: HashMap<(TenantId, i64, Option<ModelKeyId>), i64>,
    /// When a key was used last.
    used: HashMap<ModelKeyId, i64>,
}

impl Sums {
    fn add(&mut self, entry: &Entry) {
        if let Some(key) = entry.key {
            let last = self.used.entry(key).or_insert(entry.at);
            *last = (*last).max(entry.at);
        }
        *self.spent.entry((entry.tenant, entry.day(), entry.key)).or_insert(0) +=
            entry.cost_micros.unwrap_or(0);
    }

    async fn write(self, tx: &mut Tx) -> ApiResult<()> {
        add_up(tx, self.spent).await?;
        note_use(tx, self.used).await
    }
}

async fn add_up(tx: &mut Tx, sums: HashMap<(TenantId, i64, Option<ModelKeyId>), i64>) -> ApiResult<()> {
    for ((tenant, day, key), cost) in sums.into_iter().filter(|(_, cost)| *cost != 0) {
        sqlx::query(
            "INSERT INTO model_spend (tenant_id, day, key_id, cost_micros) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (tenant_id, day, key_id) DO UPDATE SET cost_micros = model_spend.cost_micros + excluded.cost_micros",
        )
        .bind(tenant.to_string())
        .bind(day)
        .bind(key.map(|key| key.to_string()).unwrap_or_default())
        .bind(cost)
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// To the minute.
async fn note_use(tx: &mut Tx, used: HashMap<ModelKeyId, i64>) -> ApiResult<()> {
    for (key, at) in used {
        sqlx::query(
            "UPDATE model_keys SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $3)",
        )
        .bind(at)
        .bind(key.to_string())
        .bind(at - 60_000)
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

pub async fn prune(db: &Db, before: i64) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move {
            sqlx::query(
                "DELETE FROM model_usage WHERE id IN (SELECT id FROM model_usage WHERE at < $1 ORDER BY id LIMIT 1000)",
            )
            .bind(before)
            .execute(tx.conn())
            .await?;
            Ok(())
        })
    })
    .await
}
