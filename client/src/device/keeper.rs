//! Keeps the best live path to a device: races them, measures the one in use, looks for a better one, moves over,
//! and when a path dies goes on over the next at once, forever.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, OptionFuture};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    dial::{Dialer, Unreached},
    network,
    path::{PathKind, PathState},
    session::Session,
};
use crate::Error;

/// How a request gets to the device now.
#[derive(Clone)]
pub(super) enum Standing {
    /// No path yet, or none any more; the sentence says why.
    Searching(Option<String>),
    /// Every way was tried, and none has ever led there; the sentence says why.
    Nowhere(String),
    Link(Arc<Session>),
    /// Through the server, and why.
    Server(String),
    /// The device says no, and there is no other way.
    Refused(Error),
}

/// What the keeper and the requests share.
pub(super) struct Reach {
    pub dialer: Dialer,
    pub standing: watch::Sender<Standing>,
    pub state: watch::Sender<PathState>,
    /// Something about the network changed: look now.
    pub wake: Notify,
}

impl Reach {
    pub fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            standing: watch::Sender::new(Standing::Searching(None)),
            state: watch::Sender::default(),
            wake: Notify::new(),
        }
    }

    /// How things stand where no path is looked for.
    pub fn begin_without_link(&self, why: Error) {
        self.stand(match self.dialer.may_use_server() {
            true => Standing::Server(why.to_string()),
            false => Standing::Refused(why),
        });
    }

    fn stand(&self, standing: Standing) {
        let state = match &standing {
            Standing::Searching(why) => PathState { trouble: why.clone(), ..PathState::default() },
            Standing::Nowhere(why) => PathState { trouble: Some(why.clone()), ..PathState::default() },
            Standing::Link(session) => state_of(session),
            Standing::Server(why) => PathState {
                kind: Some(PathKind::Server),
                address: self.dialer.server_address(),
                latency: None,
                level: None,
                trouble: Some(why.clone()),
            },
            Standing::Refused(error) => {
                PathState { trouble: Some(error.to_string()), ..PathState::default() }
            }
        };
        // Whoever is told of a path and asks at once goes over that one.
        self.standing.send_replace(standing);
        self.state.send_replace(state);
    }
}

fn state_of(session: &Session) -> PathState {
    PathState {
        kind: Some(session.candidate.kind),
        address: session.candidate.address(),
        latency: session.latency(),
        level: Some(session.level),
        trouble: None,
    }
}

/// Runs until nobody wants the device any more.
pub(super) async fn keep(reach: Arc<Reach>) {
    let mut pause = Pause::default();
    let mut was_there = false;
    loop {
        match reach.dialer.race(None).await {
            Ok(session) => {
                pause = Pause::default();
                was_there = true;
                let why = hold(&reach, Arc::new(session)).await;
                reach.stand(Standing::Searching(Some(why)));
            }
            Err(unreached) if unreached.refused.is_some() && reach.dialer.with_own_right(&unreached) => {}
            Err(Unreached { refused: Some(error), .. }) => {
                reach.stand(match reach.dialer.without_link(&error) {
                    Some(why) => Standing::Server(why),
                    None => Standing::Refused(error),
                });
                // Only somebody who does something about it changes that; a network that came does not.
                loop {
                    reach.wake.notified().await;
                    if reach.dialer.has_right_again() {
                        break;
                    }
                }
            }
            Err(unreached) => {
                let why = unreached.to_string();
                reach.stand(match was_there {
                    true => Standing::Searching(Some(why)),
                    false => Standing::Nowhere(why),
                });
                reach.dialer.refresh().await;
                tokio::select! {
                    () = sleep(pause.next()) => {}
                    () = reach.wake.notified() => {}
                    () = network::changed() => {}
                }
            }
        }
    }
}

/// Holds a session, and the better ones that take its place, until the last is dead; says why.
async fn hold(reach: &Reach, first: Arc<Session>) -> String {
    let pace = reach.dialer.pace();
    let mut session = first;
    // The first look for a better path comes soon: the preferred one may have lost the race by little.
    let mut look_at = Instant::now() + pace.first_look;
    let mut ping_at = Instant::now();
    let mut better: Option<BoxFuture<'_, Result<Session, Unreached>>> = None;
    reach.stand(Standing::Link(session.clone()));
    loop {
        let urgent = tokio::select! {
            () = session.closed() => {
                session.give_up();
                return format!("the path ({}) broke off", session.candidate.kind);
            }
            Some(found) = OptionFuture::from(better.as_mut()) => {
                better = None;
                look_at = Instant::now() + pace.look;
                if let Ok(found) = found {
                    session = Arc::new(found);
                    reach.stand(Standing::Link(session.clone()));
                    ping_at = Instant::now();
                }
                continue;
            }
            () = sleep_until(look_at), if better.is_none() => {
                let than = session.candidate.kind;
                better = (than > PathKind::Lan).then(|| -> BoxFuture<'_, _> {
                    Box::pin(reach.dialer.race(Some(than)))
                });
                look_at = Instant::now() + pace.look;
                continue;
            }
            () = sleep_until(ping_at) => false,
            () = reach.wake.notified() => true,
            () = network::changed() => true,
        };
        ping_at = Instant::now() + pace.ping;
        let limit = if urgent { pace.patience_after_change } else { pace.patience };
        match session.ping(limit).await {
            Ok(_) => drop(reach.state.send_replace(state_of(&session))),
            Err(why) => {
                session.give_up();
                return format!("the path ({}) is dead: {why}", session.candidate.kind);
            }
        }
        if urgent {
            look_at = Instant::now();
        }
    }
}

/// Back-off between rounds in which no path was found: doubled from a quarter of a second to 30 s, half of it chance.
#[derive(Default)]
pub(super) struct Pause(u32);

impl Pause {
    pub fn next(&mut self) -> Duration {
        let whole = Duration::from_millis(250) * 2u32.pow(self.0.min(7));
        self.0 += 1;
        whole.min(Duration::from_secs(30)).mul_f64(0.5 + rand::random::<f64>() / 2.0)
    }
}
