//! Who is let in: holds what this device trusts against each caller, and ends a link the moment its right is gone.
//!
//! Key, trust and revocations are files and rows that people change while the agent runs. The gate looks whether they
//! changed before each decision, and several times a second for the links that are open. This must not know how a
//! caller's bytes came here or what they ask for.

mod clock;
mod open;
mod server;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foreman_link::{
    channel::DeviceKeys,
    grant::{self, Issuer, Revocations},
};
use foreman_protocol::{
    Command, CommandAction, DeviceLink, Grant, Hello, LinkFacts, Millis, RefusedBecause, Revoked,
};
use tokio::sync::watch;

use super::{keys::LinkKeys, trust::Trust};
use crate::{
    state::{Stamp, State, stamp},
    uplink::NotUnderstood,
};
use clock::Clock;
use open::OpenLinks;

pub(crate) use clock::kept as kept_time;
pub use open::Admission;

/// How often the files are looked at while nobody calls.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// See the module.
pub struct Gate {
    identity: Issuer,
    /// Its public half, standard base64.
    device: String,
    link_key: PathBuf,
    trust: PathBuf,
    server_grant: PathBuf,
    clock: Clock,
    held: Mutex<Held>,
    changed: watch::Sender<()>,
}

struct Held {
    keys: Option<LinkKeys>,
    keys_seen: Option<Stamp>,
    trust: Trust,
    trust_seen: Option<Stamp>,
    revocations: Revocations,
    /// What this device signed for its server, when it has.
    server_grant: Option<String>,
    open: OpenLinks,
}

/// What a caller has to prove itself to.
#[derive(Debug, Clone)]
pub struct Lock {
    pub keys: DeviceKeys,
    /// Which of its keys that is.
    pub serial: u64,
}

impl Gate {
    /// The gate of a state directory, with the revocations the journal has. Makes the link key when there is none.
    #[must_use]
    pub fn new(state: &State, identity: Issuer, revocations: &[String]) -> Arc<Self> {
        if let Err(error) = LinkKeys::load_or_make(&state.link_key()) {
            tracing::error!("{error:#}");
        }
        let mut known = Revocations::default();
        // Their signatures were checked when they came; who signed may have been removed since.
        for revocation in revocations.iter().filter_map(|text| grant::read_revocation(text).ok()) {
            known.insert(&revocation);
        }
        let gate = Self {
            device: identity.public(),
            identity,
            link_key: state.link_key(),
            trust: state.trust(),
            server_grant: state.server_grant(),
            clock: Clock::new(state.link_time()),
            held: Mutex::new(Held {
                keys: None,
                keys_seen: None,
                trust: Trust::default(),
                trust_seen: None,
                revocations: known,
                server_grant: None,
                open: OpenLinks::default(),
            }),
            changed: watch::Sender::new(()),
        };
        gate.take_up_keys(&mut gate.held());
        gate.take_up_trust(&mut gate.held());
        Arc::new(gate)
    }

