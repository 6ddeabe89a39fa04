//! What a device has at Cloudflare, made in an order in which the hostname never leads to the device before Access
//! guards it, mended where it drifted, and taken back when it could not be made whole.

use super::cloudflare::{Cloudflare, CloudflareError, TokenStanding};
use crate::{problem::ApiResult, sealing::Seal};

/// Ids at Cloudflare; absent: not made (yet).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// `foreman-<device id>`: the name of everything there.
    pub name: String,
    pub hostname: String,
    /// Where cloudflared sends what comes: the agent's listener on its own machine.
    pub target: String,
    pub tunnel: Option<String>,
    pub service_token: Option<String>,
    pub client_id: Option<String>,
    /// Sealed.
    pub secret: Option<String>,
    pub app: Option<String>,
    pub policy: Option<String>,
    pub record: Option<String>,
    /// Something was put right that has no id of its own. Not kept.
    pub mended: bool,
}

/// What happened to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Unchanged,
    Made,
    Mended,
}

impl Parts {
    /// What its secret is sealed for.
    #[must_use]
    pub fn about(&self) -> String {
        format!("tunnel access of {}", self.name)
    }

    fn whole(&self) -> bool {
        [&self.tunnel, &self.service_token, &self.secret, &self.app, &self.policy, &self.record]
            .iter()
            .all(|part| part.is_some())
    }

    /// Brings the set to what it should be. On an error, what this call made is taken back again; what could not be
    /// taken back stays in `self`, so that the next call goes on from there.
    ///
    /// # Errors
    /// Cloudflare's.
    pub async fn ensure(
        &mut self,
        cloudflare: &Cloudflare,
        seal: &Seal,
    ) -> ApiResult<Result<Outcome, CloudflareError>> {
        let before = self.clone();
        let fresh = !self.whole();
        let outcome = self.steps(cloudflare, seal).await?;
        Ok(match outcome {
            Ok(()) if *self == before => Ok(Outcome::Unchanged),
            Ok(()) if fresh => Ok(Outcome::Made),
            Ok(()) => Ok(Outcome::Mended),
            Err(error) => {
                self.take_back(&before, cloudflare).await;
                Err(error)
            }
        })
    }

    async fn steps(
        &mut self,
        cloudflare: &Cloudflare,
        seal: &Seal,
    ) -> ApiResult<Result<(), CloudflareError>> {
        macro_rules! step {
            ($result:expr) => {
                match $result.await {
                    Ok(value) => value,
                    Err(error) => return Ok(Err(error)),
                }
            };
        }
        if self.tunnel.is_none()
            && self.record.is_none()
            && self.app.is_none()
            && self.service_token.is_none()
        {
            step!(cloudflare.clear(&self.name, &self.hostname));
        }
        let tunnel = match &self.tunnel {
            Some(id) if step!(cloudflare.has_tunnel(id)) => id.clone(),
            _ => step!(cloudflare.make_tunnel(&self.name)),
        };
        self.tunnel = Some(tunnel.clone());
        if !step!(cloudflare.is_configured(&tunnel, &self.hostname, &self.target)) {
            step!(cloudflare.configure(&tunnel, &self.hostname, &self.target));
            self.mended = true;
        }
        let standing = match (&self.service_token, &self.secret) {
            (Some(id), Some(_)) => step!(cloudflare.service_token(id)),
            _ => TokenStanding::Gone,
        };
        let token = match &self.service_token {
            Some(id) if standing == TokenStanding::Good => id.clone(),
            Some(id) if standing == TokenStanding::Ending => {
                step!(cloudflare.refresh_service_token(id));
                self.mended = true;
                id.clone()
            }
            ended => {
                // Its name is to be free for the next.
                if let Some(id) = ended {
                    step!(cloudflare.delete_service_token(id));
                }
                let made = step!(cloudflare.make_service_token(&self.name));
                self.service_token = Some(made.id.clone());
                self.secret = Some(seal.seal(&self.about(), made.client_secret.as_bytes())?);
                self.client_id = Some(made.client_id);
                made.id
            }
        };
        let app = match &self.app {
            Some(id) if step!(cloudflare.has_app(id, &self.hostname)) => id.clone(),
            other => {
                // One that guards another name is still ours, and nobody would know it any more.
                if let Some(id) = other {
                    step!(cloudflare.delete_app(id));
                    (self.app, self.policy) = (None, None);
                }
                step!(cloudflare.make_app(&self.name, &self.hostname))
            }
        };
        self.app = Some(app.clone());
        step!(self.shut(cloudflare, &app));
        self.policy = Some(match &self.policy {
            Some(id) if step!(cloudflare.has_policy(&app, id, &token)) => id.clone(),
            // One that lets somebody else in goes before ours comes.
            Some(id) => {
                step!(cloudflare.delete_policy(&app, id));
                step!(cloudflare.make_policy(&app, &token))
            }
            None => step!(cloudflare.make_policy(&app, &token)),
        });
        self.record = Some(match &self.record {
            Some(id) if step!(cloudflare.has_record(id, &self.hostname, &tunnel)) => id.clone(),
            Some(id) => {
                step!(cloudflare.delete_record(id));
                step!(cloudflare.make_record(&self.name, &self.hostname, &tunnel))
            }
            None => step!(cloudflare.make_record(&self.name, &self.hostname, &tunnel)),
        });
        Ok(Ok(()))
    }

