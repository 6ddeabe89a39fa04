//! Where a device may be reached, and opening a sealed session there.

use std::{fmt, pin::pin, sync::RwLock, time::Duration};

use foreman_link::{
    carrier,
    channel::{self, ClientKeys, ConnectError},
    grant::{Issuer, LinkSecret},
    h2,
};
use foreman_protocol::{Hello, RefusedBecause};
use futures_util::StreamExt;

use super::{
    carry::{self, AnyWay},
    keys,
    known::KnownDevice,
    network,
    pass::{self, Passes},
    path::{PathKind, PathTry},
    race::{Attempt, race},
    session::Session,
    store::Store,
};
use crate::{Error, Foreman};

/// What a path that works for others may try alone.
const HEAD_START_OF_THE_SAME: Duration = Duration::from_millis(150);

/// How many announced addresses are tried beside each other.
const ANNOUNCED_AT_ONCE: usize = 8;

/// How a device is looked for; the defaults suit people.
#[derive(Debug, Clone)]
pub struct DeviceOptions {
    /// Only these paths; all when absent.
    pub only: Option<Vec<PathKind>>,
    /// The identity that the device has to have, as `foreman-agent status` shows it there; any at a first meeting when
    /// absent.
    pub identity: Option<String>,
    /// Ask the local network by multicast.
    pub mdns: bool,
    /// Whether the server may speak for this client when it has no right of its own on the device.
    pub through_server: bool,
    pub pace: Pace,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self { only: None, identity: None, mdns: true, through_server: true, pace: Pace::default() }
    }
}

impl DeviceOptions {
    /// Whether the way through the server was asked for by name.
    fn names_server(&self) -> bool {
        self.only.as_ref().is_some_and(|only| only.contains(&PathKind::Server))
    }

    /// Why no path is to be looked for, when only the server is left.
    pub(super) fn without_link(&self) -> Option<Error> {
        let only = self.only.as_deref()?;
        let message = "nothing but the way through the server was asked for".to_owned();
        only.iter().all(|kind| *kind == PathKind::Server).then_some(Error::Unreachable { message })
    }
}

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two measurements of the path in use.
    pub ping: Duration,
    /// A path that does not answer a measurement for so long is dead.
    pub patience: Duration,
    /// The same, after the network changed.
    pub patience_after_change: Duration,
    /// Between two looks for a better path.
    pub look: Duration,
    /// Before the first one.
    pub first_look: Duration,
    /// How long one way to the device may take to open.
    pub dial: Duration,
    /// How long connecting to an address on the local network may take.
    pub connect: Duration,
    /// How long a request waits for a path.
    pub request: Duration,
    /// The same, when every way was tried and none has ever led there.
    pub request_in_vain: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ping: Duration::from_secs(5),
            patience: Duration::from_secs(5),
            patience_after_change: Duration::from_millis(1500),
            look: Duration::from_secs(30),
            first_look: Duration::from_secs(1),
            dial: Duration::from_secs(10),
            connect: Duration::from_secs(3),
            request: Duration::from_secs(15),
            request_in_vain: Duration::from_secs(2),
        }
    }
}

/// A place where the device may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub kind: PathKind,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `address:port`
    Tcp(String),
    /// Whoever announces the device on the local network.
    Announced,
    /// The name of its Cloudflare Tunnel.
    Tunnel(String),
    /// A WebSocket by its address.
    WebSocket(String),
}

impl Candidate {
    /// For people.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Tcp(address) | Place::WebSocket(address) => address.clone(),
            Place::Tunnel(hostname) => pass::address(hostname),
            Place::Announced => "announced by mDNS".to_owned(),
        }
    }
}

/// Why one place did not work.
#[derive(Debug)]
pub(super) struct Miss {
    candidate: Candidate,
    message: String,
    /// The device itself said no: no other path would help.
    refused: Option<RefusedBecause>,
}

/// What went wrong, and whether it was the device itself that said no.
type Missed = (String, Option<RefusedBecause>);

const fn unsaid(message: String) -> Missed {
    (message, None)
}

