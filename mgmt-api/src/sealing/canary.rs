//! Whether this server's key is the one that the database was sealed with: asked at the start, because with another one
//! it would fail later, in the middle of something.

use std::path::Path;

use anyhow::bail;
use foreman_protocol::{Event, TaskId, TaskState, TenantId};
use sqlx::Row;

use super::Seal;
use crate::{
    commands,
    db::{Db, Tx, now},
    events::Cause,
    problem::ApiResult,
    tasks,
};

const ABOUT: &str = "the canary";

impl Seal {
    /// The key in a file, made when there is none, as the one that this database is sealed with.
    ///
    /// # Errors
    /// See [`Seal::open`]; when the database was sealed with another key.
    pub async fn of(db: &Db, file: &Path) -> anyhow::Result<Self> {
        let is_new = !file.exists();
        let seal = Self::open(file)?;
        if seal.fits(db).await? {
            return Ok(seal);
        }
        if is_new {
            // Made a moment ago and of no use: it must not be taken for the right one.
            let _ = std::fs::remove_file(file);
        }
        bail!(
            "The database was sealed with another key than {}. Nothing was changed. Put the right seal.key there: the \
             one of the other servers over this database (--seal-key-file), or of the backup. If it is lost, \
             `foreman-server forget-sealed` ends the tasks that wait with what it sealed, and begins with a new key.",
            file.display()
        )
    }

    async fn fits(&self, db: &Db) -> ApiResult<bool> {
        let fresh = self.seal(ABOUT, b"foreman")?;
        db.write(move |tx| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO seal_canary (id, sealed) VALUES (1, $1) ON CONFLICT (id) DO NOTHING",
                )
                .bind(fresh)
                .execute(tx.conn())
                .await?;
                Ok(())
            })
        })
        .await?;
        let row = sqlx::query("SELECT sealed FROM seal_canary WHERE id = 1").fetch_one(db.read()).await?;
        Ok(self.open_sealed(ABOUT, &row.try_get::<String, _>(0)?).is_ok())
    }
}

/// Lets go what was sealed with a key that is lost: tasks that wait with it are stopped. How many there were.
pub async fn forget(db: &Db, tenant: TenantId) -> ApiResult<usize> {
    db.write(move |tx| {
        Box::pin(async move {
            let waiting = commands::sealed(tx).await?;
            for task in &waiting {
                stop(tx, tenant, *task).await?;
            }
            // Where to push is sealed as well, and receivers know the key that is lost.
            for sql in ["DELETE FROM push_receivers", "DELETE FROM push_keys", "DELETE FROM seal_canary"] {
                sqlx::query(sql).execute(tx.conn()).await?;
            }
            Ok(waiting.len())
        })
    })
    .await
}

async fn stop(tx: &mut Tx, tenant: TenantId, task: TaskId) -> ApiResult<()> {
    commands::withdraw_start(tx, task).await?;
    let cause = Cause::host(tenant);
    let Some(task) = tasks::store::find(tx.conn(), tenant, task).await? else { return Ok(()) };
    if task.state.is_final() {
        return Ok(());
    }
    // The device may have it already, without our having heard.
    let mut task = tasks::request_stop(tx, &cause, task).await?;
    if task.state == TaskState::Queued {
        task.state = TaskState::Stopped;
        task.ended_at = Some(now());
        task.reason =
            Some("The key that its environment was sealed with is gone, so it was not started.".to_owned());
        task.output_total = Some(0);
        tasks::store::update_state(tx, &task).await?;
        tx.emit(&cause, Event::TaskStopped { task: Box::new(task) }).await?;
    }
    Ok(())
}
