//! Writes down what a server says by itself, so that what was last known of it is as old as that, and not as the last page
//! that somebody looked at.

use std::time::Duration;

use foreman_client::{Mirror, Turn, app::ServerId};
use foreman_protocol::Millis;
use tokio::time::Instant;

use crate::desk::{Desk, now};

/// What happens within this time is written together.
const GATHER: Duration = Duration::from_secs(1);
/// What is measured is written so often at most, while the server is there.
const MEASURED: Duration = Duration::from_secs(30);

/// Of one server.
#[derive(Default)]
pub struct Diary {
    heard_at: Millis,
    due: Option<Instant>,
}

impl Diary {
    pub fn heard(&mut self, turn: &Turn) {
        let within = match turn {
            Turn::Lost { .. } => return,
            Turn::Sample(_) => MEASURED,
            Turn::Snapshot | Turn::Event(_) | Turn::Resumed => GATHER,
        };
        self.heard_at = now();
        let due = Instant::now() + within;
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// When it has to be written; nothing while there is nothing new.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes what is new, if anything is.
    pub async fn write(&mut self, desk: &Desk, server: &ServerId, mirror: &Mirror) {
        if self.due.take().is_none() {
            return;
        }
        if let Some(known) = desk.last_known().await
            && let Err(error) = known.hear(server, mirror, self.heard_at).await
        {
            tracing::warn!(%error, "what was heard of a server is not kept");
        }
    }
}
