//! One device, reached over whatever path is best: sealed end to end where this client has a right on it, through the
//! server where it has not.
//!
//! A [`DeviceConnection`] keeps the path by itself. Requests that ask are sent again over the next path when one dies,
//! streams and transfers resume where they stood, terminals lose no byte. With a device's record kept
//! ([`KnownDevice`] in a [`Store`]) no server is needed. What a caller may do is decided on the device.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use foreman_client::{DeviceConnection, DeviceOptions, Foreman, Store};
//!
//! let store = Store::of_this_user()?;
//! let foreman = Foreman::from_env()?;
//! let id = "0199aa00-0000-7000-8000-000000000000".parse()?;
//! let device = DeviceConnection::open(&store, Some(&foreman), id, DeviceOptions::default()).await?;
//! let hello = device.hello().await?;
//! println!("{} over {:?}: {:?}", hello.name, device.path().kind, hello.level);
//! # Ok(())
//! # }
//! ```
//!
//! This module must not know user interfaces or what is done with what it brings.

mod ask;
mod attached;
mod carry;
mod dial;
mod exchange;
mod files;
mod forward;
mod frames;
mod keeper;
mod keys;
mod known;
mod logs;
mod network;
mod open;
mod pass;
mod path;
mod race;
mod session;
mod sse;
mod store;
mod taking_back;
mod tasks;
mod terminals;
mod transfer;

use std::sync::Arc;

use foreman_protocol::DeviceHello;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use ask::{Answer, Ask};
use dial::Dialer;
use keeper::{Reach, Standing};
use session::Session;

pub use attached::{AttachOptions, AttachedTerminal, TerminalInput, TerminalUpdate};
pub use dial::{DeviceOptions, Pace};
pub use files::{FileSearch, SearchUpdate};
pub use forward::ForwardStream;
pub use keys::{NewGrant, make_grant};
pub use known::{KnownDevice, NotBelieved};
pub use logs::{LogFilter, LogUpdate, MetricsUpdate};
pub use open::OpenError;
pub use path::{PathKind, PathState, PathTry};
pub use store::{Listing as DeviceListing, SignIn, Store, StoreError, Untold};
pub use taking_back::{TakenBack, take_back};
pub use tasks::TaskOutputUpdate;
pub use transfer::{Downloaded, Transfer};

use crate::{Error, Foreman};

/// How often a request that only asks is sent again when its path dies under it.
const TRIES: usize = 3;

/// A device and the way to it. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct DeviceConnection(Arc<Inner>);

struct Inner {
    reach: Arc<Reach>,
    _keeper: Option<AbortOnDropHandle<()>>,
}

/// What carries a request.
enum Route {
    Link(Arc<Session>),
    Server(Foreman),
}

impl DeviceConnection {
    /// With everything given. `device.grant` has to be there, or requests go through the server.
    ///
    /// # Errors
    /// When the system's certificates or the environment's proxies cannot be used.
    pub fn new(
        device: KnownDevice,
        key: foreman_link::grant::LinkSecret,
        store: Option<Store>,
        server: Option<Foreman>,
        options: DeviceOptions,
    ) -> Result<Self, Error> {
        let no_grant = device.grant.is_none().then(|| keys::no_grant(&device.name));
        let without_link = no_grant.or_else(|| options.without_link());
        let reach = Arc::new(Reach::new(Dialer::new(device, key, store, server, options)?));
        let _keeper = match without_link {
            None => Some(AbortOnDropHandle::new(tokio::spawn(keeper::keep(reach.clone())))),
            Some(why) => {
                reach.begin_without_link(why);
                None
            }
        };
        Ok(Self(Arc::new(Inner { reach, _keeper })))
    }

    /// How the device is reached now.
    #[must_use]
    pub fn path(&self) -> PathState {
        self.0.reach.state.borrow().clone()
    }

