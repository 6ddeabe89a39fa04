//! Where every way to this device ends: a caller proves who it is, the gate says what it may do, and then the device's
//! API answers it until it goes or its right does.

use std::sync::Arc;

use axum::Router;
use foreman_link::{channel, h2};
use foreman_protocol::{Hello, RefusedBecause};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    gate::Gate,
    refusals::{Refusals, Source},
};
use crate::device_api::Caller;

/// Links open at once.
const MOST_OPEN: usize = 256;
/// Callers who have not proven themselves yet.
const MOST_UNPROVEN: usize = 64;

/// See the module.
pub(super) struct Door {
    pub gate: Arc<Gate>,
    pub refusals: Refusals,
    router: Router,
    open: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
}

/// Which way a caller came: what they say of it must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// Straight to the listener.
    Listener,
    /// To the listener inside a WebSocket.
    WebSocket,
    Relay,
}

/// A place among those who may still prove themselves.
pub(super) struct Unproven {
    _place: OwnedSemaphorePermit,
}

impl Door {
    pub fn new(gate: Arc<Gate>, router: Router) -> Self {
        Self {
            gate,
            refusals: Refusals::default(),
            router,
            open: Arc::new(Semaphore::new(MOST_OPEN)),
            unproven: Arc::new(Semaphore::new(MOST_UNPROVEN)),
        }
    }

    /// `None` for a caller who is not even looked at: too many tries from there, or too many at once.
    pub fn admit(&self, from: Source) -> Option<Unproven> {
        if self.refusals.is_blocked(from, Instant::now()) {
            return None;
        }
        let place = Arc::clone(&self.unproven).try_acquire_owned().ok()?;
        Some(Unproven { _place: place })
    }

    /// Serves one link to its end.
    pub async fn serve<IO>(&self, io: IO, from: Source, via: Via, unproven: Unproven)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(lock) = self.gate.lock() else { return };
        let judged =
            channel::accept(io, &lock.keys, |client, hello| self.gate.judge(client, &hello.grant)).await;
        drop(unproven);
        let accepted = match judged {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%from, ?via, %error, "a caller was not let in");
                if let Some(because) = error.because() {
                    self.refusals.failed(from, because, Instant::now());
                }
                return;
            }
        };
        let Ok(_place) = Arc::clone(&self.open).try_acquire_owned() else {
            tracing::warn!(%from, "too many links are open, so one more was closed");
            return;
        };
        // Between judging and here the right may have gone.
        let Some(mut admission) = self.gate.open(accepted.grant.clone(), &lock) else {
            self.refusals.failed(from, RefusedBecause::Revoked, Instant::now());
            return;
        };
        let grant = accepted.grant;
        let caller = Caller {
            level: grant.level,
            expires_at: grant.expires_at,
            path: path(&accepted.hello, via),
            on_behalf_of: accepted.hello.on_behalf_of.filter(|_| self.gate.is_servers(&grant)),
            name: grant.name,
            client_key: accepted.client,
        };
        tracing::info!(%from, client = %caller.name, level = caller.level.as_str(), path = %caller.path, "a link is open");
        let (name, path) = (caller.name.clone(), caller.path.clone());
        let serve = h2::serve(accepted.channel, self.router.clone(), caller, std::future::pending());
        tokio::select! {
            // Dropping it closes it, in the middle of whatever it was.
            () = admission.ended() => tracing::info!(client = %name, %path, "a link was closed: its right is gone"),
            done = serve => tracing::info!(client = %name, %path, error = done.err().map(|error| error.to_string()), "a link has ended"),
        }
    }
}

/// What the caller says of its way, as far as that can be.
fn path(hello: &Hello, via: Via) -> String {
    let (possible, usual): (&[&str], &str) = match via {
        Via::Listener => (&["lan", "tailscale"], "lan"),
        Via::WebSocket => (&["lan", "tailscale", "cloudflare"], "cloudflare"),
        Via::Relay => (&["relay", "server"], "relay"),
    };
    let said = hello.path.as_str();
    if possible.contains(&said) { said.to_owned() } else { usual.to_owned() }
}
