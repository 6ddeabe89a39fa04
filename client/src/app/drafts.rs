//! What somebody typed and did not send, for each server: kept on this machine at once, sealed with a key of the keychain,
//! and gone with the sign-in. Neither what it is a draft of nor what it says can be read from the file.

use std::path::{Path, PathBuf};

use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use super::{
    ServerId,
    sealed::{open_durable, stands_for},
};
use crate::seal::{seal, unseal};

/// A longer one is not kept. Bytes, with its name: fifty questions that wait lie together.
const DRAFT_BYTES: usize = 8 * 1024 * 1024;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS drafts (
    server TEXT NOT NULL,
    name BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (server, name)
) STRICT, WITHOUT ROWID";

#[derive(Debug, thiserror::Error)]
pub enum DraftsError {
    #[error("a draft of this size cannot be kept")]
    TooLarge,
    #[error("drafts cannot be read or kept at {path} ({reason})")]
    Storage { path: PathBuf, reason: String },
}

/// The open file. Cheap to clone.
#[derive(Clone)]
pub struct Drafts {
    path: PathBuf,
    pool: SqlitePool,
    key: [u8; 32],
}

impl Drafts {
    /// Opens the file, or begins it. One that is damaged is left as it is: it holds what is nowhere else.
    ///
    /// # Errors
    /// [`DraftsError::Storage`].
    pub async fn open(path: &Path, key: [u8; 32]) -> Result<Self, DraftsError> {
        let failed = |reason: String| DraftsError::Storage { path: path.to_owned(), reason };
        let pool = open_durable(path, TABLE).await.map_err(|error| failed(error.to_string()))?;
        Ok(Self { path: path.to_owned(), pool, key })
    }

