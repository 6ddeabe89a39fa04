//! Pushes: an account is told without a page or an app, in a browser, on a phone, in a ntfy topic.
//!
//! [`gather`] reads the event log and writes down what is due at each receiver; [`deliver`] takes it to whoever carries
//! it. What is worth telling and what it says is decided in `foreman-notices`, as for the app.

mod apns;
mod carrier;
mod deliver;
mod fcm;
pub mod gather;
mod message;
mod ntfy;
mod options;
mod place;
mod quiet;
mod routes;
mod seal;
mod signed;
mod store;
mod web_push;

use std::time::Duration;

use tokio::{sync::Notify, task::JoinSet, time::Instant};

pub use options::PushOptions;
pub use routes::router;

use crate::{
    App,
    config::Settings,
    db::{Db, Engine},
    problem::ApiResult,
    sealing::Seal,
};

/// Receivers of one account.
pub const MOST: u32 = 20;
/// What happens within this time is looked at together, so that what comes and goes at once says nothing.
const SETTLE: Duration = Duration::from_millis(400);
/// Receivers that failed, quiet hours and other servers' events are looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Receivers written to side by side.
const SIDE_BY_SIDE: usize = 16;

/// Who carries pushes, and a bell for the keeper.
pub struct Push {
    carriers: carrier::Carriers,
    due: Notify,
}

impl Push {
    /// # Errors
    /// When the key cannot be made or opened, or what is configured cannot be used.
    pub async fn open(
        db: &Db,
        seal: &Seal,
        options: &PushOptions,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let signer = store::signer(db, seal).await?;
        if db.engine == Engine::Sqlite {
            // Nobody else uses this database: what is claimed was claimed by a server that was killed.
            release(db).await?;
        }
        Ok(Self { carriers: carrier::Carriers::new(signer, options, settings)?, due: Notify::new() })
    }
}

async fn release(db: &Db) -> ApiResult<()> {
    db.write(|tx| {
        Box::pin(async move {
            sqlx::query("UPDATE push_receivers SET busy_until = 0 WHERE busy_until > 0")
                .execute(tx.conn())
                .await?;
            Ok(())
        })
    })
    .await
}

/// Tells every receiver what is due to it, until the server stops.
pub async fn keep(app: App) {
    let mut events = app.hub.subscribe(app.tenant);
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sending = JoinSet::new();
    let mut settle_at: Option<Instant> = None;
    loop {
        tokio::select! {
            () = app.closing.cancelled() => break,
            heard = events.recv() => {
                let is_event = !matches!(&heard, Ok(frame) if frame.cursor.is_none());
                if matches!(heard, Err(tokio::sync::broadcast::error::RecvError::Closed)) {
                    events = app.hub.subscribe(app.tenant);
                }
                if is_event {
                    settle_at.get_or_insert(Instant::now() + SETTLE);
                }
                continue;
            }
            () = tokio::time::sleep_until(settle_at.unwrap_or_else(Instant::now)), if settle_at.is_some() => {
                settle_at = None;
            }
            () = app.push.due.notified() => {}
            Some(ended) = sending.join_next(), if !sending.is_empty() => {
                if let Ok(Err(error)) = ended {
                    let error: crate::problem::ApiError = error;
                    tracing::warn!(%error, "what came of a push was not noted; it may be sent again");
                }
            }
            _ = every.tick(), if settle_at.is_none() => {}
        }
        if let Err(error) = round(&app, &mut sending).await {
            tracing::warn!(%error, "pushes could not be looked after; trying again");
        }
    }
    // What is on its way gets its answer noted.
    while sending.join_next().await.is_some() {}
}

async fn round(app: &App, sending: &mut JoinSet<ApiResult<()>>) -> ApiResult<()> {
    gather::gather(&app.db).await?;
    while sending.len() < SIDE_BY_SIDE {
        let Some(claimed) = deliver::claim(app).await? else { break };
        sending.spawn(deliver::deliver(app.clone(), claimed));
    }
    Ok(())
}