    /// The same, and each change of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<PathState> {
        self.0.reach.state.subscribe()
    }

    /// What is known of the device.
    #[must_use]
    pub fn known(&self) -> KnownDevice {
        self.0.reach.dialer.device()
    }

    /// Looks at the path now: the machine woke up, or a network came or went.
    pub fn network_changed(&self) {
        self.0.reach.wake.notify_one();
    }

    /// Tries every way to the device, and measures those that work.
    pub async fn survey(&self) -> Vec<PathTry> {
        self.0.reach.dialer.survey().await
    }

    /// Who the device is, what this client may do there, and what the device allows.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn hello(&self) -> Result<DeviceHello, Error> {
        self.json(Ask::get("/hello")).await
    }

    fn reach(&self) -> &Reach {
        &self.0.reach
    }

    /// The way there, as soon as there is one.
    async fn route(&self) -> Result<Route, Error> {
        if let Standing::Link(session) = &*self.0.reach.standing.borrow()
            && !session.is_over()
        {
            return Ok(Route::Link(Arc::clone(session)));
        }
        let mut standing = self.0.reach.standing.subscribe();
        let usable = standing.wait_for(|now| match now {
            Standing::Searching(_) | Standing::Nowhere(_) => false,
            Standing::Link(session) => !session.is_over(),
            Standing::Server(_) | Standing::Refused(_) => true,
        });
        let Pace { request: limit, request_in_vain, .. } = self.0.reach.dialer.pace();
        let mut tried = self.0.reach.standing.subscribe();
        let in_vain = async {
            let _ = tried.wait_for(|now| matches!(now, Standing::Nowhere(_))).await;
            tokio::time::sleep(request_in_vain).await;
        };
        tokio::select! {
            _ = usable => {}
            () = in_vain => {}
            () = tokio::time::sleep(limit) => {}
        }
        let now = self.0.reach.standing.borrow().clone();
        match (now, &self.0.reach.dialer.server) {
            (Standing::Link(session), _) => Ok(Route::Link(session)),
            (Standing::Server(_), Some(server)) => Ok(Route::Server(server.clone())),
            (Standing::Refused(error), _) => Err(error),
            (Standing::Searching(Some(why)) | Standing::Nowhere(why), _) => {
                Err(Error::Unreachable { message: why })
            }
            _ => {
                let message = format!("no path to the device was found within {} s", limit.as_secs());
                Err(Error::Unreachable { message })
            }
        }
    }

    /// Sends once over the best path.
    async fn send(&self, ask: Ask) -> Result<Answer, Error> {
        match self.route().await? {
            Route::Link(session) => session.send(ask).await?.success().await,
            Route::Server(server) => ask.through(&server, self.known().id).await?.success().await,
        }
    }

    /// The whole answer to a request that may be sent again without doing a thing twice.
    async fn json<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Error> {
        let limit = self.0.reach.dialer.pace().request;
        let mut tries = TRIES;
        loop {
            tries -= 1;
            // Only what was lost on its way is sent again: to wait for a path once is enough.
            self.route().await?;
            let Some(next) = ask.again() else { return self.once(ask).await };
            let answer = async { self.send(next).await?.json().await };
            match tokio::time::timeout(limit * 2, answer).await {
                Ok(Err(Error::Unreachable { .. })) if tries > 0 => {}
                Ok(outcome) => return outcome,
                Err(_) => return Err(no_answer()),
            }
        }
    }

    /// The whole answer to a request that does something: when its path dies under it, nobody knows whether it was
    /// done, and that is what the error says.
    async fn once<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Error> {
        let limit = self.0.reach.dialer.pace().request;
        // Without a path nothing was sent, which is worth saying as it is.
        self.route().await?;
        let answer = async { self.send(ask).await?.json().await };
        match tokio::time::timeout(limit * 2, answer).await {
            Ok(Err(Error::Unreachable { message })) => Err(Error::Unreachable {
                message: format!("{message}; whether it was done is not known: look before you try again"),
            }),
            Ok(outcome) => outcome,
            Err(_) => Err(no_answer()),
        }
    }

    /// The same for answers without a body.
    async fn done(&self, ask: Ask) -> Result<(), Error> {
        let limit = self.0.reach.dialer.pace().request;
        match tokio::time::timeout(limit * 2, self.send(ask)).await {
            Ok(outcome) => outcome.map(drop),
            Err(_) => Err(no_answer()),
        }
    }
}

fn no_answer() -> Error {
    Error::Unreachable {
        message: "the device did not answer in time; what was asked may still happen".to_owned(),
    }
}
