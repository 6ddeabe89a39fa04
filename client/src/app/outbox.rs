//! Changes that wait to be sent to a server that is not there: kept on this machine in the order they were made, sealed
//! with a key of the keychain, and sent in that order, each until the server has answered it. Each has a key of its own
//! by which the server knows one that it made already, so what was sent twice is made once.
//!
//! A change that the server refuses is set aside with the reason and holds up nothing else, except later changes of the
//! same thing: they were made by somebody who saw the first one done. What has a moment, as a stop or typing, is never
//! put here.

mod send;

use std::path::{Path, PathBuf};

use foreman_protocol::Millis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use super::{ServerId, sealed::open_durable};
use crate::seal::{seal, unseal};

pub use send::Step;

/// More do not wait, of all servers together: somebody would have noticed.
const MOST: i64 = 500;
/// Of one change, as the server takes it too.
const CHANGE_BYTES: usize = 256 * 1024;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS changes (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    server TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (server, key)
) STRICT";

/// A change as it is asked of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Made with the change: the server makes what it knows by this key no second time.
    pub key: String,
    pub method: String,
    pub path: String,
    /// JSON.
    pub body: String,
    /// What it changes: changes of one thing depend on each other.
    pub about: String,
    /// What it is, for whoever shows it.
    pub label: Value,
}

/// What a server said to a change that it does not make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub status: u16,
    /// A problem code of the API.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A change that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// Rises with the order.
    pub place: i64,
    pub at: Millis,
    pub change: Change,
    pub refused: Option<Refusal>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    change: Change,
    refused: Option<Refusal>,
}

#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("{MOST} changes wait to be sent already; send or discard some of them first")]
    Full,
    #[error("a change of this size cannot wait to be sent")]
    TooLarge,
    #[error("what waits to be sent cannot be read or kept at {path} ({reason})")]
    Storage { path: PathBuf, reason: String },
}

/// The open file. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    path: PathBuf,
    pool: SqlitePool,
    key: [u8; 32],
}

impl Outbox {
    /// Opens the file, or begins it. One that is damaged is left as it is: it holds what is nowhere else.
    ///
    /// # Errors
    /// [`OutboxError::Storage`].
    pub async fn open(path: &Path, key: [u8; 32]) -> Result<Self, OutboxError> {
        let failed = |reason: String| OutboxError::Storage { path: path.to_owned(), reason };
        let pool = open_durable(path, TABLE).await.map_err(|error| failed(error.to_string()))?;
        Ok(Self { path: path.to_owned(), pool, key })
    }

