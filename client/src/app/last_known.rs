//! The last answers of each server, kept on this machine so that an app shows what it knew while nobody answers. What
//! is kept is sealed with a key that the caller has in its keychain; neither what was asked nor what was answered can
//! be read from the file.
//!
//! It is a copy: one that is damaged, too old to be read or sealed with another key is put aside and begun anew.

use std::{
    io,
    path::{Path, PathBuf},
};

use foreman_protocol::Millis;
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    ServerId,
    sealed::{file, owners_only, stands_for},
};
use crate::seal;

/// A longer answer is not kept. Bytes.
pub const ANSWER_BYTES: usize = 2 * 1024 * 1024;
/// More is not kept of all servers together; what was kept longest ago goes first. Bytes.
const ALL_BYTES: i64 = 64 * 1024 * 1024;
const MOST_ANSWERS: i64 = 5_000;

/// Where the shape of the file is said; another one is begun anew.
const SHAPE: i64 = 1;
const TABLE: &str = "CREATE TABLE IF NOT EXISTS answers (
    server TEXT NOT NULL,
    asked BLOB NOT NULL,
    at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (server, asked)
) STRICT, WITHOUT ROWID";

/// An answer as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// When it was given, by this machine's clock.
    pub at: Millis,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("what was last known cannot be read or kept at {path} ({reason})")]
pub struct LastKnownError {
    path: PathBuf,
    reason: String,
}

/// The open file. Cheap to clone.
#[derive(Clone)]
pub struct LastKnown {
    path: PathBuf,
    pool: SqlitePool,
    key: [u8; 32],
    /// Of all answers together.
    most_bytes: i64,
}