    /// Follows the files for as long as it is polled.
    pub async fn watch(&self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            self.clock.look();
            let mut held = self.current();
            self.close_what_ended(&mut held);
        }
    }

    /// Told when what others know of this device's link may have changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What callers have to prove themselves to; `None` while there is no usable key.
    #[must_use]
    pub fn lock(&self) -> Option<Lock> {
        let held = self.current();
        let keys = held.keys.as_ref()?;
        let device = DeviceKeys { identity: self.identity.public_bytes(), secret: keys.secret.clone() };
        Some(Lock { keys: device, serial: keys.serial })
    }

    /// What somebody who says this, with this key, may do: no more than they want themselves.
    ///
    /// # Errors
    /// Why nothing.
    pub fn judge_hello(&self, client: &str, hello: &Hello) -> Result<Grant, RefusedBecause> {
        let mut grant = self.judge(client, &hello.grant)?;
        if let Some(most) = hello.at_most {
            grant.level = grant.level.min(most);
        }
        Ok(grant)
    }

    /// What this grant lets the client with this key do.
    ///
    /// # Errors
    /// Why nothing.
    pub fn judge(&self, client: &str, signed: &str) -> Result<Grant, RefusedBecause> {
        let held = self.current();
        let mut issuers: Vec<String> = held.trust.owners.iter().map(|owner| owner.key.clone()).collect();
        issuers.push(self.device.clone());
        let trust = grant::Trust {
            issuers: &issuers,
            device: &self.device,
            client,
            now: self.clock.now(),
            revocations: &held.revocations,
        };
        let mut grant = grant::verify_grant(signed, &trust)?;
        if let Some(most) = self.most(&held, &grant)? {
            grant.level = grant.level.min(most);
        }
        Ok(grant)
    }

    /// Counts a caller in whose grant was judged; `None` when it does not count any more.
    #[must_use]
    pub fn open(self: &Arc<Self>, grant: Grant, lock: &Lock) -> Option<Admission> {
        let mut held = self.current();
        let same_key = held.keys.as_ref().is_some_and(|keys| keys.serial == lock.serial);
        if !same_key || !self.counts(&held, &grant, self.clock.now()) {
            return None;
        }
        Some(held.open.add(self, grant))
    }

    /// Whether this grant was signed by this device itself, so the caller is its server.
    #[must_use]
    pub fn is_servers(&self, grant: &Grant) -> bool {
        grant.issuer == self.device
    }

    /// Makes revocations that nobody trusted signed into nothing.
    pub fn sift(&self, commands: &mut [Result<Command, NotUnderstood>]) {
        for command in commands.iter_mut().flatten() {
            if let CommandAction::Revoke { revocation } = &command.action
                && let Err(because) = self.read_revocation(revocation)
            {
                tracing::warn!(command.id = %command.id, ?because, "a revocation that no owner signed is ignored");
                command.action = CommandAction::Unknown;
            }
        }
    }

    /// Takes back what a revocation says, which the journal has already; links it concerns are closed.
    pub fn revoke(&self, signed: &str) {
        let Ok(revocation) = grant::read_revocation(signed) else { return };
        let mut held = self.held();
        if held.revocations.insert(&revocation) {
            tracing::info!(revoked = ?revocation.revokes, "taken back by an owner");
            self.close_what_ended(&mut held);
            self.changed.send_replace(());
        }
    }

    /// What somebody takes back with this.
    ///
    /// # Errors
    /// When no owner of this device signed it.
    pub fn read_revocation(&self, signed: &str) -> Result<Revoked, RefusedBecause> {
        let held = self.current();
        let issuers: Vec<String> = held.trust.owners.iter().map(|owner| owner.key.clone()).collect();
        grant::verify_revocation(signed, &issuers, &self.device).map(|revocation| revocation.revokes)
    }

    /// Whether this is so already, and kept.
    #[must_use]
    pub fn took_back(&self, revoked: &Revoked) -> bool {
        self.held().revocations.holds(revoked)
    }

    /// What others are told of this device's link; `None` while there is no usable key.
    #[must_use]
    pub fn facts(&self, addresses: Vec<String>, tailscale: Option<String>) -> Option<LinkFacts> {
        let mut held = self.current();
        let key = held.keys.as_ref()?.signed(&self.identity);
        let server_grant = self.grant_for_server(&mut held);
        let server_level = server_grant.as_ref().and(held.trust.dashboard.level());
        let identity = self.device.clone();
        let link = DeviceLink { identity, key, addresses, tailscale, server_level };
        Some(LinkFacts { link, server_grant })
    }

    fn counts(&self, held: &Held, grant: &Grant, now: Millis) -> bool {
        let trusted =
            self.is_servers(grant) || held.trust.owners.iter().any(|owner| owner.key == grant.issuer);
        let enough = self.most(held, grant).is_ok_and(|most| most.is_none_or(|most| grant.level <= most));
        trusted && enough && now < grant.expires_at && !held.revocations.covers(grant)
    }

    fn close_what_ended(&self, held: &mut Held) {
        let now = self.clock.now();
        let mut open = std::mem::take(&mut held.open);
        open.keep(|grant| self.counts(held, grant, now));
        held.open = open;
    }

    /// What is held, as the files are now.
    fn current(&self) -> MutexGuard<'_, Held> {
        let mut held = self.held();
        if stamp(&self.link_key) != held.keys_seen {
            self.take_up_keys(&mut held);
            held.open.close_all();
            self.changed.send_replace(());
        }
        if stamp(&self.trust) != held.trust_seen {
            self.take_up_trust(&mut held);
            self.close_what_ended(&mut held);
            self.changed.send_replace(());
        }
        held
    }

    fn take_up_keys(&self, held: &mut Held) {
        held.keys_seen = stamp(&self.link_key);
        held.keys = LinkKeys::load(&self.link_key).unwrap_or_else(|error| {
            tracing::error!("{error:#}");
            None
        });
        if let Some(keys) = &held.keys {
            tracing::info!(serial = keys.serial, "the link key in force");
        }
    }

    fn take_up_trust(&self, held: &mut Held) {
        held.trust_seen = stamp(&self.trust);
        held.trust = Trust::load(&self.trust).unwrap_or_else(|error| {
            tracing::error!("{error:#}");
            Trust::default()
        });
        held.server_grant = None;
        tracing::info!(
            owners = held.trust.owners.len(),
            dashboard = held.trust.dashboard.as_str(),
            "whom this device trusts"
        );
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("device", &self.device).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