    /// Takes away what lets in others than ours, and says what only a person can take away.
    async fn shut(&mut self, cloudflare: &Cloudflare, app: &str) -> Result<(), CloudflareError> {
        let mut shared = None;
        for other in cloudflare.other_policies(app, self.policy.as_deref()).await? {
            if other.shared {
                shared = Some(other.name);
                continue;
            }
            cloudflare.delete_policy(app, &other.id).await?;
            self.mended = true;
        }
        let Some(policy) = shared else { return Ok(()) };
        Err(CloudflareError::Shared { policy, hostname: self.hostname.clone(), app: self.name.clone() })
    }

    /// Removes what `before` did not have, newest first.
    async fn take_back(&mut self, before: &Self, cloudflare: &Cloudflare) {
        if let Some(id) = added(&self.record, &before.record) {
            self.record = gone(cloudflare.delete_record(id).await, id);
        }
        if let (Some(id), Some(app)) = (added(&self.policy, &before.policy), &self.app) {
            self.policy = gone(cloudflare.delete_policy(app, id).await, id);
        }
        if let Some(id) = added(&self.app, &before.app) {
            self.app = gone(cloudflare.delete_app(id).await, id);
        }
        if let Some(id) = added(&self.service_token, &before.service_token) {
            self.service_token = gone(cloudflare.delete_service_token(id).await, id);
            if self.service_token.is_none() {
                (self.client_id, self.secret) = (None, None);
            }
        }
        if let Some(id) = added(&self.tunnel, &before.tunnel) {
            self.tunnel = gone(cloudflare.delete_tunnel(id).await, id);
        }
    }

    /// Removes everything, the hostname first. What could not be removed stays in `self`.
    ///
    /// # Errors
    /// Cloudflare's; the next call goes on.
    pub async fn remove(&mut self, cloudflare: &Cloudflare) -> Result<(), CloudflareError> {
        if let Some(id) = &self.record {
            cloudflare.delete_record(id).await?;
            self.record = None;
        }
        if let Some(id) = &self.app {
            // Its policies go with it.
            cloudflare.delete_app(id).await?;
            (self.app, self.policy) = (None, None);
        }
        if let Some(id) = &self.service_token {
            cloudflare.delete_service_token(id).await?;
            (self.service_token, self.client_id, self.secret) = (None, None, None);
        }
        if let Some(id) = &self.tunnel {
            cloudflare.delete_tunnel(id).await?;
            self.tunnel = None;
        }
        Ok(())
    }
}

fn added<'a>(after: &'a Option<String>, before: &Option<String>) -> Option<&'a String> {
    after.as_ref().filter(|_| after != before)
}

/// What is left of it.
fn gone(outcome: Result<(), CloudflareError>, id: &str) -> Option<String> {
    outcome.err().map(|error| {
        tracing::warn!(%error, "a half-made tunnel could not be taken back wholly; this is tried again");
        id.to_owned()
    })
}
