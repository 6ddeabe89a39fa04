//! What Cloudflare Access wants to see before it lets anybody through to a device's tunnel: asked of the server, kept
//! for when it cannot be asked, and asked for anew when Cloudflare takes it no longer.
//!
//! A pass opens the way to the device's door and nothing behind it: who may come in is decided there, by the sealed
//! link's own keys and grants. It is a secret all the same, and stands in no error and no log.

use std::{fmt, time::Duration};

use foreman_link::carrier;
use foreman_protocol::{DeviceId, Millis, ProblemCode};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{
    carry::{self, AnyWay},
    keys::now,
    store::Store,
};
use crate::{Error, Foreman};

/// How long the server may take.
const SERVER_LIMIT: Duration = Duration::from_secs(3);
/// A pass is compared with the server's after so long, in milliseconds: the one kept should be good on the day when the
/// server is away.
const LOOK_AGAIN: u64 = 24 * 3_600_000;

const SHUT: &str = "Cloudflare does not take the pass that the server has for this device's tunnel: its Access \
     application or service token was changed there, which the server mends by itself";
const NOT_ASKED: &str =
    "Cloudflare wants to see a pass that only the server has, and this client is signed in to none";

/// Id and secret of a service token of Cloudflare Access.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pass {
    /// The only name it is shown to.
    pub hostname: String,
    client_id: String,
    client_secret: Zeroizing<String>,
    /// When the server gave it, by this machine's clock.
    asked_at: Millis,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("hostname", &self.hostname).finish_non_exhaustive()
    }
}

impl Pass {
    #[cfg(test)]
    pub fn of_a_test(hostname: &str, secret: &str) -> Self {
        Self {
            hostname: hostname.to_owned(),
            client_id: "id.access".to_owned(),
            client_secret: Zeroizing::new(secret.to_owned()),
            asked_at: now(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.client_id, &self.client_secret) == (&other.client_id, &other.client_secret)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let fields = [
            ("cf-access-client-id", self.client_id.as_str()),
            ("cf-access-client-secret", self.client_secret.as_str()),
        ];
        for (name, value) in fields {
            if let Ok(mut value) = HeaderValue::from_str(value) {
                value.set_sensitive(true);
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers
    }
}

/// The pass for one device, wherever it comes from.
pub(super) struct Passes {
    device: DeviceId,
    store: Option<Store>,
    server: Option<Foreman>,
    held: Mutex<Option<Pass>>,
}

impl Passes {
    pub fn new(device: DeviceId, store: Option<Store>, server: Option<Foreman>) -> Self {
        Self { device, store, server, held: Mutex::default() }
    }

    /// A way to the device by the name of its tunnel; why there is none, else.
    pub async fn through(&self, carrier: &carrier::Dialer, hostname: &str) -> Result<AnyWay, String> {
        let pass = self.pass(hostname, None).await?;
        match knock(carrier, &pass).await {
            Err(error) if is_shut(&error) => {}
            outcome => return outcome.map_err(|error| error.to_string()),
        }
        let fresh = self.pass(hostname, Some(&pass)).await?;
        knock(carrier, &fresh).await.map_err(|error| match is_shut(&error) {
            true => SHUT.to_owned(),
            false => error.to_string(),
        })
    }

    /// The pass that is held or kept, or the server's; another one than `shut`, which was not taken.
    async fn pass(&self, hostname: &str, shut: Option<&Pass>) -> Result<Pass, String> {
        let fits = |pass: &Pass| pass.hostname == hostname && shut.is_none_or(|shut| !pass.is_same(shut));
        // One who asks is enough.
        let mut held = self.held.lock().await;
        if !held.as_ref().is_some_and(fits) {
            // Another program of this user may have been here.
            *held = self.kept().filter(fits);
        }
        if let Some(pass) = held.as_ref() {
            return Ok(pass.clone());
        }
        let told = match &self.server {
            Some(server) => self.asked(server).await,
            None => return Err(if shut.is_some() { SHUT } else { NOT_ASKED }.to_owned()),
        };
        match told {
            Ok(pass) if fits(&pass) => {
                *held = Some(pass.clone());
                Ok(pass)
            }
            Ok(pass) if pass.hostname == hostname => Err(SHUT.to_owned()),
            Ok(pass) => Err(format!("the tunnel has another name by now: {}", pass.hostname)),
            Err(error) => Err(format!("the server gave no pass for Cloudflare: {error}")),
        }
    }

    /// Has what the tunnel will want to see before it is needed, when the server can be asked now. What is of no use any
    /// more is forgotten.
    pub async fn look_ahead(&self, hostname: Option<&str>) {
        let mut held = self.held.lock().await;
        let Some(hostname) = hostname else {
            *held = None;
            return self.forget();
        };
        let good = |pass: &Pass| pass.hostname == hostname && now().abs_diff(pass.asked_at) < LOOK_AGAIN;
        if self.kept().is_some_and(|pass| good(&pass)) {
            return;
        }
        if let Some(server) = &self.server {
            match self.asked(server).await {
                Ok(pass) => *held = Some(pass),
                Err(error) if is_no(&error) => *held = None,
                // The other ways are there, and this one asks again.
                Err(_) => {}
            }
        }
    }

    /// The server's pass, which is kept; what was kept is forgotten where the server gives none.
    async fn asked(&self, server: &Foreman) -> Result<Pass, Error> {
        let late =
            |_| Error::Unreachable { message: format!("no answer within {} s", SERVER_LIMIT.as_secs()) };
        let told = tokio::time::timeout(SERVER_LIMIT, server.tunnel_access(self.device)).await;
        let access = match told.map_err(late)? {
            Ok(access) => access,
            Err(error) => {
                if is_no(&error) {
                    self.forget();
                }
                return Err(error);
            }
        };
        let pass = Pass {
            hostname: access.hostname,
            client_id: access.client_id,
            client_secret: Zeroizing::new(access.client_secret),
            asked_at: now(),
        };
        if let Some(store) = &self.store {
            // For the next time only; this time it is in memory.
            let _ = store.keep_pass(self.device, server.url(), &pass);
        }
        Ok(pass)
    }

    fn kept(&self) -> Option<Pass> {
        self.store.as_ref()?.pass(self.device).ok().flatten()
    }

    fn forget(&self) {
        if let Some(store) = &self.store {
            let _ = store.forget_pass(self.device);
        }
    }
}

/// Whether the server says that this client is to have none.
pub(super) fn is_no(error: &Error) -> bool {
    use ProblemCode::{DeviceGone, Forbidden, NotFound, Unauthenticated};
    matches!(error.code(), Some(Unauthenticated | Forbidden | NotFound | DeviceGone))
}

async fn knock(carrier: &carrier::Dialer, pass: &Pass) -> Result<AnyWay, Error> {
    carry::web_socket(carrier, &address(&pass.hostname), pass.headers()).await
}

/// Where the device's link is behind a name.
pub(super) fn address(hostname: &str) -> String {
    format!("wss://{hostname}/link")
}

/// Whether it was Access that answered: it leads on to a page for signing in, or says no. A device's own no is another:
/// it comes as a problem, or sealed.
const fn is_shut(error: &Error) -> bool {
    matches!(error, Error::Unrecognised { status: 300..=399 | 401 | 403, .. })
}

#[cfg(test)]
mod tests;