/// Opens a session over a way that may lead to the device.
async fn greet(
    candidate: &Candidate,
    way: AnyWay,
    keys: &ClientKeys,
    hello: &Hello,
) -> Result<Session, Missed> {
    let (sealed, welcome) = match channel::connect(way, keys, hello).await {
        Ok(open) => open,
        Err(ConnectError::Refused(because)) => return Err((keys::sentence(because), Some(because))),
        Err(error) => return Err(unsaid(error.to_string())),
    };
    let client = h2::Client::start(sealed).await.map_err(|error| unsaid(error.to_string()))?;
    Ok(Session::new(candidate.clone(), welcome.level, client))
}

/// No path led to the device.
#[derive(Debug)]
pub(super) struct Unreached {
    misses: Vec<Miss>,
    /// What the device said, when it was reached and refused.
    pub refused: Option<Error>,
}

impl Unreached {
    /// Why the device itself said no.
    fn because(&self) -> Option<RefusedBecause> {
        self.misses.iter().filter_map(|miss| miss.refused).find(|because| keys::is_final(*because))
    }
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.misses.is_empty() {
            return f.write_str("no way to the device is known: it told no address, and no server is known");
        }
        f.write_str("the device cannot be reached")?;
        for (index, miss) in self.misses.iter().enumerate() {
            let (kind, address) = (miss.candidate.kind, miss.candidate.address());
            let before = if index == 0 { ": " } else { "; " };
            write!(f, "{before}{kind} ({address}): {}", miss.message)?;
        }
        Ok(())
    }
}

/// Everything needed to call one device.
pub(super) struct Dialer {
    device: RwLock<KnownDevice>,
    key: LinkSecret,
    store: Option<Store>,
    pub server: Option<Foreman>,
    options: DeviceOptions,
    passes: Passes,
    pub carrier: carrier::Dialer,
}

impl Dialer {
    pub fn new(
        device: KnownDevice,
        key: LinkSecret,
        store: Option<Store>,
        server: Option<Foreman>,
        options: DeviceOptions,
    ) -> Result<Self, Error> {
        let carrier = carrier::Dialer::from_environment()?;
        let passes = Passes::new(device.id, store.clone(), server.clone());
        Ok(Self { device: RwLock::new(device), key, store, server, options, passes, carrier })
    }

    /// While the server answers: gets what the device's tunnel will want to see when it does not.
    pub async fn look_ahead(&self) {
        self.passes.look_ahead(self.device().tunnel_hostname.as_deref()).await;
    }

