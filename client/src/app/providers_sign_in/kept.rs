//! What is kept of a sign-in: the tokens and where they go, as one secret, so that a crash leaves the old ones or the
//! new ones.

use std::time::Duration;

use foreman_protocol::{Millis, ProviderId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    DefinitionId, Endpoint, ProviderSignInError, TokenRequest,
    answer::{Granted, millis},
    endpoints::Endpoints,
};
use crate::app::{SecretError, SecretStore, ServerId};

/// A token is renewed so long before it ends, so that who gets it has time to use it.
const AHEAD: Duration = Duration::from_secs(120);
/// A clock that differs by less was not set.
const SKEW: Duration = Duration::from_secs(300);

/// Which server has the token, and as which of its providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    pub server: ServerId,
    pub provider: ProviderId,
    /// The server has not got the newest token yet.
    #[serde(default)]
    pub behind: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    access: Zeroizing<String>,
    refresh: Option<Zeroizing<String>>,
    pub expires_at: Option<Millis>,
    pub obtained_at: Millis,
    pub signed_in_at: Millis,
    /// The provider took it back: there is nothing left to use.
    #[serde(default)]
    pub ended: bool,
    pub token_endpoint: Endpoint,
    pub revocation_endpoint: Option<Endpoint>,
    pub client_id: String,
    #[serde(default)]
    pub token_request: TokenRequest,
    #[serde(default)]
    pub handed: Option<Handed>,
}

impl Kept {
    pub fn new(granted: Granted, at: &Endpoints, now: Millis) -> Self {
        Self {
            access: granted.access,
            refresh: granted.refresh,
            expires_at: granted.lives.map(|lives| now.saturating_add(millis(lives))),
            obtained_at: now,
            signed_in_at: now,
            ended: false,
            token_endpoint: at.token.clone(),
            revocation_endpoint: at.revocation.clone(),
            client_id: at.client_id.clone(),
            token_request: at.token_request,
            handed: None,
        }
    }

    /// With what a refresh gave; a provider that does not rotate gives no new refresh token.
    pub fn renewed(self, granted: Granted, now: Millis) -> Self {
        Self {
            access: granted.access,
            refresh: granted.refresh.or(self.refresh),
            expires_at: granted.lives.map(|lives| now.saturating_add(millis(lives))),
            obtained_at: now,
            handed: self.handed.map(|handed| Handed { behind: true, ..handed }),
            ..self
        }
    }

    pub fn handed_to(self, handed: Option<Handed>) -> Self {
        Self { handed, ..self }
    }

    /// Without tokens, which are worth nothing any more.
    pub fn over(self) -> Self {
        Self { access: Zeroizing::default(), refresh: None, ended: true, ..self }
    }

    pub const fn access(&self) -> &Zeroizing<String> {
        &self.access
    }

    pub const fn refresh(&self) -> Option<&Zeroizing<String>> {
        self.refresh.as_ref()
    }

    /// It is over, or nearly: time for a new one. A clock that was set back says nothing of a token's age, so it counts
    /// as over where there is a way to a new one.
    pub fn is_due(&self, now: Millis) -> bool {
        let Some(expires_at) = self.expires_at else { return false };
        let life = expires_at.saturating_sub(self.obtained_at);
        let ahead = millis(AHEAD).min(life / 4);
        let set_back = self.refresh.is_some() && now < self.obtained_at.saturating_sub(millis(SKEW));
        now >= expires_at.saturating_sub(ahead) || set_back
    }

    pub fn is_over(&self, now: Millis) -> bool {
        self.ended || self.expires_at.is_some_and(|expires_at| now >= expires_at)
    }

    pub fn read(secrets: &dyn SecretStore, id: &DefinitionId) -> Result<Option<Self>, ProviderSignInError> {
        let Some(text) = secrets.get(&name(id))? else { return Ok(None) };
        let damaged = |_| SecretError::Damaged { reason: format!("{id} holds no sign-in") };
        Ok(Some(serde_json::from_str(&text).map_err(damaged)?))
    }

    pub fn write(&self, secrets: &dyn SecretStore, id: &DefinitionId) -> Result<(), ProviderSignInError> {
        let unsaid = |_| SecretError::Damaged { reason: "the sign-in cannot be written down".to_owned() };
        let text = Zeroizing::new(serde_json::to_string(self).map_err(unsaid)?);
        Ok(secrets.set(&name(id), &text)?)
    }

    pub fn remove(secrets: &dyn SecretStore, id: &DefinitionId) -> Result<(), ProviderSignInError> {
        Ok(secrets.remove(&name(id))?)
    }
}

fn name(id: &DefinitionId) -> String {
    format!("provider-sign-in/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lives: Option<u64>, refresh: bool) -> Kept {
        Kept {
            access: "a".to_owned().into(),
            refresh: refresh.then(|| "r".to_owned().into()),
            expires_at: lives.map(|seconds| 1_000_000_000 + millis(Duration::from_secs(seconds))),
            obtained_at: 1_000_000_000,
            signed_in_at: 1_000_000_000,
            ended: false,
            token_endpoint: "https://x/t".to_owned().try_into().unwrap(),
            revocation_endpoint: None,
            client_id: "c".to_owned(),
            token_request: TokenRequest::Form,
            handed: None,
        }
    }

    #[test]
    fn a_token_is_due_ahead_of_its_end() {
        let hour = kept(Some(3_600), true);
        let at = |seconds: i64| 1_000_000_000 + seconds * 1_000;
        assert!(!hour.is_due(at(3_400)) && hour.is_due(at(3_500)) && !hour.is_over(at(3_500)));
        // A minute's life is not spent in renewing it.
        let minute = kept(Some(60), true);
        assert!(!minute.is_due(at(40)) && minute.is_due(at(46)));
        assert!(!kept(None, true).is_due(i64::MAX));
    }

    #[test]
    fn a_clock_that_was_set_back_is_not_believed() {
        let hour = kept(Some(3_600), true);
        assert!(!hour.is_due(1_000_000_000 - 60_000), "a little skew is nothing");
        assert!(hour.is_due(1_000_000_000 - 86_400_000));
        assert!(!kept(Some(3_600), false).is_due(1_000_000_000 - 86_400_000), "nothing better can be had");
    }
}
