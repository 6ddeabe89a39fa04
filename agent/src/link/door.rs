//! Where every way to this device ends: a caller proves who it is, the gate says what it may do, and then the device's
//! API answers it until it goes or its right does.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

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
use crate::device_api::{Caller, Person};

/// Links open at once.
const MOST_OPEN: usize = 256;
/// Callers who have not proven themselves yet. The relay has places of its own, so that nobody near takes them.
const MOST_UNPROVEN: usize = 64;
const MOST_UNPROVEN_OVER_RELAY: usize = 32;
/// The same of one address, which could otherwise hold every place without a word, and of this machine, whose proxies
/// speak for many.
const MOST_UNPROVEN_OF_ONE: usize = 8;
const MOST_UNPROVEN_OF_THIS_MACHINE: usize = 32;

/// See the module.
pub(super) struct Door {
    pub gate: Arc<Gate>,
    pub refusals: Refusals,
    router: Router,
    open: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    unproven_over_relay: Arc<Semaphore>,
    by_source: Arc<BySource>,
}

/// How many of those who have not proven themselves come from where.
type BySource = Mutex<HashMap<Source, usize>>;

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
    from: Source,
    by_source: Arc<BySource>,
}

impl Drop for Unproven {
    fn drop(&mut self) {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_source.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&self.from);
            }
        }
    }
}

impl Door {
    pub fn new(gate: Arc<Gate>, router: Router) -> Self {
        Self {
            gate,
            refusals: Refusals::default(),
            router,
            open: Arc::new(Semaphore::new(MOST_OPEN)),
            unproven: Arc::new(Semaphore::new(MOST_UNPROVEN)),
            unproven_over_relay: Arc::new(Semaphore::new(MOST_UNPROVEN_OVER_RELAY)),
            by_source: Arc::default(),
        }
    }

    /// `None` for a caller who is not even looked at: too many tries from there, or too many at once.
    pub fn admit(&self, from: Source) -> Option<Unproven> {
        if self.refusals.is_blocked(from, Instant::now()) {
            return None;
        }
        let (places, most) = match from {
            Source::Path(_) => (&self.unproven_over_relay, MOST_UNPROVEN_OVER_RELAY),
            Source::V4(Ipv4Addr::LOCALHOST) | Source::V6([0, 0, 0, 0]) => {
                (&self.unproven, MOST_UNPROVEN_OF_THIS_MACHINE)
            }
            Source::Account(_) => (&self.unproven_over_relay, MOST_UNPROVEN_OF_ONE),
            Source::V4(_) | Source::V6(_) | Source::Others => (&self.unproven, MOST_UNPROVEN_OF_ONE),
        };
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        if by_source.get(&from).is_some_and(|count| *count >= most) {
            return None;
        }
        let place = Arc::clone(places).try_acquire_owned().ok()?;
        *by_source.entry(from).or_default() += 1;
        Some(Unproven { _place: place, from, by_source: Arc::clone(&self.by_source) })
    }

    /// Serves one link to its end.
    pub async fn serve<IO>(&self, io: IO, from: Source, via: Via, unproven: Unproven)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(lock) = self.gate.lock() else { return };
        let judged =
            channel::accept(io, &lock.keys, |client, hello| self.gate.judge_hello(client, hello)).await;
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
            on_behalf_of: person(accepted.hello).filter(|_| self.gate.is_servers(&grant)),
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

/// Whom a caller speaks for, as it says.
fn person(hello: Hello) -> Option<Person> {
    hello.on_behalf_of.map(|name| Person { name, id: hello.on_behalf_of_id })
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use foreman_link::grant::Issuer;

    use super::*;
    use crate::state::State;

    #[test]
    fn callers_who_say_nothing_leave_room_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let gate = Gate::new(&State::at(dir.path().to_owned()), Issuer::generate(), &[]);
        let door = Door::new(gate, Router::new());
        let from = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        let silent = |source| std::iter::from_fn(|| door.admit(source)).collect::<Vec<_>>();
        let mut held = silent(from("192.0.2.7"));
        assert_eq!(held.len(), MOST_UNPROVEN_OF_ONE);
        assert!(door.admit(from("192.0.2.8")).is_some());
        drop(held.pop());
        assert!(door.admit(from("192.0.2.7")).is_some());
        // However many there are, the relay is another way.
        held.extend((0..20).flat_map(|n| silent(from(&format!("198.51.100.{n}")))));
        assert!(door.admit(from("203.0.113.9")).is_none());
        assert!(door.admit(Source::Path("relay")).is_some());
        drop(held);
        assert!(door.by_source.lock().unwrap().is_empty());
    }
}