impl LastKnown {
    /// Opens the file, or begins it.
    ///
    /// # Errors
    /// [`LastKnownError`] where no file can be.
    pub async fn open(path: &Path, key: [u8; 32]) -> Result<Self, LastKnownError> {
        let failed = |reason: String| LastKnownError { path: path.to_owned(), reason };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        }
        let pool = match connect(path).await {
            Ok(pool) => pool,
            Err(_) => {
                for end in ["", "-wal", "-shm"] {
                    let mut file = path.as_os_str().to_owned();
                    file.push(end);
                    match std::fs::remove_file(&file) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => {
                            return Err(failed(error.to_string()));
                        }
                        _ => {}
                    }
                }
                connect(path).await.map_err(|error| failed(error.to_string()))?
            }
        };
        Ok(Self { path: path.to_owned(), pool, key, most_bytes: ALL_BYTES })
    }

    /// Keeps the answer to a path, in place of the one before. Too long a one is not kept, and the one before neither.
    ///
    /// # Errors
    /// [`LastKnownError`]; then the one before is there still.
    pub async fn keep(
        &self,
        server: &ServerId,
        path: &str,
        answer: &KeptAnswer,
    ) -> Result<(), LastKnownError> {
        if answer.body.len() > ANSWER_BYTES || answer.content_type.len() > 255 {
            return self.drop_answer(server, path).await;
        }
        let asked = self.asked(server, path);
        let sealed = self.seal(server, &asked, answer).ok_or_else(|| self.failed("it cannot be sealed"))?;
        let size = i64::try_from(sealed.len()).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT OR REPLACE INTO answers (server, asked, at, sealed, size) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(server.as_str())
        .bind(asked)
        .bind(answer.at)
        .bind(sealed)
        .bind(size)
        .execute(&self.pool)
        .await
        .map_err(|error| self.failed(error))?;
        self.let_go().await
    }

    /// What was answered last; nothing when it was never kept or cannot be opened.
    ///
    /// # Errors
    /// [`LastKnownError`].
    pub async fn get(&self, server: &ServerId, path: &str) -> Result<Option<KeptAnswer>, LastKnownError> {
        let asked = self.asked(server, path);
        let row = sqlx::query("SELECT at, sealed FROM answers WHERE server = $1 AND asked = $2")
            .bind(server.as_str())
            .bind(&asked)
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(row.and_then(|row| {
            let (at, sealed): (Millis, Vec<u8>) = (row.try_get("at").ok()?, row.try_get("sealed").ok()?);
            self.unseal(server, &asked, at, &sealed)
        }))
    }

    /// Takes one answer out: it does not hold any more.
    ///
    /// # Errors
    /// [`LastKnownError`].
    pub async fn drop_answer(&self, server: &ServerId, path: &str) -> Result<(), LastKnownError> {
        sqlx::query("DELETE FROM answers WHERE server = $1 AND asked = $2")
            .bind(server.as_str())
            .bind(self.asked(server, path))
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// Takes everything of a server out, after a sign-out.
    ///
    /// # Errors
    /// [`LastKnownError`].
    pub async fn forget(&self, server: &ServerId) -> Result<(), LastKnownError> {
        sqlx::query("DELETE FROM answers WHERE server = $1")
            .bind(server.as_str())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// Keeps the bounds of the whole file.
    async fn let_go(&self) -> Result<(), LastKnownError> {
        sqlx::query(
            "DELETE FROM answers WHERE (server, asked) IN (
                SELECT server, asked FROM (
                    SELECT server, asked,
                        SUM(size) OVER newest AS bytes,
                        ROW_NUMBER() OVER newest AS place
                    FROM answers WINDOW newest AS (ORDER BY at DESC, server, asked ROWS UNBOUNDED PRECEDING)
                ) WHERE bytes > $1 OR place > $2
            )",
        )
        .bind(self.most_bytes)
        .bind(MOST_ANSWERS)
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(|error| self.failed(error))
    }

    fn asked(&self, server: &ServerId, path: &str) -> Vec<u8> {
        stands_for(&self.key, server, path)
    }

    fn seal(&self, server: &ServerId, asked: &[u8], answer: &KeptAnswer) -> Option<Vec<u8>> {
        let mut plain = Vec::with_capacity(1 + answer.content_type.len() + answer.body.len());
        plain.push(u8::try_from(answer.content_type.len()).ok()?);
        plain.extend_from_slice(answer.content_type.as_bytes());
        plain.extend_from_slice(&answer.body);
        seal::seal(&self.key, &about(server, asked, answer.at), &plain)
    }

    fn unseal(&self, server: &ServerId, asked: &[u8], at: Millis, sealed: &[u8]) -> Option<KeptAnswer> {
        let plain = seal::unseal(&self.key, &about(server, asked, at), sealed)?;
        let (length, rest) = plain.split_first()?;
        let (kind, body) = rest.split_at_checked(usize::from(*length))?;
        Some(KeptAnswer { at, content_type: String::from_utf8(kind.to_vec()).ok()?, body: body.to_vec() })
    }

    fn failed(&self, reason: impl ToString) -> LastKnownError {
        LastKnownError { path: self.path.clone(), reason: reason.to_string() }
    }
}

/// What a sealed answer is bound to, so that none can be put in another's place.
fn about(server: &ServerId, asked: &[u8], at: Millis) -> Vec<u8> {
    [server.as_str().as_bytes(), &[0], asked, &at.to_be_bytes()].concat()
}

