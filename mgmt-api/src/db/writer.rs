//! The one writer: takes what waits, runs it in one transaction, commits once, answers all.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{AnyPool, Connection};
use tokio::sync::{mpsc, oneshot};

use super::{Engine, SharedFailure, Tx};
use crate::{
    events::Effect,
    problem::{ApiError, ApiResult},
};

/// The most writes one commit carries: enough to make the fsync cheap, few enough to answer soon.
const GROUP: usize = 256;
/// All replicas of a PostgreSQL database take this lock to write ("foreman" in ASCII).
const WRITER_LOCK: i64 = 0x66_6f_72_65_6d_61_6e;

/// A write of any result type.
pub trait Job: Send {
    /// Runs the work; `false` when it failed and must be rolled back.
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool>;
    /// Answers the caller.
    fn finish(self: Box<Self>, commit: Result<(), SharedFailure>);
}

pub struct Pending<T, F> {
    work: Option<F>,
    outcome: Option<ApiResult<T>>,
    reply: oneshot::Sender<ApiResult<T>>,
}

impl<T, F> Pending<T, F> {
    pub fn new(work: F, reply: oneshot::Sender<ApiResult<T>>) -> Self {
        Self { work: Some(work), outcome: None, reply }
    }
}

impl<T, F> Job for Pending<T, F>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, ApiResult<T>> + Send + 'static,
{
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, bool> {
        async move {
            let Some(work) = self.work.take() else { return false };
            let outcome = work(tx).await;
            let keep = outcome.is_ok();
            self.outcome = Some(outcome);
            keep
        }
        .boxed()
    }

    fn finish(self: Box<Self>, commit: Result<(), SharedFailure>) {
        let answer = match (commit, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Err(_), Some(Err(own))) => Err(own),
            (Err(cause), _) => Err(storage_failure(&cause)),
            (Ok(()), None) => Err(ApiError::unavailable()),
        };
        // The caller may have gone; the write stands all the same.
        let _ = self.reply.send(answer);
    }
}

fn storage_failure(cause: &SharedFailure) -> ApiError {
    let mut error = ApiError::from(sqlx::Error::WorkerCrashed);
    error.internal = Some(anyhow::anyhow!("group commit failed: {cause:#}"));
    error
}

/// Runs until every [`super::Db`] handle is gone.
pub async fn run(
    engine: Engine,
    pool: AnyPool,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
    announce: mpsc::Sender<Effect>,
) {
    while let Some(first) = jobs.recv().await {
        let mut group = vec![first];
        while group.len() < GROUP {
            match jobs.try_recv() {
                Ok(job) => group.push(job),
                Err(_) => break,
            }
        }
        metrics::histogram!("foreman_commit_group_size").record(group.len() as f64);
        let outcome = commit(engine, &pool, &mut group).await;
        let commit = match outcome {
            Ok(effects) => {
                for effect in effects {
                    let _ = announce.send(effect).await;
                }
                Ok(())
            }
            Err(cause) => Err(Arc::new(cause)),
        };
        for job in group {
            job.finish(commit.clone());
        }
    }
}

async fn commit(engine: Engine, pool: &AnyPool, group: &mut [Box<dyn Job>]) -> anyhow::Result<Vec<Effect>> {
    let mut tx = Tx { conn: pool.acquire().await?, effects: Vec::new() };
    let outcome = fill(engine, &mut tx, group).await;
    match outcome {
        Ok(()) => Ok(tx.effects),
        Err(cause) => {
            // A connection whose transaction is in doubt is not given back to the pool.
            if sqlx::query("ROLLBACK").execute(tx.conn()).await.is_err() {
                let _ = tx.conn.detach().close().await;
            }
            Err(cause)
        }
    }
}

async fn fill(engine: Engine, tx: &mut Tx, group: &mut [Box<dyn Job>]) -> anyhow::Result<()> {
    match engine {
        Engine::Sqlite => {
            sqlx::query("BEGIN IMMEDIATE").execute(tx.conn()).await?;
        }
        Engine::PostgreSql => {
            sqlx::query("BEGIN").execute(tx.conn()).await?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITER_LOCK).execute(tx.conn()).await?;
        }
    }
    let alone = group.len() == 1;
    for job in group.iter_mut() {
        let announced = tx.effects.len();
        if !alone {
            sqlx::query("SAVEPOINT job").execute(tx.conn()).await?;
        }
        let keep = job.run(tx).await;
        if !keep {
            tx.effects.truncate(announced);
            if alone {
                sqlx::query("ROLLBACK").execute(tx.conn()).await?;
                return Ok(());
            }
            sqlx::query("ROLLBACK TO SAVEPOINT job").execute(tx.conn()).await?;
        }
        if !alone {
            sqlx::query("RELEASE SAVEPOINT job").execute(tx.conn()).await?;
        }
    }
    if engine == Engine::PostgreSql {
        for payload in Effect::notifications(&tx.effects) {
            sqlx::query("SELECT pg_notify('foreman', $1)").bind(payload).execute(tx.conn()).await?;
        }
    }
    sqlx::query("COMMIT").execute(tx.conn()).await?;
    Ok(())
}
