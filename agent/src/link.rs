//! The device's end of the device link: who is trusted, which ways lead here, and what happens on them.
//!
//! Every way ends at one door: bytes come in, the channel proves who speaks, the gate says what they may do, and the
//! device's own API answers. A way that does not work is said and never ends the agent: tasks need none of this.

mod addresses;
mod choices;
pub mod discovery;
mod door;
mod gate;
pub mod keys;
pub mod listener;
mod refusals;
mod relay;
mod reports;
pub mod tailscale;
pub mod trust;
pub mod tunnel;
mod ways;

use std::{sync::Arc, time::Duration};

use axum::Router;
use foreman_protocol::{Dial, LinkFacts};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use crate::{state::State, uplink::Uplink};
use door::Door;
use listener::Listener;

pub use choices::{Choices, Wishes};
pub use gate::Gate;
pub(crate) use gate::kept_time;
pub use listener::Listen;
pub use reports::{Reports, Said, channel as reports};
pub use ways::{Way, Ways};

/// How often the numbers of those turned away are looked at.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Dials that wait for a free hand; more are dropped, and asked for again by whoever waits.
const DIALS: usize = 32;

/// See the module.
pub struct Link {
    door: Arc<Door>,
    listener: Option<Listener>,
    choices: Choices,
    ways: watch::Sender<Ways>,
    uplink: Arc<Uplink>,
    reports: Reports,
    dials: mpsc::Receiver<Dial>,
    state: State,
}

/// What the rest of the agent needs of the link.
#[derive(Clone)]
pub struct Handle {
    gate: Arc<Gate>,
    ways: watch::Receiver<Ways>,
    dials: mpsc::Sender<Dial>,
}

impl Link {
    /// Opens the listener; nobody is served before [`Link::run`].
    ///
    /// # Errors
    /// With one sentence, when the address somebody asked for cannot be had.
    pub async fn open(
        state: &State,
        gate: Arc<Gate>,
        choices: Choices,
        router: Router,
        uplink: Arc<Uplink>,
        reports: Reports,
    ) -> anyhow::Result<(Self, Handle)> {
        let listener = Listener::bind(choices.listen).await?;
        let listening = listener.as_ref().map(Listener::address);
        let ways = watch::Sender::new(Ways { listening, ..Ways::default() });
        let (dial, dials) = mpsc::channel(DIALS);
        let handle = Handle { gate: Arc::clone(&gate), ways: ways.subscribe(), dials: dial };
        let door = Arc::new(Door::new(gate, router));
        let state = state.clone();
        Ok((Self { door, listener, choices, ways, uplink, reports, dials, state }, handle))
    }

    /// Serves for as long as it is polled. `line` tells when the server can be heard.
    pub async fn run(self, line: watch::Receiver<crate::line::Line>) {
        let Self { door, listener, choices, ways, uplink, reports, dials, state } = self;
        let (tailscale_kept, cloudflared_kept) = (state.tailscale(), state.cloudflared());
        let address = listener.as_ref().map(Listener::address);
        let port = address.map(|address| address.port());
        let consent = tunnel::Consent {
            gate: Arc::clone(&door.gate),
            policy: state.policy(),
            choice: choices.cloudflare,
            port: port.unwrap_or_default(),
        };
        let listening = async {
            match listener {
                Some(listener) => listener.serve(&door).await,
                None => std::future::pending().await,
            }
        };
        let announced = async {
            if let (Some(address), true) = (address, choices.mdns) {
                discovery::announce(uplink.device_id(), address, &ways).await;
            }
        };
        let in_tailnet = async {
            if let (Some(port), true) = (port, choices.tailscale) {
                tailscale::offer(port, &tailscale_kept, &ways).await;
            }
        };
        let tunnelled = async {
            if port.is_some() {
                tunnel::supervise(&uplink, &consent, &cloudflared_kept, line, &ways).await;
            }
        };
        tokio::join!(
            door.gate.watch(),
            tell_refusals(&door, &reports),
            relay::answer(&door, &uplink, dials),
            listening,
            announced,
            in_tailnet,
            tunnelled,
        );
    }
}

impl Handle {
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    #[must_use]
    pub fn ways(&self) -> watch::Receiver<Ways> {
        self.ways.clone()
    }

    /// Somebody waits on the relay.
    pub fn dial(&self, dial: Dial) {
        if self.dials.try_send(dial).is_err() {
            tracing::warn!("too many callers wait on the relay at once; one is left to try again");
        }
    }

    /// What the server is told of the link.
    #[must_use]
    pub fn facts(&self) -> Option<LinkFacts> {
        let ways = self.ways.borrow().clone();
        let addresses = ways.listening.map(addresses::reachable).unwrap_or_default();
        self.gate.facts(addresses, ways.tailscale_name())
    }
}

async fn tell_refusals(door: &Door, reports: &Reports) {
    let mut look = tokio::time::interval(TELL_EVERY);
    loop {
        look.tick().await;
        for refused in door.refusals.due(Instant::now()) {
            tracing::warn!(?refused, "callers of the device link were turned away");
            reports.tell(refused);
        }
    }
}
