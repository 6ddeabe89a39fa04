//! What would grow without end if nobody cleared it: old measurements, ended tasks, expired secrets.

use std::time::Duration;

use sqlx::Row;

use crate::{App, chats, db::now, link, once, problem::ApiResult, push, router};

const EVERY: Duration = Duration::from_secs(60);
const HOUR_MS: i64 = 3_600_000;
/// All measurements are kept for two hours …
const FINE_MS: i64 = 2 * HOUR_MS;
/// … and one a minute for 25, so that a day's chart is always whole.
const COARSE_MS: i64 = 25 * HOUR_MS;
/// More than clocks are off by between two replicas.
const FUTURE_MS: i64 = 60_000;
/// Devices cleared in one write, and tasks deleted in one: others wait their turn in between.
const CHUNK: usize = 100;

pub async fn run(app: App) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.closing.cancelled() => return,
            _ = every.tick() => {}
        }
        app.attempts.forget_old();
        app.metrics.run_upkeep();
        for (what, outcome) in [
            ("expired secrets", secrets(&app).await),
            ("old measurements", samples(&app).await),
            ("old tasks", tasks(&app).await),
            ("old link reports", link::reports::prune(&app).await),
            ("old model usage", router::prune(&app).await),
            ("old notices", push::gather::prune(&app.db).await),
            ("files that were never sent", chats::prune(&app).await),
            ("keys of changes made", once::prune(&app).await),
            ("deleted secrets", app.db.settle().await),
        ] {
            if let Err(error) = outcome {
                tracing::warn!(%error, "{what} were not cleared; trying again in a minute");
            }
        }
    }
}

async fn secrets(app: &App) -> ApiResult<()> {
    app.db
        .write(|tx| {
            Box::pin(async move {
                for sql in [
                    "DELETE FROM sessions WHERE expires_at <= $1",
                    "DELETE FROM device_bearers WHERE expires_at <= $1",
                    "DELETE FROM one_time_secrets WHERE expires_at <= $1",
                    "DELETE FROM device_codes WHERE expires_at <= $1",
                    "DELETE FROM authorization_codes WHERE forget_at <= $1",
                ] {
                    sqlx::query(sql).bind(now()).execute(tx.conn()).await?;
                }
                Ok(())
            })
        })
        .await
}

async fn samples(app: &App) -> ApiResult<()> {
    let devices: Vec<String> = sqlx::query("SELECT id FROM devices ORDER BY id")
        .fetch_all(app.db.read())
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    for some in devices.chunks(CHUNK) {
        let some = some.to_vec();
        app.db
            .write(move |tx| {
                Box::pin(async move {
                    for device in some {
                        // From the future: written while the server's clock was ahead, they would stay the newest.
                        sqlx::query("DELETE FROM samples WHERE device_id = $1 AND (at < $2 OR at > $3)")
                            .bind(&device)
                            .bind(now() - COARSE_MS)
                            .bind(now() + FUTURE_MS)
                            .execute(tx.conn())
                            .await?;
                        sqlx::query(
                            "DELETE FROM samples WHERE device_id = $1 AND at < $2 AND at > $3 AND keep = 0",
                        )
                        .bind(&device)
                        .bind(now() - FINE_MS)
                        .bind(now() - FINE_MS - HOUR_MS)
                        .execute(tx.conn())
                        .await?;
                    }
                    Ok(())
                })
            })
            .await?;
    }
    Ok(())
}

async fn tasks(app: &App) -> ApiResult<()> {
    let before = now() - i64::from(app.settings.keep_tasks_days) * 24 * HOUR_MS;
    app.db
        .write(move |tx| {
            Box::pin(async move {
                sqlx::query(
                    "DELETE FROM tasks WHERE id IN \
                     (SELECT id FROM tasks WHERE ended_at IS NOT NULL AND ended_at < $1 ORDER BY id LIMIT $2)",
                )
                .bind(before)
                .bind(i64::try_from(CHUNK).unwrap_or(i64::MAX))
                .execute(tx.conn())
                .await?;
                Ok(())
            })
        })
        .await
}
