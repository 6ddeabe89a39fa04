//! Where every way to this device ends: a caller proves who it is, the gate says what it may do, and then the device's
//! API answers it until it goes or its right does.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::Router;
use foreman_link::{channel, h2};
use foreman_protocol::{Grant, Hello, RefusedBecause};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    gate::Gate,
    refusals::{Refusals, Source},
};
use crate::{
    device_api::{Caller, Person, Sharer},
    places::{Place, Places},
};

/// Links open at once.
const MOST_OPEN: usize = 256;
/// Callers who have not proven themselves yet. The relay and the proxies on this machine have places of their own, so
/// that nobody near takes them.
const MOST_UNPROVEN: usize = 64;
const MOST_UNPROVEN_OVER_RELAY: usize = 32;
const MOST_UNPROVEN_FORWARDED: usize = 64;
/// The same of one address, which could otherwise hold every place without a word, and of this machine.
const MOST_UNPROVEN_OF_ONE: usize = 8;
const MOST_UNPROVEN_OF_THIS_MACHINE: usize = 32;
/// Callers who are told at the same time how long they have to wait, and those of one address.
const MOST_TOLD_TO_WAIT: usize = 16;
const MOST_TOLD_TO_WAIT_OF_ONE: usize = 2;
/// Connections from this machine that have not said yet for whom they speak.
const MOST_UNHEARD: usize = 128;

/// See the module.
pub(super) struct Door {
    pub gate: Arc<Gate>,
    pub refusals: Refusals,
    router: Router,
    open: Places<Sharer>,
    unproven: Places<Source>,
    forwarded: Places<Source>,
    over_relay: Places<Source>,
    told_to_wait: Places<Source>,
    unheard: Arc<Semaphore>,
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

/// A caller who may say something, and its place.
pub(super) enum Admitted {
    /// Who it is.
    ToProve(Place),
    /// Its first words, to be told how long it has to wait.
    ToWait(Duration, Place),
}

/// A connection's place until it is known who speaks.
pub(super) enum Entry {
    /// It was judged by its address.
    Judged(Admitted),
    /// One of this machine, whose proxies speak for many.
    Local { _place: OwnedSemaphorePermit },
}

impl Door {
    pub fn new(gate: Arc<Gate>, router: Router) -> Self {
        Self {
            gate,
            refusals: Refusals::default(),
            router,
            open: Places::new(MOST_OPEN),
            unproven: Places::new(MOST_UNPROVEN),
            forwarded: Places::new(MOST_UNPROVEN_FORWARDED),
            over_relay: Places::new(MOST_UNPROVEN_OVER_RELAY),
            told_to_wait: Places::new(MOST_TOLD_TO_WAIT),
            unheard: Arc::new(Semaphore::new(MOST_UNHEARD)),
        }
    }

    /// A connection to the listener. Of this machine's own none is judged before it said for whom it speaks: otherwise
    /// any program here could shut out everybody who comes by a proxy.
    pub fn enter(&self, from: IpAddr) -> Option<Entry> {
        let from = Source::from(from);
        if from == Source::THIS_MACHINE {
            return Arc::clone(&self.unheard).try_acquire_owned().ok().map(|_place| Entry::Local { _place });
        }
        self.admit(from).map(Entry::Judged)
    }

    /// The same, now that it is known who speaks.
    pub fn judge(&self, entry: Entry, from: Source) -> Option<Admitted> {
        match entry {
            Entry::Judged(admitted) => Some(admitted),
            Entry::Local { .. } => self.admit(from),
        }
    }

    /// `None` for a caller who is not even told so: too many at once.
    pub fn admit(&self, from: Source) -> Option<Admitted> {
        if let Some(wait) = self.refusals.wait(from, Instant::now()) {
            let place = self.told_to_wait.take(from, MOST_TOLD_TO_WAIT_OF_ONE).ok()?;
            return Some(Admitted::ToWait(wait, place));
        }
        let (places, most) = match from {
            Source::Path(_) => (&self.over_relay, MOST_UNPROVEN_OVER_RELAY),
            Source::Account(_) => (&self.over_relay, MOST_UNPROVEN_OF_ONE),
            Source::Forwarded(_) => (&self.forwarded, MOST_UNPROVEN_OF_ONE),
            Source::THIS_MACHINE => (&self.unproven, MOST_UNPROVEN_OF_THIS_MACHINE),
            Source::V4(_) | Source::V6(_) | Source::Others => (&self.unproven, MOST_UNPROVEN_OF_ONE),
        };
        places.take(from, most).ok().map(Admitted::ToProve)
    }

