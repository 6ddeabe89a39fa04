//! Usage as rows: many in one statement, each once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use foreman_protocol::{ModelKeyId, TenantId, UsageOutcome};
use sqlx::Row;

use super::Entry;
use crate::{
    db::{Db, Engine, Tx, placeholders},
    problem::ApiResult,
};

const COLUMNS: &str = "tenant_id, account, key_id, project, provider_id, provider, model, device_id, device, outcome, \
     id, at, day, input_tokens, output_tokens, cached_tokens, cost_micros, estimated, latency_ms, first_token_ms";
const WIDTH: usize = 20;
/// Rows in one statement.
const ROWS: usize = 50;
const MISSED_WIDTH: usize = 5;
const MISSED_ROWS: usize = 100;

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
    let engine = db.engine;
    db.write(move |tx| {
        Box::pin(async move {
            let mut sums = Sums::default();
            for some in entries.chunks(ROWS) {
                let new = insert_some(tx, engine, some, tried).await?;
                insert_missed(tx, engine, some, new.as_ref()).await?;
                sums.add_new(some, new);
            }
            sums.write(tx).await
        })
    })
    .await
}

/// SQLite looks for a parameter's number among all of them, one after the other: without numbers it looks for nothing.
fn values(engine: Engine, rows: usize, width: usize) -> String {
    match engine {
        Engine::Sqlite => vec![format!("({})", vec!["?"; width].join(", ")); rows].join(", "),
        Engine::PostgreSql => {
            let row = |row: usize| format!("({})", placeholders(row * width + 1, width));
            (0..rows).map(row).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Makes rows of entries. The ids of those that were new; `None` when all were, which need not be asked then.
async fn insert_some(
    tx: &mut Tx,
    engine: Engine,
    entries: &[Arc<Entry>],
    tried: Tried,
) -> ApiResult<Option<HashSet<String>>> {
    let skipping = match tried {
        Tried::Never => "",
        Tried::Perhaps => " ON CONFLICT (id) DO NOTHING RETURNING id",
    };
    let values = values(engine, entries.len(), WIDTH);
    let sql = format!("INSERT INTO model_usage ({COLUMNS}) VALUES {values}{skipping}");
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for entry in entries {
        query = query
            .bind(entry.tenant.to_string())
            .bind(&entry.account)
            .bind(entry.key.map(|key| key.to_string()))
            .bind(&entry.project)
            .bind(entry.provider_id.to_string())
            .bind(&entry.provider)
            .bind(&entry.model)
            .bind(entry.device_id.map(|device| device.to_string()))
            .bind(&entry.device)
            .bind(outcome_name(entry.outcome))
            .bind(entry.id.to_string())
            .bind(entry.at)
            .bind(entry.day())
            .bind(entry.input)
            .bind(entry.output)
            .bind(entry.cached)
            .bind(entry.cost_micros)
            .bind(i64::from(entry.estimated))
            .bind(entry.latency_ms)
            .bind(entry.first_token_ms);
    }
    if tried == Tried::Never {
        query.execute(tx.conn()).await?;
        return Ok(None);
    }
    let made = query.fetch_all(tx.conn()).await?;
    Ok(Some(made.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?))
}

/// Why models before it did not answer: with a device that sleeps first in the order, one of each request.
async fn insert_missed(
    tx: &mut Tx,
    engine: Engine,
    entries: &[Arc<Entry>],
    new: Option<&HashSet<String>>,
) -> ApiResult<()> {
    let is_new = |entry: &&Arc<Entry>| new.is_none_or(|new| new.contains(&entry.id.to_string()));
    let entries = entries.iter().filter(is_new);
    let missed: Vec<_> = entries
        .flat_map(|entry| (0i64..).zip(&entry.missed).map(move |(nth, miss)| (entry, nth, miss)))
        .collect();
    for some in missed.chunks(MISSED_ROWS) {
        let values = values(engine, some.len(), MISSED_WIDTH);
        let sql =
            format!("INSERT INTO model_usage_misses (usage_id, nth, tenant_id, at, miss) VALUES {values}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (entry, nth, miss) in some {
            query = query
                .bind(entry.id.to_string())
                .bind(nth)
                .bind(entry.tenant.to_string())
                .bind(entry.at)
                .bind(serde_json::to_string(miss)?);
        }
        query.execute(tx.conn()).await?;
    }
    Ok(())
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
    /// Of these, those that are new, see [`insert_some`].
    fn add_new(&mut self, entries: &[Arc<Entry>], new: Option<HashSet<String>>) {
        let is_new = |entry: &&Arc<Entry>| new.as_ref().is_none_or(|new| new.contains(&entry.id.to_string()));
        entries.iter().filter(is_new).for_each(|entry| self.add(entry));
    }

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
            sqlx::query(
                "DELETE FROM model_usage_misses WHERE usage_id IN \
                 (SELECT usage_id FROM model_usage_misses WHERE at < $1 ORDER BY usage_id LIMIT 1000)",
            )
            .bind(before)
            .execute(tx.conn())
            .await?;
            Ok(())
        })
    })
    .await
}
