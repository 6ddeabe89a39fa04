//! Opening the database: where it is, how its connections are set, its migrations.

use std::{path::PathBuf, str::FromStr, time::Duration};

use anyhow::Context;
use sqlx::{
    AnyPool, Executor,
    any::{AnyConnectOptions, AnyPoolOptions},
};
use tokio::sync::mpsc;

use super::{Db, Engine, writer};
use crate::events::Effect;

/// Writes that may wait for the writer before callers are held back.
const WRITE_QUEUE: usize = 4096;

#[derive(Debug, Clone)]
pub enum Location {
    /// A file, made when absent.
    Sqlite(PathBuf),
    /// `postgres://…`
    PostgreSql(String),
}

#[derive(Debug, Clone)]
pub struct OpenOptions {
    pub location: Location,
    /// Connections for reading.
    pub readers: u32,
}

pub async fn open(options: OpenOptions, announce: mpsc::Sender<Effect>) -> anyhow::Result<Db> {
    sqlx::any::install_default_drivers();
    let (engine, url) = match &options.location {
        Location::Sqlite(path) => {
            let absolute = std::path::absolute(path)?;
            let text = absolute.to_str().context("the data folder's path is not valid UTF-8")?;
            (Engine::Sqlite, format!("sqlite://{}?mode=rwc", percent_encode(text)))
        }
        Location::PostgreSql(url) => (Engine::PostgreSql, url.clone()),
    };
    let connect = AnyConnectOptions::from_str(&url).context("the database address cannot be read")?;
    let writing = pool(engine, 1, connect.clone()).await.context("the database cannot be opened")?;
    migrate(engine, &writing).await.context("the database's schema cannot be brought up to date")?;
    let reading = pool(engine, options.readers, connect).await?;

    let (writes, jobs) = mpsc::channel(WRITE_QUEUE);
    tokio::spawn(writer::run(engine, writing.clone(), jobs, announce));
    Ok(Db { engine, pool: reading, writing, writes })
}

async fn pool(engine: Engine, size: u32, connect: AnyConnectOptions) -> Result<AnyPool, sqlx::Error> {
    AnyPoolOptions::new()
        .max_connections(size)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(engine == Engine::PostgreSql)
        .after_connect(move |conn, _| {
            Box::pin(async move {
                if engine == Engine::Sqlite {
                    // FULL: an acknowledged write survives power loss. The wait covers the host's own commands.
                    for pragma in [
                        "PRAGMA busy_timeout = 10000",
                        "PRAGMA journal_mode = WAL",
                        "PRAGMA synchronous = FULL",
                        "PRAGMA foreign_keys = ON",
                        // What was forgotten, such as a task's environment, is gone from the file too.
                        "PRAGMA secure_delete = ON",
                        "PRAGMA cache_size = -8000",
                        "PRAGMA journal_size_limit = 67108864",
                    ] {
                        conn.execute(pragma).await?;
                    }
                }
                Ok(())
            })
        })
        .connect_with(connect)
        .await
}

async fn migrate(engine: Engine, pool: &AnyPool) -> anyhow::Result<()> {
    if engine == Engine::PostgreSql {
        // Lets one migration text say BLOB on both databases. Two replicas may start at once: the loser's
        // attempt fails on the catalogue's unique key, which means it is there.
        sqlx::query(
            "DO $$ BEGIN CREATE DOMAIN blob AS bytea; \
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
        )
        .execute(pool)
        .await?;
    }
    sqlx::migrate!().run(pool).await?;
    Ok(())
}

/// A path as the path part of a URL.
fn percent_encode(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
