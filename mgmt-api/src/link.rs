//! The server's side of the device link: it carries grants, relays sealed bytes it cannot read, and reaches a
//! device itself only as far as that device granted it.
//!
//! What a grant allows and which paths exist on a device is the device's business.

mod attach;
mod dial;
pub mod facts;
mod frames;
mod grants;
pub mod key;
mod leg;
mod places;
mod pool;
mod relay;
pub mod reports;
mod splice;
pub mod through;
mod tickets;
mod upgrade;

use std::time::Duration;

use foreman_link::grant::LinkSecret;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa_axum::router::OpenApiRouter;

use crate::App;

/// Terminals an account may have open through the server.
const TERMINALS: usize = 64;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(relay::router())
        .merge(grants::router())
        .merge(attach::router())
        .merge(through::router())
}

/// Everything about links that a running server holds.
pub struct Links {
    /// The server's own key, which devices grant things to.
    pub key: LinkSecret,
    pub pool: pool::Pool,
    tickets: tickets::Tickets,
    relays: places::Places,
    terminals: places::Places,
    /// WebSockets that have to end before the process does.
    open: TaskTracker,
}

impl Links {
    /// `relays` is how many an account may have open.
    pub fn new(key: LinkSecret, relays: u32, closing: CancellationToken) -> Self {
        let pool = pool::Pool::default();
        tokio::spawn(pool::end_unused(pool.clone(), closing));
        let of_an_account = usize::try_from(relays).unwrap_or(usize::MAX);
        Self {
            key,
            pool,
            tickets: tickets::Tickets::default(),
            relays: places::Places::new("relays", of_an_account, metrics::gauge!("foreman_relays_open")),
            terminals: places::Places::new("terminals", TERMINALS, metrics::gauge!("foreman_terminals_open")),
            open: TaskTracker::new(),
        }
    }

    /// Waits until every WebSocket has said goodbye; they do so when the server closes.
    pub async fn end(&self, patience: Duration) {
        self.open.close();
        if tokio::time::timeout(patience, self.open.wait()).await.is_err() {
            tracing::warn!("some relays did not end in time and were cut off");
        }
    }
}