    /// Puts a change behind the others, durably. One with a key that waits already changes nothing.
    ///
    /// # Errors
    /// [`OutboxError`]; then it does not wait.
    pub async fn add(&self, server: &ServerId, change: Change, at: Millis) -> Result<(), OutboxError> {
        let kept = Kept { change, refused: None };
        let sealed = self.seal(server, &kept, at)?;
        let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM changes")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| self.failed(error))?;
        if waiting >= MOST {
            return Err(OutboxError::Full);
        }
        sqlx::query(
            "INSERT INTO changes (server, key, at, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(server.as_str())
        .bind(&kept.change.key)
        .bind(at)
        .bind(sealed)
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(|error| self.failed(error))
    }

    /// Everything that waits for a server, in its order.
    ///
    /// # Errors
    /// [`OutboxError::Storage`].
    pub async fn list(&self, server: &ServerId) -> Result<Vec<Queued>, OutboxError> {
        let rows = self.rows(server).await?;
        // What another key sealed is aside.
        Ok(rows.iter().filter_map(|row| self.read(server, row)).collect())
    }

    /// How many of a server another key sealed: they are kept, and neither shown nor sent.
    ///
    /// # Errors
    /// [`OutboxError::Storage`].
    pub async fn aside(&self, server: &ServerId) -> Result<usize, OutboxError> {
        let rows = self.rows(server).await?;
        Ok(rows.iter().filter(|row| self.read(server, row).is_none()).count())
    }

    /// Takes in those that `key` sealed, in their places. What neither key opens stays aside.
    ///
    /// # Errors
    /// [`OutboxError::Storage`]; those before are taken in.
    pub async fn take_in(&self, server: &ServerId, key: [u8; 32]) -> Result<(), OutboxError> {
        let theirs = Self { key, ..self.clone() };
        for Queued { place, at, change, refused } in theirs.list(server).await? {
            self.put(server, place, self.seal(server, &Kept { change, refused }, at)?).await?;
        }
        Ok(())
    }

    /// Takes out what is aside.
    ///
    /// # Errors
    /// [`OutboxError::Storage`].
    pub async fn forget_aside(&self, server: &ServerId) -> Result<(), OutboxError> {
        for row in self.rows(server).await? {
            if self.read(server, &row).is_none() {
                self.remove(server, row.try_get("place").map_err(|error| self.failed(error))?).await?;
            }
        }
        Ok(())
    }

    async fn rows(&self, server: &ServerId) -> Result<Vec<SqliteRow>, OutboxError> {
        sqlx::query("SELECT place, key, at, sealed FROM changes WHERE server = $1 ORDER BY place")
            .bind(server.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.failed(error))
    }

    /// The next one that may be sent.
    ///
    /// # Errors
    /// [`OutboxError::Storage`].
    pub async fn next(&self, server: &ServerId) -> Result<Option<Queued>, OutboxError> {
        let all = self.list(server).await?;
        let mut stuck: Vec<&str> = Vec::new();
        for one in &all {
            if one.refused.is_some() {
                stuck.push(&one.change.about);
            } else if !stuck.contains(&one.change.about.as_str()) {
                return Ok(Some(one.clone()));
            }
        }
        Ok(None)
    }

    /// Takes one out: the server made it, or somebody does not want it any more.
    ///
    /// # Errors
    /// [`OutboxError::Storage`].
    pub async fn remove(&self, server: &ServerId, place: i64) -> Result<(), OutboxError> {
        sqlx::query("DELETE FROM changes WHERE server = $1 AND place = $2")
            .bind(server.as_str())
            .bind(place)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// Sets one aside with what the server said, or, with nothing, makes it wait again.
    ///
    /// # Errors
    /// [`OutboxError::Storage`].
    pub async fn mark(
        &self,
        server: &ServerId,
        place: i64,
        refused: Option<Refusal>,
    ) -> Result<(), OutboxError> {
        let Some(one) = self.list(server).await?.into_iter().find(|one| one.place == place) else {
            return Ok(());
        };
        self.put(server, place, self.seal(server, &Kept { change: one.change, refused }, one.at)?).await
    }

    async fn put(&self, server: &ServerId, place: i64, sealed: Vec<u8>) -> Result<(), OutboxError> {
        sqlx::query("UPDATE changes SET sealed = $1 WHERE server = $2 AND place = $3")
            .bind(sealed)
            .bind(server.as_str())
            .bind(place)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// Takes everything of a server out: this app is not to use it any more.
    ///
    /// # Errors
    /// [`OutboxError::Storage`].
    pub async fn forget(&self, server: &ServerId) -> Result<(), OutboxError> {
        sqlx::query("DELETE FROM changes WHERE server = $1")
            .bind(server.as_str())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    fn seal(&self, server: &ServerId, kept: &Kept, at: Millis) -> Result<Vec<u8>, OutboxError> {
        let plain = serde_json::to_vec(kept).map_err(|error| self.failed(error))?;
        if plain.len() > CHANGE_BYTES + 8 * 1024 {
            return Err(OutboxError::TooLarge);
        }
        seal(&self.key, &about(server, &kept.change.key, at), &plain)
            .ok_or_else(|| self.failed("it cannot be sealed"))
    }

    fn read(&self, server: &ServerId, row: &SqliteRow) -> Option<Queued> {
        let (place, at): (i64, Millis) = (row.try_get("place").ok()?, row.try_get("at").ok()?);
        let (key, sealed): (String, Vec<u8>) = (row.try_get("key").ok()?, row.try_get("sealed").ok()?);
        let plain = unseal(&self.key, &about(server, &key, at), &sealed)?;
        let Kept { change, refused } = serde_json::from_slice(&plain).ok()?;
        Some(Queued { place, at, change, refused })
    }

    fn failed(&self, reason: impl ToString) -> OutboxError {
        OutboxError::Storage { path: self.path.clone(), reason: reason.to_string() }
    }
}

/// What a sealed change is bound to, so that none can be put in another's place.
fn about(server: &ServerId, key: &str, at: Millis) -> Vec<u8> {
    [server.as_str().as_bytes(), &[0], key.as_bytes(), &[0], &at.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests;