async fn connect(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    // A copy: after a crash the one before the last is as good.
    let options = file(path, SqliteSynchronous::Normal);
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
    let shape: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await?;
    if shape != SHAPE {
        sqlx::query("DROP TABLE IF EXISTS answers").execute(&pool).await?;
    }
    sqlx::query(TABLE).execute(&pool).await?;
    sqlx::query("PRAGMA user_version = 1").execute(&pool).await?;
    owners_only(path)?;
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn answer(at: Millis, body: &[u8]) -> KeptAnswer {
        KeptAnswer { at, content_type: "application/json".to_owned(), body: body.to_vec() }
    }

    #[tokio::test]
    async fn the_last_answer_is_kept_for_each_server_and_forgotten_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app/last-known.db");
        let (home, work) = (ServerId::fresh(), ServerId::fresh());
        let known = LastKnown::open(&path, KEY).await.unwrap();
        known.keep(&home, "/api/v1/devices", &answer(1, b"old")).await.unwrap();
        known.keep(&home, "/api/v1/devices", &answer(2, b"new")).await.unwrap();
        known.keep(&work, "/api/v1/devices", &answer(3, b"work")).await.unwrap();
        drop(known);
        let known = LastKnown::open(&path, KEY).await.unwrap();
        assert_eq!(known.get(&home, "/api/v1/devices").await.unwrap(), Some(answer(2, b"new")));
        assert_eq!(known.get(&home, "/api/v1/tasks").await.unwrap(), None);
        known.forget(&home).await.unwrap();
        assert_eq!(known.get(&home, "/api/v1/devices").await.unwrap(), None);
        assert_eq!(known.get(&work, "/api/v1/devices").await.unwrap(), Some(answer(3, b"work")));
        known.drop_answer(&work, "/api/v1/devices").await.unwrap();
        assert_eq!(known.get(&work, "/api/v1/devices").await.unwrap(), None);
    }

    #[tokio::test]
    async fn nothing_can_be_read_from_the_file_nor_with_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-known.db");
        let server = ServerId::fresh();
        let known = LastKnown::open(&path, KEY).await.unwrap();
        known.keep(&server, "/api/v1/chats?q=wal-fishing", &answer(1, b"the-whale-sings")).await.unwrap();
        known.pool.close().await;
        let file = std::fs::read(&path).unwrap();
        for secret in ["wal-fishing", "the-whale-sings", "application/json"] {
            assert!(!file.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "{secret}");
        }
        let stranger = LastKnown::open(&path, [8; 32]).await.unwrap();
        assert_eq!(stranger.get(&server, "/api/v1/chats?q=wal-fishing").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_answer_does_not_open_in_anothers_place() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerId::fresh();
        let known = LastKnown::open(&folder.path().join("last-known.db"), KEY).await.unwrap();
        known.keep(&server, "/a", &answer(1, b"a")).await.unwrap();
        known.keep(&server, "/b", &answer(1, b"b")).await.unwrap();
        let of_a = "(SELECT sealed FROM answers WHERE asked = $1)";
        sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE answers SET sealed = {of_a} WHERE asked = $2")))
            .bind(known.asked(&server, "/a"))
            .bind(known.asked(&server, "/b"))
            .execute(&known.pool)
            .await
            .unwrap();
        assert_eq!(known.get(&server, "/b").await.unwrap(), None);
        assert_eq!(known.get(&server, "/a").await.unwrap(), Some(answer(1, b"a")));
    }

    #[tokio::test]
    async fn the_oldest_go_first_and_the_longest_never_come() {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerId::fresh();
        let mut known = LastKnown::open(&folder.path().join("last-known.db"), KEY).await.unwrap();
        known.most_bytes = 100_000;
        let long = vec![b'x'; 10_000];
        for at in 0..40 {
            known.keep(&server, &format!("/{at}"), &answer(at, &long)).await.unwrap();
        }
        assert_eq!(known.get(&server, "/0").await.unwrap(), None);
        assert!(known.get(&server, "/39").await.unwrap().is_some());
        let bytes: i64 =
            sqlx::query_scalar("SELECT SUM(size) FROM answers").fetch_one(&known.pool).await.unwrap();
        assert!((80_000..=100_000).contains(&bytes), "{bytes}");
        known.keep(&server, "/39", &answer(41, &vec![b'x'; ANSWER_BYTES + 1])).await.unwrap();
        assert_eq!(known.get(&server, "/39").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_damaged_file_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-known.db");
        std::fs::write(&path, b"this is no database, however long one looks at it, and never was one")
            .unwrap();
        let server = ServerId::fresh();
        let known = LastKnown::open(&path, KEY).await.unwrap();
        known.keep(&server, "/", &answer(1, b"1")).await.unwrap();
        assert_eq!(known.get(&server, "/").await.unwrap(), Some(answer(1, b"1")));
    }
}
