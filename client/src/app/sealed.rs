//! The app's files of sealed rows.

use std::{io, path::Path, time::Duration};

use sha2::{Digest, Sha256};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::ServerId;

/// A file of rows that are deleted for good. `synchronous`: how sure a write is when it returns.
pub fn file(path: &Path, synchronous: SqliteSynchronous) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(Duration::from_secs(5))
        .pragma("secure_delete", "on")
}

/// Opens a file of what is nowhere else, or begins it with `table`: what somebody was told is kept is there after the power
/// went.
pub async fn open_durable(path: &Path, table: &'static str) -> Result<SqlitePool, sqlx::Error> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let options = file(path, SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
    sqlx::query(table).execute(&pool).await?;
    owners_only(path)?;
    Ok(pool)
}

/// What stands in a file for the name of something of a server: names say what somebody looked for or works on.
pub fn stands_for(key: &[u8; 32], server: &ServerId, name: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(server.as_str());
    hash.update([0]);
    hash.update(name);
    hash.finalize().to_vec()
}

#[cfg(unix)]
pub fn owners_only(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the same as where it can fail")]
pub fn owners_only(_: &Path) -> io::Result<()> {
    Ok(())
}
