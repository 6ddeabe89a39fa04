//! The database: SQLite or PostgreSQL behind one set of queries, and one writer that commits in groups.
//!
//! Reads go through a pool. Writes are closures handed to a single writer task: it runs all that wait in one
//! transaction, each in its own savepoint, and answers after the commit. That makes durable writes cheap
//! (one fsync for many), and inside a write nothing else writes, on both databases, so read-then-write is safe:
//! SQLite by `BEGIN IMMEDIATE`, PostgreSQL by an advisory lock shared by all replicas.

mod open;
mod writer;

use std::{fmt::Write, sync::Arc};

use futures_util::future::BoxFuture;
use sqlx::{Any, AnyConnection, AnyPool, pool::PoolConnection};
use tokio::sync::{mpsc, oneshot};

use crate::{
    events::Effect,
    problem::{ApiError, ApiResult},
};

pub use open::{Location, OpenOptions};

/// Which of the two databases this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    PostgreSql,
}

impl Engine {
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "sqlite",
            Engine::PostgreSql => "postgresql",
        }
    }
}

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Db {
    pub engine: Engine,
    pool: AnyPool,
    writing: AnyPool,
    writes: mpsc::Sender<Box<dyn writer::Job>>,
}

/// An open write. What it does becomes visible and is announced together, at commit.
pub struct Tx {
    conn: PoolConnection<Any>,
    effects: Vec<Effect>,
}

impl Tx {
    pub fn conn(&mut self) -> &mut AnyConnection {
        &mut self.conn
    }

    /// Something to announce once this write is durable.
    pub fn after_commit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

impl Db {
    /// Opens the database, brings its schema up to date and starts the writer.
    /// `announce` receives what committed writes want told.
    pub async fn open(options: OpenOptions, announce: mpsc::Sender<Effect>) -> anyhow::Result<Self> {
        open::open(options, announce).await
    }

    /// For reading outside a write.
    pub fn read(&self) -> &AnyPool {
        &self.pool
    }

    /// Runs `work` in the next group commit and returns when it is durable.
    ///
    /// # Errors
    /// What `work` returned (and then nothing of it was kept), or a storage problem.
    pub async fn write<T, F>(&self, work: F) -> ApiResult<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, ApiResult<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.writes
            .send(Box::new(writer::Pending::new(work, reply)))
            .await
            .map_err(|_| ApiError::unavailable())?;
        answer.await.map_err(|_| ApiError::unavailable())?
    }

    /// SQLite: moves the write-ahead log into the file and empties it, so that what was deleted is not still
    /// in the log. Waits for readers, who are short.
    pub async fn settle(&self) -> ApiResult<()> {
        if self.engine == Engine::Sqlite {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_optional(&self.pool).await?;
        }
        Ok(())
    }

    /// Waits for the writes under way and closes all connections; SQLite then leaves one whole file.
    pub async fn close(&self) {
        self.pool.close().await;
        self.writing.close().await;
    }
}

/// `$1, $2, …` starting at `first`: one text for both databases.
pub fn placeholders(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 6);
    for n in first..first + count {
        let comma = if n == first { "" } else { ", " };
        // A string takes everything.
        let _ = write!(text, "{comma}${n}");
    }
    text
}

/// Milliseconds since the Unix epoch by this machine's clock.
pub fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// An error shared by every write of a commit that failed.
pub type SharedFailure = Arc<anyhow::Error>;
