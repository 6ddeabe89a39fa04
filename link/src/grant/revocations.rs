//! What was taken back, for the device's file: kept for good, because a grant can come back with any caller.

use std::collections::BTreeMap;

use foreman_protocol::{Grant, GrantId, Millis, Revocation, Revoked};
use serde::{Deserialize, Serialize};

/// Grants and clients that count no more, each with when it was taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Revocations {
    grants: BTreeMap<GrantId, Millis>,
    clients: BTreeMap<String, Millis>,
}

impl Revocations {
    /// Adds one that was verified; `false` when it says nothing new.
    pub fn insert(&mut self, revocation: &Revocation) -> bool {
        match &revocation.revokes {
            Revoked::Grant(id) => keep_first(&mut self.grants, *id, revocation.at),
            Revoked::Client(client) => keep_first(&mut self.clients, client.clone(), revocation.at),
        }
    }

    /// Whether this was said before.
    #[must_use]
    pub fn holds(&self, revoked: &Revoked) -> bool {
        match revoked {
            Revoked::Grant(id) => self.grants.contains_key(id),
            Revoked::Client(client) => self.clients.contains_key(client),
        }
    }

    /// Whether this grant, or its client, was taken back.
    #[must_use]
    pub fn covers(&self, grant: &Grant) -> bool {
        self.grants.contains_key(&grant.id) || self.clients.contains_key(&grant.client)
    }

    /// Whether everything of this client was taken back, what is made later too.
    #[must_use]
    pub fn covers_client(&self, client: &str) -> bool {
        self.clients.contains_key(client)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.grants.len() + self.clients.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn keep_first<K: Ord>(kept: &mut BTreeMap<K, Millis>, key: K, at: Millis) -> bool {
    let before = kept.len();
    kept.entry(key).or_insert(at);
    kept.len() > before
}
