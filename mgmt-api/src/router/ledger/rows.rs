//! Usage as rows: many in one statement, each once. Requests that went the same way say so once for all of them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use foreman_protocol::{DeviceId, ModelKeyId, ProviderId, TenantId, UsageOutcome};
use sqlx::Row;

use super::Entry;
use crate::{
    db::{Db, Tx, placeholders},
    problem::ApiResult,
};

/// What requests that are alike share, then what each has of its own.
const COLUMNS: &str = "tenant_id, account, key_id, project, provider_id, provider, model, device_id, device, outcome, \
     id, at, day, input_tokens, output_tokens, cached_tokens, cost_micros, estimated, latency_ms, first_token_ms";
const SHARED: usize = 10;
const OWN: usize = 10;
/// Rows in one statement. SQLite looks its parameters up one after the other: with many, that takes longer than the row.
const ROWS_ALIKE: usize = 12;
const ROWS: usize = 8;
/// Fewer alike than these go together with others.
const FEW: usize = 4;

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
pub async fn insert(db: &Db, mut entries: Vec<Arc<Entry>>, tried: Tried) -> ApiResult<()> {
    entries.sort_by(|one, other| about(one).cmp(&about(other)));
    db.write(move |tx| {
        Box::pin(async move {
            let mut sums = Sums::default();
            let mut others = Vec::new();
            for some in entries.chunk_by(|one, next| about(one) == about(next)) {
                for some in some.chunks(ROWS_ALIKE) {
                    match some.len() {
                        ..FEW => others.extend_from_slice(some),
                        _ => sums.add_new(some, insert_some(tx, some, tried, true).await?),
                    }
                }
            }
            for some in others.chunks(ROWS) {
                sums.add_new(some, insert_some(tx, some, tried, false).await?);
            }
            sums.write(tx).await
        })
    })
    .await
}

/// What a statement is given once for rows that are alike.
type About<'e> = (
    (TenantId, &'e str, Option<ModelKeyId>, Option<&'e str>),
    (ProviderId, &'e str, &'e str),
    (Option<DeviceId>, Option<&'e str>),
    &'static str,
);

fn about(entry: &Entry) -> About<'_> {
    (
        (entry.tenant, &entry.account, entry.key, entry.project.as_deref()),
        (entry.provider_id, &entry.provider, &entry.model),
        (entry.device_id, entry.device.as_deref()),
        outcome_name(entry.outcome),
    )
}

/// `($1, …, $10, $11, …, $20), ($1, …, $10, $21, …, $30)` of rows that are alike, else each with numbers of its own.
fn values(rows: usize, alike: bool) -> String {
    let row = |row: usize| {
        let (shared, own) = match alike {
            true => (1, SHARED + row * OWN + 1),
            false => (row * (SHARED + OWN) + 1, row * (SHARED + OWN) + SHARED + 1),
        };
        format!("({}, {})", placeholders(shared, SHARED), placeholders(own, OWN))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// Makes rows of entries. The ids of those that were new; `None` when all were, which need not be asked then.
async fn insert_some(
    tx: &mut Tx,
    entries: &[Arc<Entry>],
    tried: Tried,
    alike: bool,
) -> ApiResult<Option<HashSet<String>>> {
    let skipping = match tried {
        Tried::Never => "",
        Tried::Perhaps => " ON CONFLICT (id) DO NOTHING RETURNING id",
    };
    let values = values(entries.len(), alike);
    let sql = format!("INSERT INTO model_usage ({COLUMNS}) VALUES {values}{skipping}");
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for (nth, entry) in entries.iter().enumerate() {
        if nth == 0 || !alike {
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
                .bind(outcome_name(entry.outcome));
        }
        query = query
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
            Ok(())
        })
    })
    .await
}
