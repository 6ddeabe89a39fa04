//! The links that are open, each with the grant it lives by.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use foreman_protocol::Grant;
use tokio::sync::oneshot;

use super::Gate;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct OpenLinks {
    by_id: HashMap<u64, OpenLink>,
    next: u64,
}

#[derive(Debug)]
struct OpenLink {
    grant: Grant,
    /// Dropping it closes the link.
    _close: oneshot::Sender<()>,
}

/// A link's place among the open ones; dropping it gives it back.
#[derive(Debug)]
pub struct Admission {
    gate: Weak<Gate>,
    id: u64,
    closed: oneshot::Receiver<()>,
}

impl OpenLinks {
    pub(super) fn add(&mut self, gate: &Arc<Gate>, grant: Grant) -> Admission {
        let (close, closed) = oneshot::channel();
        let id = self.next;
        self.next += 1;
        self.by_id.insert(id, OpenLink { grant, _close: close });
        Admission { gate: Arc::downgrade(gate), id, closed }
    }

    /// Closes the ones whose grant does not count any more.
    pub(super) fn keep(&mut self, counts: impl Fn(&Grant) -> bool) {
        self.by_id.retain(|_, link| {
            let keep = counts(&link.grant);
            if !keep {
                tracing::info!(grant.id = %link.grant.id, client = %link.grant.name, "a link is closed: its right is gone");
            }
            keep
        });
    }

    pub(super) fn close_all(&mut self) {
        if !self.by_id.is_empty() {
            tracing::info!(links = self.by_id.len(), "open links are closed: the link key is another one");
        }
        self.by_id.clear();
    }
}

impl Admission {
    /// Returns when the right to be here is gone.
    pub async fn ended(&mut self) {
        // Nothing is ever sent; the sender's end is the news.
        let _ = (&mut self.closed).await;
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.upgrade() {
            gate.held().open.by_id.remove(&self.id);
        }
    }
}
