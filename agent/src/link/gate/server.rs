//! The device's own server as a caller: the grant this device signs for it, and how far that one reaches.

use foreman_link::grant::{self, sign_grant};
use foreman_protocol::{Grant, GrantId, Level, Millis, RefusedBecause};

use super::{Gate, Held};
use crate::{
    link::trust::{Dashboard, Trust},
    state::replace_file,
};

/// How long a grant for the server counts. A new one is made at half of it.
const LIFETIME_MS: Millis = 180 * 24 * 3_600_000;

impl Gate {
    /// Whether the server may run tasks here.
    ///
    /// # Errors
    /// With why not, for whoever started the task.
    pub fn tasks_allowed(&self) -> Result<(), String> {
        let mut held = self.current();
        let dashboard = held.trust.dashboard;
        if dashboard.level() < Some(Level::Operate) {
            let may = if dashboard == Dashboard::View { "may only look" } else { "is not trusted" };
            return Err(format!(
                "The server {may} on this device, so its tasks are refused. To allow them, run \
                 `foreman-agent trust dashboard operate` on the device."
            ));
        }
        let key = held.trust.server_link_key.clone();
        if key.as_ref().is_some_and(|key| held.revocations.covers_client(key)) {
            return Err(
                "An owner of this device took back every right of this server's key, for good, so its tasks are refused. \
                 If it is to be trusted again, run `foreman-agent disconnect` on the device and connect it anew with a \
                 fresh token."
                    .to_owned(),
            );
        }
        if key.is_some() && self.grant_for_server(&mut held).is_none() {
            return Err(
                "An owner of this device took the server's right back, so its tasks are refused. To give it anew, run \
                 `foreman-agent trust dashboard operate` on the device."
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Whether the server may see anything of this device.
    #[must_use]
    pub fn server_may_look(&self) -> bool {
        self.current().trust.dashboard.level() >= Some(Level::View)
    }

    /// A device that joined before its server had a link key learns it here, once; later ones are not believed. What
    /// that server may do is for `trust` to say, as ever.
    pub fn meet_server(&self, key: &str) {
        let held = self.current();
        if held.trust.server_link_key.is_some() || grant::decode_key(key).is_err() {
            return;
        }
        let trust = Trust { server_link_key: Some(key.to_owned()), ..held.trust.clone() };
        // A file that is missing or cannot be read trusts nobody, and is for a person to mend: whatever server is there
        // now would put itself in the place of the one this device joined.
        if Trust::kept(&self.trust).is_ok_and(|stored| stored.as_ref() == Some(&held.trust))
            && let Err(error) = trust.save(&self.trust)
        {
            tracing::warn!(
                error = format!("{error:#}"),
                "the server's link key cannot be kept; this is tried again"
            );
            return;
        }
        drop(held);
        // Taken up from the file like any other change of it.
        drop(self.current());
    }

    /// For a grant that this device signed: the most it gives now. `None` for those of owners.
    pub(super) fn most(&self, held: &Held, grant: &Grant) -> Result<Option<Level>, RefusedBecause> {
        if !self.is_servers(grant) {
            return Ok(None);
        }
        if held.trust.server_link_key.as_ref() != Some(&grant.client) {
            return Err(RefusedBecause::Revoked);
        }
        held.trust.dashboard.level().map(Some).ok_or(RefusedBecause::Revoked)
    }

    /// The grant for the server, made anew when that is due. `None` when it is let do nothing or an owner took
    /// it back.
    pub(super) fn grant_for_server(&self, held: &mut Held) -> Option<String> {
        let client = held.trust.server_link_key.clone()?;
        let level = held.trust.dashboard.level()?;
        if held.server_grant.is_none() {
            // The one of an earlier life, so that each start is not news.
            held.server_grant = std::fs::read_to_string(&self.server_grant).ok();
        }
        let now = self.clock.now();
        if let Some(kept) = held.server_grant.as_ref().and_then(|text| grant::read_grant(text).ok())
            && kept.issuer == self.device
            && kept.device == self.device
            && kept.client == client
        {
            if held.revocations.covers(&kept) {
                return None;
            }
            let lasts = kept.issued_at <= now && now < kept.expires_at - LIFETIME_MS / 2;
            if lasts && kept.level == level {
                return held.server_grant.clone();
            }
        }
        let fresh = Grant {
            id: GrantId::fresh(),
            device: self.device.clone(),
            client,
            name: "Dashboard".to_owned(),
            level,
            issued_at: now,
            expires_at: now + LIFETIME_MS,
            issuer: self.device.clone(),
        };
        if held.revocations.covers(&fresh) {
            return None;
        }
        let signed = sign_grant(&fresh, &self.identity);
        if let Err(error) = replace_file(&self.server_grant, signed.as_bytes(), false) {
            tracing::warn!(%error, "the grant for the server cannot be kept; the next start makes another one");
        }
        held.server_grant = Some(signed.clone());
        Some(signed)
    }
}
