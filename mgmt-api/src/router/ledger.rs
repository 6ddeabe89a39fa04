//! What was used: recorded for every request without making one wait, and lost by none when the server is killed.
//!
//! Before a provider is asked, a line goes into an append-only file ([`journal`]), and another at the end. A task
//! brings ended ones into rows in batches; at start, what the files still hold is brought in too, each once by its
//! id, and what never ended becomes `interrupted` with what was counted until then.

mod journal;
mod meter;
mod rows;
mod spend;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use foreman_protocol::{
    CapPeriod, DeviceId, Event, Millis, ModelKeyId, ProviderId, RouteMiss, Routing, SpendCaps, TenantId,
    UsageOutcome,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use journal::{Journal, Settle};
pub use meter::{Meter, Target};
use rows::Tried;
use spend::Spend;
pub use spend::{Cap, DAY_MS};

use super::{Payer, keys::Held, tally::Tally};
use crate::{
    App,
    db::{Db, now},
    events::Cause,
    problem::{ApiError, ApiResult},
};

/// Ended requests gather this long before they become rows: one write for many.
const GATHER: Duration = Duration::from_millis(200);
/// Rows one write makes.
const BATCH: usize = 2_000;
/// How often what other servers wrote is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Days that single requests are kept; what was spent is kept for ever.
const KEEP_DAYS: i64 = 400;

/// One request to a model, as it is journalled and becomes a row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    pub id: Uuid,
    pub tenant: TenantId,
    pub at: Millis,
    /// `user …`, `token …` or `key …`.
    pub account: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<ModelKeyId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
    pub provider_id: ProviderId,
    pub provider: String,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_id: Option<DeviceId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<String>,
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost_micros: Option<i64>,
    pub estimated: bool,
    pub latency_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_ms: Option<i64>,
    pub outcome: UsageOutcome,
    /// Models before it in the order that did not answer; of a request that failed, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub missed: Vec<RouteMiss>,
}

impl Entry {
    /// UTC days since the epoch.
    pub fn day(&self) -> i64 {
        self.at.div_euclid(DAY_MS)
    }

    fn count(&mut self, tally: Tally, cost: Option<i64>) {
        (self.input, self.output, self.cached) = (tally.input, tally.output, tally.cached);
        self.estimated = tally.estimated;
        self.cost_micros = cost;
    }
}

/// An ended request on its way into a row, and which journal files are done with it then.
struct Ended {
    entry: Arc<Entry>,
    settle: Settle,
    tried: Tried,
}

/// All of it.
pub struct Ledger {
    db: Db,
    journal: Mutex<Journal>,
    ended: Mutex<Vec<Ended>>,
    due: Notify,
    spend: RwLock<Spend>,
}