    pub fn device(&self) -> KnownDevice {
        self.device.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub const fn pace(&self) -> Pace {
        self.options.pace
    }

    pub fn server_address(&self) -> String {
        self.server.as_ref().map(|server| server.url().to_owned()).unwrap_or_default()
    }

    /// All places, the preferred ones first.
    fn candidates(&self) -> Vec<Candidate> {
        let device = self.device();
        let tcp = |address: String| Candidate { kind: PathKind::Lan, place: Place::Tcp(address) };
        let ws = |kind, address| Candidate { kind, place: Place::WebSocket(address) };
        let mut all: Vec<Candidate> = device.addresses.iter().cloned().map(tcp).collect();
        if self.options.mdns {
            all.push(Candidate { kind: PathKind::Lan, place: Place::Announced });
        }
        all.extend(device.tailscale.iter().map(|name| ws(PathKind::Tailscale, format!("wss://{name}/link"))));
        let tunnel = device.tunnel_hostname.into_iter().map(Place::Tunnel);
        all.extend(tunnel.map(|place| Candidate { kind: PathKind::Cloudflare, place }));
        let relay = self.server.as_ref().map(|server| server.relay_address(device.id));
        all.extend(relay.map(|address| ws(PathKind::Relay, address)));
        if let Some(only) = &self.options.only {
            all.retain(|candidate| only.contains(&candidate.kind));
        }
        all
    }

    /// Opens a session at one place.
    async fn dial(&self, candidate: Candidate) -> Result<Session, Miss> {
        let limit = self.options.pace.dial;
        let miss = |message: String, refused| Miss { candidate: candidate.clone(), message, refused };
        match tokio::time::timeout(limit, self.dial_unbounded(&candidate)).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err((message, refused))) => Err(miss(message, refused)),
            Err(_) => Err(miss(format!("no answer within {} s", limit.as_secs()), None)),
        }
    }

    async fn dial_unbounded(&self, candidate: &Candidate) -> Result<Session, Missed> {
        let (keys, hello) = self.introduction(candidate.kind)?;
        let way = match &candidate.place {
            Place::Tcp(address) => self.tcp(address).await?,
            Place::Announced => return self.first_announced(candidate, &keys, &hello).await,
            Place::Tunnel(hostname) => self.passes.through(&self.carrier, hostname).await.map_err(unsaid)?,
            Place::WebSocket(address) => {
                let headers = match candidate.kind {
                    PathKind::Relay => self.server.as_ref().map(Foreman::headers).unwrap_or_default(),
                    _ => Default::default(),
                };
                let opened = carry::web_socket(&self.carrier, address, headers).await;
                opened.map_err(|error| unsaid(error.to_string()))?
            }
        };
        greet(candidate, way, &keys, &hello).await
    }

    /// Who calls, whom, and by which right.
    fn introduction(&self, kind: PathKind) -> Result<(ClientKeys, Hello), Missed> {
        let device = self.device();
        let (identity, link_key) = device.keys().map_err(|error| unsaid(error.to_string()))?;
        let grant = device.grant.ok_or_else(|| unsaid("this client has no grant for it".to_owned()))?;
        let keys = ClientKeys { secret: self.key.clone(), device: identity, link_key };
        Ok((keys, Hello::new(grant, kind.as_str())))
    }

    async fn tcp(&self, address: &str) -> Result<AnyWay, Missed> {
        let limit = self.options.pace.connect;
        let connected = tokio::time::timeout(limit, carry::tcp(address)).await;
        let silent = |_| unsaid(format!("no answer within {} s", limit.as_secs()));
        connected.map_err(silent)?.map_err(|error| unsaid(error.to_string()))
    }

    /// Some of what is announced may lead nowhere, or to somebody else: only the device itself ends the search.
    async fn first_announced(
        &self,
        candidate: &Candidate,
        keys: &ClientKeys,
        hello: &Hello,
    ) -> Result<Session, Missed> {
        let announced = network::announced(self.device().id).map_err(unsaid)?;
        let dialled = announced.map(|address| async move {
            let way = self.tcp(&address.to_string()).await?;
            greet(candidate, way, keys, hello).await
        });
        let mut dialled = pin!(dialled.buffer_unordered(ANNOUNCED_AT_ONCE));
        let mut last = unsaid("it does not announce itself on this network".to_owned());
        while let Some(outcome) = dialled.next().await {
            match outcome {
                Err(missed) if missed.1.is_none() => last = missed,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// A session over the best path that answers; only over ones better than `better_than`, when given.
    pub async fn race(&self, better_than: Option<PathKind>) -> Result<Session, Unreached> {
        let fit = self.candidates().into_iter().filter(|one| better_than.is_none_or(|than| one.kind < than));
        self.race_among(fit.map(|candidate| (candidate.kind.head_start(), candidate)).collect()).await
    }

    /// A session for one use of its own: where another one works already, else over any path.
    pub async fn another(&self, like: Option<Candidate>) -> Result<Session, Unreached> {
        let Some(like) = like else { return self.race(None).await };
        let others = self.candidates().into_iter().filter(|one| *one != like);
        let others = others.map(|one| (one.kind.head_start() + HEAD_START_OF_THE_SAME, one));
        let all = std::iter::once((Duration::ZERO, like.clone())).chain(others);
        self.race_among(all.collect()).await
    }

    async fn race_among(&self, candidates: Vec<(Duration, Candidate)>) -> Result<Session, Unreached> {
        self.renew();
        let attempts = candidates.into_iter().map(|(start, candidate)| {
            let attempt: Attempt<'_, Session, Miss> = Box::pin(self.dial(candidate));
            (start, attempt)
        });
        let is_final = |miss: &Miss| miss.refused.is_some_and(keys::is_final);
        race(attempts.collect(), is_final).await.map_err(|misses| {
            let mut unreached = Unreached { misses, refused: None };
            unreached.refused =
                unreached.because().map(|because| keys::refusal(&self.device().name, because));
            unreached
        })
    }

    /// Tries every way, for people to see.
    pub async fn survey(&self) -> Vec<PathTry> {
        let tries = self.candidates().into_iter().map(|candidate| async {
            let (kind, address) = (candidate.kind, candidate.address());
            let outcome = match self.dial(candidate).await {
                Ok(session) => session.ping(self.options.pace.patience).await,
                Err(miss) => Err(miss.message),
            };
            PathTry { kind, address, outcome }
        });
        futures_util::future::join_all(tries).await
    }

    /// Asks the server for a newer link key and newer addresses; without one all stays as it is.
    pub async fn refresh(&self) {
        let Some(server) = &self.server else { return };
        let id = self.device().id;
        let asked = tokio::time::timeout(Duration::from_secs(5), server.device(id)).await;
        let Ok(Ok(told)) = asked else { return };
        self.change(|device| {
            // What is not believed changes nothing, and what is known goes on being tried.
            let _ = device.learn(&told);
        });
    }

    fn change(&self, change: impl FnOnce(&mut KnownDevice)) {
        let mut device = self.device.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = device.grant.clone();
        change(&mut device);
        // What becomes of a key that was replaced meanwhile says nothing of the new one.
        let is_current =
            |store: &&Store| store.client_key().is_ok_and(|current| current.public() == self.key.public());
        if let Some(store) = self.store.as_ref().filter(is_current) {
            // Another program took a right from somebody's hand meanwhile: there may be no other copy of it.
            let taken = store.device(device.id).ok().flatten();
            if let Some(taken) = taken.filter(|taken| taken.grant.is_some() && taken.grant != before) {
                device.grant = taken.grant;
                device.refused_at = taken.refused_at;
            }
            // Kept for the next time only; this time it is in memory.
            let _ = store.keep(&device);
        }
    }

    /// Takes this user's own right in place of another one that the device refused, or of an own one that ran out: a
    /// server that hands out rights worth nothing must not get to speak for this client by that, nor by waiting. `false`
    /// when there is no other one to try.
    pub fn with_own_right(&self, unreached: &Unreached) -> bool {
        let Some(Ok(issuer)) = self.store.as_ref().map(Store::owner_key) else { return false };
        let device = self.device();
        let ran_out = unreached.because() == Some(RefusedBecause::Expired) && !keys::is_fresh(&device);
        if (keys::is_own(&issuer, &device) && !ran_out) || keys::refused_lately(&device) {
            return false;
        }
        self.sign_own(&issuer);
        true
    }

    /// Takes up a right that was kept for this client after its last one was refused.
    pub fn has_right_again(&self) -> bool {
        let id = self.device().id;
        let kept = self.store.as_ref().and_then(|store| store.device(id).ok().flatten());
        let Some(grant) = kept.and_then(|kept| kept.grant) else { return false };
        self.device.write().unwrap_or_else(std::sync::PoisonError::into_inner).grant = Some(grant);
        true
    }

    /// Signs this user's own right anew before it runs out.
    fn renew(&self) {
        let device = self.device();
        if keys::is_half_over(&device)
            && let Some(Ok(issuer)) = self.store.as_ref().map(Store::owner_key)
            && keys::is_own(&issuer, &device)
        {
            self.sign_own(&issuer);
        }
    }

    fn sign_own(&self, issuer: &Issuer) {
        self.change(|device| device.grant = Some(keys::own_grant(issuer, device, &self.key.public())));
    }

    /// Why the server speaks for this client from now on; `None` when it may not. The grant that was refused is not
    /// used again.
    pub fn without_link(&self, refused: &Error) -> Option<String> {
        self.change(|device| {
            device.grant = None;
            device.refused_at = Some(keys::now());
        });
        self.may_use_server().then(|| refused.to_string())
    }

    /// Whether what began sealed may go on where the server can read it.
    pub fn may_unseal(&self) -> bool {
        self.may_use_server() && self.options.names_server()
    }

    pub const fn may_use_server(&self) -> bool {
        self.options.through_server && self.server.is_some()
    }
}