    /// Keeps a draft, durably, in place of the one before of this name.
    ///
    /// # Errors
    /// [`DraftsError`]; then the one before is there still.
    pub async fn keep(&self, server: &ServerId, name: &str, text: &str) -> Result<(), DraftsError> {
        if name.len() + text.len() > DRAFT_BYTES {
            return Err(DraftsError::TooLarge);
        }
        let place = stands_for(&self.key, server, name);
        let plain = serde_json::to_vec(&(name, text)).map_err(|error| self.failed(error))?;
        let sealed = seal(&self.key, &about(server, &place), &plain)
            .ok_or_else(|| self.failed("it cannot be sealed"))?;
        sqlx::query("INSERT OR REPLACE INTO drafts (server, name, sealed) VALUES ($1, $2, $3)")
            .bind(server.as_str())
            .bind(place)
            .bind(sealed)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// Takes one out: it was sent, or is not wanted.
    ///
    /// # Errors
    /// [`DraftsError::Storage`].
    pub async fn remove(&self, server: &ServerId, name: &str) -> Result<(), DraftsError> {
        sqlx::query("DELETE FROM drafts WHERE server = $1 AND name = $2")
            .bind(server.as_str())
            .bind(stands_for(&self.key, server, name))
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// All of a server, by name.
    ///
    /// # Errors
    /// [`DraftsError::Storage`].
    pub async fn list(&self, server: &ServerId) -> Result<Vec<(String, String)>, DraftsError> {
        let rows = self.rows(server).await?;
        // What another key sealed is aside.
        Ok(rows.iter().filter_map(|row| self.read(server, row)).collect())
    }

    /// How many of a server another key sealed: they are kept, and not shown.
    ///
    /// # Errors
    /// [`DraftsError::Storage`].
    pub async fn aside(&self, server: &ServerId) -> Result<usize, DraftsError> {
        let rows = self.rows(server).await?;
        Ok(rows.iter().filter(|row| self.read(server, row).is_none()).count())
    }

    /// Takes in those that `key` sealed. One of a name under which something was typed since stays aside.
    ///
    /// # Errors
    /// [`DraftsError`]; those before are taken in.
    pub async fn take_in(&self, server: &ServerId, key: [u8; 32]) -> Result<(), DraftsError> {
        let theirs = Self { key, ..self.clone() };
        let newer = self.list(server).await?;
        for (name, text) in theirs.list(server).await? {
            if !newer.iter().any(|(known, _)| *known == name) {
                self.keep(server, &name, &text).await?;
                theirs.remove(server, &name).await?;
            }
        }
        Ok(())
    }

    /// Takes out what is aside.
    ///
    /// # Errors
    /// [`DraftsError::Storage`].
    pub async fn forget_aside(&self, server: &ServerId) -> Result<(), DraftsError> {
        for row in self.rows(server).await? {
            if self.read(server, &row).is_none() {
                sqlx::query("DELETE FROM drafts WHERE server = $1 AND name = $2")
                    .bind(server.as_str())
                    .bind(row.try_get::<Vec<u8>, _>("name").map_err(|error| self.failed(error))?)
                    .execute(&self.pool)
                    .await
                    .map_err(|error| self.failed(error))?;
            }
        }
        Ok(())
    }

    async fn rows(&self, server: &ServerId) -> Result<Vec<SqliteRow>, DraftsError> {
        sqlx::query("SELECT name, sealed FROM drafts WHERE server = $1")
            .bind(server.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(|error| self.failed(error))
    }

    /// Takes everything of a server out, after a sign-out.
    ///
    /// # Errors
    /// [`DraftsError::Storage`].
    pub async fn forget(&self, server: &ServerId) -> Result<(), DraftsError> {
        sqlx::query("DELETE FROM drafts WHERE server = $1")
            .bind(server.as_str())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    fn read(&self, server: &ServerId, row: &SqliteRow) -> Option<(String, String)> {
        let (place, sealed): (Vec<u8>, Vec<u8>) = (row.try_get("name").ok()?, row.try_get("sealed").ok()?);
        serde_json::from_slice(&unseal(&self.key, &about(server, &place), &sealed)?).ok()
    }

    fn failed(&self, reason: impl ToString) -> DraftsError {
        DraftsError::Storage { path: self.path.clone(), reason: reason.to_string() }
    }
}

/// What a sealed draft is bound to, so that none can be put in another's place.
fn about(server: &ServerId, place: &[u8]) -> Vec<u8> {
    [server.as_str().as_bytes(), &[0], place].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn pair(name: &str, text: &str) -> (String, String) {
        (name.to_owned(), text.to_owned())
    }

    #[tokio::test]
    async fn the_last_of_each_name_is_kept_for_its_server_alone_and_forgotten_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app/drafts.db");
        let (home, work) = (ServerId::fresh(), ServerId::fresh());
        let drafts = Drafts::open(&path, KEY).await.unwrap();
        drafts.keep(&home, "chat-draft-new", "half").await.unwrap();
        drafts.keep(&home, "chat-draft-new", "half a thought").await.unwrap();
        drafts.keep(&home, "task", "make").await.unwrap();
        drafts.keep(&work, "chat-draft-new", "of work").await.unwrap();
        drop(drafts);
        let drafts = Drafts::open(&path, KEY).await.unwrap();
        let mut all = drafts.list(&home).await.unwrap();
        all.sort_unstable();
        assert_eq!(all, [pair("chat-draft-new", "half a thought"), pair("task", "make")]);
        drafts.remove(&home, "task").await.unwrap();
        assert_eq!(drafts.list(&home).await.unwrap(), [pair("chat-draft-new", "half a thought")]);
        drafts.forget(&home).await.unwrap();
        assert_eq!(drafts.list(&home).await.unwrap(), []);
        assert_eq!(drafts.list(&work).await.unwrap(), [pair("chat-draft-new", "of work")]);
    }

    #[tokio::test]
    async fn nothing_can_be_read_from_the_file_nor_with_another_key_nor_in_anothers_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drafts.db");
        let server = ServerId::fresh();
        let drafts = Drafts::open(&path, KEY).await.unwrap();
        drafts.keep(&server, "wal-fishing", "the-whale-sings").await.unwrap();
        drafts.keep(&server, "other", "other words").await.unwrap();
        drafts.pool.close().await;
        let file = std::fs::read(&path).unwrap();
        for secret in ["wal-fishing", "the-whale-sings"] {
            assert!(!file.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret}");
        }
        assert_eq!(Drafts::open(&path, [8; 32]).await.unwrap().list(&server).await.unwrap(), []);
        let drafts = Drafts::open(&path, KEY).await.unwrap();
        let of_other = "(SELECT sealed FROM drafts WHERE name = $1)";
        sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE drafts SET sealed = {of_other} WHERE name = $2")))
            .bind(stands_for(&KEY, &server, "other"))
            .bind(stands_for(&KEY, &server, "wal-fishing"))
            .execute(&drafts.pool)
            .await
            .unwrap();
        assert_eq!(drafts.list(&server).await.unwrap(), [pair("other", "other words")]);
    }

    #[tokio::test]
    async fn what_another_key_sealed_is_aside_until_that_key_is_there_or_nobody_wants_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, server) = (folder.path().join("drafts.db"), ServerId::fresh());
        let before = Drafts::open(&path, KEY).await.unwrap();
        before.keep(&server, "task", "make").await.unwrap();
        before.keep(&server, "chat", "hel").await.unwrap();
        let drafts = Drafts::open(&path, [8; 32]).await.unwrap();
        drafts.keep(&server, "chat", "hello").await.unwrap();
        assert_eq!(drafts.aside(&server).await.unwrap(), 2);
        drafts.take_in(&server, [9; 32]).await.unwrap();
        assert_eq!(drafts.aside(&server).await.unwrap(), 2, "a key that opens nothing takes nothing in");
        drafts.take_in(&server, KEY).await.unwrap();
        let mut all = drafts.list(&server).await.unwrap();
        all.sort_unstable();
        assert_eq!(all, [pair("chat", "hello"), pair("task", "make")], "the newer one stays");
        assert_eq!(drafts.aside(&server).await.unwrap(), 1);
        drafts.forget_aside(&server).await.unwrap();
        assert_eq!(drafts.aside(&server).await.unwrap(), 0);
        assert_eq!(drafts.list(&server).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn one_that_is_too_long_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerId::fresh();
        let drafts = Drafts::open(&folder.path().join("drafts.db"), KEY).await.unwrap();
        drafts.keep(&server, "task", "make").await.unwrap();
        let refused = drafts.keep(&server, "task", &"x".repeat(DRAFT_BYTES)).await;
        assert!(matches!(refused, Err(DraftsError::TooLarge)), "{refused:?}");
        assert_eq!(drafts.list(&server).await.unwrap(), [pair("task", "make")]);
    }
}