impl Ledger {
    /// Opens the journal in the data folder and brings what it still holds into rows.
    ///
    /// # Errors
    /// When the folder or the database cannot be used.
    pub async fn open(db: Db, data: &Path) -> anyhow::Result<Self> {
        let (journal, left) = Journal::open(&data.join("usage"))?;
        let interrupted =
            left.entries.iter().filter(|entry| entry.outcome == UsageOutcome::Interrupted).count();
        if !left.entries.is_empty() {
            tracing::info!(
                requests = left.entries.len(),
                interrupted,
                "usage of before the restart is recorded"
            );
        }
        for batch in left.entries.chunks(BATCH) {
            rows::insert(&db, batch.iter().cloned().map(Arc::new).collect(), Tried::Perhaps).await?;
        }
        left.forget();
        let spend = Spend::read(&db, now()).await?;
        Ok(Self {
            db,
            journal: Mutex::new(journal),
            ended: Mutex::default(),
            due: Notify::new(),
            spend: RwLock::new(spend),
        })
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a provider is about to be asked.
    ///
    /// # Errors
    /// `storage_unavailable` when it cannot be noted: then nothing is asked, or it could be spent and not counted.
    fn begin(&self, entry: &Entry, settle: &mut Settle) -> ApiResult<()> {
        self.journal().write(journal::BEGUN, entry, settle).map_err(|error| {
            let mut problem = ApiError::new(
                foreman_protocol::ProblemCode::StorageUnavailable,
                "The server cannot write what is used, so nothing was asked. Its disk may be full.",
            );
            problem.internal = Some(error.into());
            problem
        })
    }

    /// Notes how far an answer has come.
    fn note(&self, entry: &Entry, settle: &mut Settle) {
        if let Err(error) = self.journal().write(journal::BEGUN, entry, settle) {
            tracing::warn!(%error, "how far an answer has come was not noted");
        }
    }

    fn end(&self, entry: Arc<Entry>, mut settle: Settle) {
        if let Err(error) = self.journal().write(journal::ENDED, &entry, &mut settle) {
            tracing::warn!(%error, "the end of a request is kept in memory only until it is a row");
        }
        self.spend.write().unwrap_or_else(PoisonError::into_inner).add(&entry);
        self.ended().push(Ended { entry, settle, tried: Tried::Never });
        self.due.notify_one();
    }

    /// What was spent in the running period, micro-dollars, by a key or by all.
    pub fn spent(&self, tenant: TenantId, key: Option<ModelKeyId>, period: CapPeriod) -> i64 {
        self.spend.read().unwrap_or_else(PoisonError::into_inner).of(tenant, key, period, now())
    }

    /// Whether more may be spent.
    ///
    /// Checked against the rows of all servers, as far as they were last looked at ([`LOOK_EVERY`]), and what ended in
    /// this process since. So a cap can be exceeded by what is on its way when it is reached, and with several servers
    /// by what the others spent in the last seconds.
    ///
    /// # Errors
    /// `spend_cap_reached` with the numbers.
    pub fn check(&self, tenant: TenantId, caps: &SpendCaps, key: Option<&Held>) -> ApiResult<()> {
        if key.is_none_or(|key| key.cap_micros.is_none()) && *caps == SpendCaps::default() {
            return Ok(());
        }
        let now = now();
        let spend = self.spend.read().unwrap_or_else(PoisonError::into_inner);
        spend.reached(&spend::caps(tenant, caps, key), now).map_or(Ok(()), Err)
    }

    /// Brings what has ended until now into rows. What ends meanwhile gathers for the next time: taken at once, it would
    /// come as a few rows in each write, one write after the other.
    async fn drain(&self) -> ApiResult<()> {
        let mut left = self.ended().len();
        while left > 0 {
            let mut batch: Vec<Ended> = self.ended().drain(..left.min(BATCH)).collect();
            left -= batch.len();
            let entries = batch.iter().map(|ended| Arc::clone(&ended.entry)).collect();
            // What was tried before is ahead of what was not.
            let tried = batch.first().map_or(Tried::Never, |first| first.tried);
            if let Err(error) = rows::insert(&self.db, entries, tried).await {
                // Kept for the next time, in their order.
                batch.iter_mut().for_each(|ended| ended.tried = Tried::Perhaps);
                self.ended().splice(0..0, batch);
                return Err(error);
            }
            // Only this task moves what is spent from memory to rows, so nothing is counted twice or not at all: until
            // the new sums are in, the old ones and what waits are the truth.
            let fresh = Spend::read(&self.db, now()).await;
            let mut spend = self.spend.write().unwrap_or_else(PoisonError::into_inner);
            let entries = batch.iter().map(|ended| &*ended.entry);
            match fresh {
                Ok(fresh) => spend.renew(fresh, entries),
                Err(error) => {
                    tracing::warn!(%error, "what was spent could not be added up; counting on in memory");
                    spend.keep(entries);
                }
            }
            drop(spend);
            let mut journal = self.journal();
            for ended in batch {
                journal.settle(ended.settle);
            }
        }
        Ok(())
    }

    async fn look(&self) -> ApiResult<()> {
        let fresh = Spend::read(&self.db, now()).await?;
        self.spend.write().unwrap_or_else(PoisonError::into_inner).renew(fresh, std::iter::empty());
        Ok(())
    }

    /// Writes into the log which caps are reached now, once for each period.
    async fn announce(&self, tenant: TenantId, routing: &Routing, keys: &[Arc<Held>]) -> ApiResult<()> {
        let now = now();
        let reached: Vec<(Cap, i64)> = {
            let spend = self.spend.read().unwrap_or_else(PoisonError::into_inner);
            let of_keys =
                keys.iter().flat_map(|key| spend::caps(key.tenant, &SpendCaps::default(), Some(key)));
            spend::caps(tenant, &routing.caps, None)
                .into_iter()
                .chain(of_keys)
                .filter_map(|cap| {
                    let spent = spend.of(cap.tenant, cap.key, cap.period, now);
                    (spent >= cap.micros && !spend.is_announced(&cap, now)).then_some((cap, spent))
                })
                .collect()
        };
        for (cap, spent) in reached {
            let (id, period) = (cap.id(), cap.period_number(now));
            let (tenant, micros, name) = (cap.tenant, cap.micros, cap.name.clone());
            self.db
                .write(move |tx| {
                    Box::pin(async move {
                        let first = sqlx::query(
                            "INSERT INTO spend_notices (tenant_id, cap, period) VALUES ($1, $2, $3) \
                             ON CONFLICT (tenant_id, cap, period) DO NOTHING",
                        )
                        .bind(tenant.to_string())
                        .bind(id)
                        .bind(period)
                        .execute(tx.conn())
                        .await?;
                        if first.rows_affected() > 0 {
                            let event =
                                Event::SpendCapReached { name, cap_micros: micros, spent_micros: spent };
                            tx.emit(&Cause::system(tenant), event).await?;
                        }
                        Ok(())
                    })
                })
                .await?;
            self.spend.write().unwrap_or_else(PoisonError::into_inner).note_announced(&cap, now);
        }
        Ok(())
    }

    /// How an account is called in the journal.
    fn account(payer: &Payer) -> String {
        match payer {
            Payer::User(id) => format!("user {id}"),
            Payer::Token(id) => format!("token {id}"),
            Payer::Key(id) => format!("key {id}"),
        }
    }
}

/// Brings usage into rows until the server stops, and once more then.
pub async fn keep(app: App) {
    let ledger = &app.router.ledger;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let outcome = tokio::select! {
            () = app.closing.cancelled() => break,
            () = ledger.due.notified() => {
                tokio::time::sleep(GATHER).await;
                ledger.drain().await
            }
            _ = look.tick() => match ledger.drain().await {
                Ok(()) => ledger.look().await,
                failed => failed,
            },
        };
        let outcome = match outcome {
            Ok(()) => ledger.announce(app.tenant, &app.router.routing(), &app.router.keys.capped()).await,
            failed => failed,
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "usage is not in the database yet; it is kept in the journal");
        }
    }
    // What ends while the server stops; what ends later is in the journal.
    if let Err(error) = ledger.drain().await {
        tracing::warn!(%error, "usage stays in the journal until the next start");
    }
}

/// Deletes single requests that are too old to be asked for.
pub async fn prune(app: &App) -> ApiResult<()> {
    rows::prune(&app.db, now() - KEEP_DAYS * DAY_MS).await
}
