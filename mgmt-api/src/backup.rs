//! A copy of the SQLite database while the server runs, and putting one back.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{config::DataOptions, db::now, host};

/// Writes a consistent copy to `target`, which must not exist. The server may go on writing.
pub async fn backup(data: &DataOptions, target: &Path) -> anyhow::Result<()> {
    let source = sqlite_file(data)?;
    ensure!(source.exists(), "there is no database at {} yet", source.display());
    ensure!(
        !target.exists(),
        "{} exists already: nothing was written; choose another name",
        target.display()
    );
    let mut conn = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&source)).await?;
    let path = target.to_str().context("the target's path is not valid UTF-8")?;
    let copied = sqlx::query("VACUUM INTO $1").bind(path).execute(&mut conn).await;
    if let Err(error) = copied {
        let _ = fs::remove_file(target);
        return Err(error).with_context(|| format!("cannot write the copy to {}", target.display()));
    }
    conn.close().await?;
    // Some systems let only those wait for the disk who may write.
    File::options().write(true).open(target)?.sync_all()?;
    Ok(())
}

/// Puts a copy in the database's place; what was there is kept beside it, at the returned path.
pub async fn restore(data: &DataOptions, copy: &Path) -> anyhow::Result<Option<PathBuf>> {
    let target = sqlite_file(data)?;
    let _lock = host::lock_data(data).context("a database cannot be replaced under a running server")?;
    check(copy).await?;
    let fresh = target.with_extension("db.restoring");
    write_anew(copy, &fresh).with_context(|| format!("cannot write {}", fresh.display()))?;
    let kept = match target.exists() {
        true => Some(set_aside(&target)?),
        false => None,
    };
    fs::rename(&fresh, &target)?;
    // Windows opens no folder as a file, and keeps a new name by itself.
    #[cfg(unix)]
    if let Some(folder) = target.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(kept)
}

/// Its bytes and not its rights: a copy that is kept where nobody may write is no database that nobody may write.
fn write_anew(copy: &Path, fresh: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(fresh)?;
    io::copy(&mut File::open(copy)?, &mut file)?;
    file.sync_all()
}

/// Moves the database and its write-ahead log away together: one without the other is not whole.
fn set_aside(target: &Path) -> anyhow::Result<PathBuf> {
    let aside = target.with_extension(format!("db.before-restore-{}", now()));
    for suffix in ["", "-wal", "-shm"] {
        let with = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        if with(target).exists() {
            fs::rename(with(target), with(&aside))?;
        }
    }
    Ok(aside)
}

async fn check(copy: &Path) -> anyhow::Result<()> {
    let options = SqliteConnectOptions::new().filename(copy).read_only(true);
    let mut conn = SqliteConnection::connect_with(&options)
        .await
        .with_context(|| format!("{} cannot be opened as a database", copy.display()))?;
    let verdict: String = sqlx::query("PRAGMA integrity_check").fetch_one(&mut conn).await?.try_get(0)?;
    ensure!(verdict == "ok", "{} is damaged, nothing was replaced: {verdict}", copy.display());
    sqlx::query("SELECT last_cursor FROM tenants")
        .fetch_all(&mut conn)
        .await
        .with_context(|| format!("{} is not a Foreman database; nothing was replaced", copy.display()))?;
    conn.close().await?;
    Ok(())
}

fn sqlite_file(data: &DataOptions) -> anyhow::Result<PathBuf> {
    if data.database_url.is_some() {
        bail!("this is for the SQLite database; back up PostgreSQL with pg_dump");
    }
    Ok(data.database_file())
}