    /// Serves one link to its end.
    pub async fn serve<IO>(&self, io: IO, from: Source, via: Via, admitted: Admitted)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let unproven = match admitted {
            Admitted::ToProve(place) => place,
            Admitted::ToWait(wait, _place) => {
                if let Err(error) = channel::turn_away(io, wait).await {
                    tracing::debug!(%from, ?via, %error, "a caller was not told that it has to wait");
                }
                return;
            }
        };
        let Some(lock) = self.gate.lock() else { return };
        let mut entered = None;
        let judged = channel::accept(io, &lock.keys, |client, hello| {
            let grant = self.gate.judge_hello(client, hello)?;
            let caller = self.caller(client, hello, &grant, via);
            let (who, most) = caller.share(MOST_OPEN);
            let place = self.open.take(who, most).map_err(|full| {
                tracing::warn!(%from, client = %caller.name, ?full, "too many links are open for one more");
                RefusedBecause::TooManyLinks
            })?;
            entered = Some((caller, place));
            Ok(grant)
        })
        .await;
        drop(unproven);
        let accepted = match judged {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%from, ?via, %error, "a caller was not let in");
                // Who has a right and uses it too much did not fail to prove it.
                if let Some(because) = error.because().filter(|why| *why != RefusedBecause::TooManyLinks) {
                    self.refusals.failed(from, because, Instant::now());
                }
                return;
            }
        };
        let Some((caller, _place)) = entered else { return };
        // Between judging and here the right may have gone.
        let Some(mut admission) = self.gate.open(accepted.grant, &lock) else {
            self.refusals.failed(from, RefusedBecause::Revoked, Instant::now());
            return;
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

    fn caller(&self, client: &str, hello: &Hello, grant: &Grant, via: Via) -> Caller {
        Caller {
            level: grant.level,
            expires_at: grant.expires_at,
            path: path(hello, via),
            on_behalf_of: person(hello).filter(|_| self.gate.is_servers(grant)),
            name: grant.name.clone(),
            client_key: client.to_owned(),
        }
    }
}

/// Whom a caller speaks for, as it says.
fn person(hello: &Hello) -> Option<Person> {
    hello.on_behalf_of.clone().map(|name| Person { name, id: hello.on_behalf_of_id.clone() })
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
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let from = |text: &str| Source::from(address(text));
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
        // And so are the proxies on this machine, whatever addresses they tell.
        let told = |text: &str| Source::forwarded(address(text));
        let mut forwarded = silent(told("192.0.2.7"));
        assert_eq!(forwarded.len(), MOST_UNPROVEN_OF_ONE);
        assert!(door.admit(told("192.0.2.8")).is_some());
        drop(held);
        forwarded.extend((0..20).flat_map(|n| silent(told(&format!("198.51.100.{n}")))));
        assert!(door.admit(told("192.0.2.8")).is_none() && door.admit(from("192.0.2.8")).is_some());
    }

    #[test]
    fn a_connection_of_this_machine_is_judged_by_whom_it_speaks_for() {
        let dir = tempfile::tempdir().unwrap();
        let gate = Gate::new(&State::at(dir.path().to_owned()), Issuer::generate(), &[]);
        let door = Door::new(gate, Router::new());
        let (local, near): (IpAddr, IpAddr) =
            (std::net::Ipv4Addr::LOCALHOST.into(), "192.0.2.7".parse().unwrap());
        for source in [local, near].repeat(10) {
            door.refusals.failed(source.into(), RefusedBecause::Handshake, Instant::now());
        }
        assert!(matches!(door.enter(near), Some(Entry::Judged(Admitted::ToWait(..)))));
        let judged = |source| door.judge(door.enter(local).unwrap(), source);
        assert!(matches!(judged(local.into()), Some(Admitted::ToWait(..))));
        assert!(matches!(judged(Source::forwarded(near)), Some(Admitted::ToProve(_))));
        // They are few who are told so, and fewer of one address.
        let told: Vec<_> = std::iter::from_fn(|| door.enter(near)).collect();
        assert_eq!(told.len(), MOST_TOLD_TO_WAIT_OF_ONE);
        assert!(judged(local.into()).is_some());
        let held: Vec<_> = std::iter::from_fn(|| door.enter(local)).collect();
        assert_eq!(held.len(), MOST_UNHEARD);
    }
}
