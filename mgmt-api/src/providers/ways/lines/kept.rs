//! What is at hand: connections that are open and can take a request.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::uri::{Authority, Scheme};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use tokio::{runtime::Handle, time::Instant};

use super::Line;

/// Connections kept for each provider.
const IDLE: usize = 64;
const IDLE_FOR: Duration = Duration::from_secs(90);
/// However much it is used: where a provider's name leads is looked up for new connections only.
const OLDEST: Duration = Duration::from_secs(3600);
/// Those that are too old, or were closed at the other end, are looked for this often.
pub const SWEEP_EVERY: Duration = Duration::from_secs(15);
/// Requests at a time on one connection. HTTP/2 wants no end to allow fewer, and most allow no more: what is too much
/// waits there, unseen, until another answer is over.
pub const MANY: u32 = 100;

type Sender = http2::SendRequest<Full<Bytes>>;

/// Where connections lead.
#[derive(Clone, PartialEq, Eq)]
pub struct Place(pub Scheme, pub Authority);

pub enum Found {
    Own(Line),
    Shared(Seat),
}

/// Room for one request on a connection that carries many.
pub struct Seat {
    pub sender: Sender,
    /// To be held as long as anything comes on it.
    pub taken: Arc<()>,
}

struct Shared {
    opened: Instant,
    used: Instant,
    sender: Sender,
    /// Once more for each request.
    seats: Arc<()>,
}

impl Shared {
    fn has_room(&self) -> bool {
        Arc::strong_count(&self.seats) <= MANY as usize
    }

    /// What is on its way stays on it, whether it is kept or not.
    fn is_kept(&self) -> bool {
        !self.sender.is_closed() && self.used.elapsed() < IDLE_FOR && self.opened.elapsed() < OLDEST
    }

    fn seat(&mut self) -> Seat {
        self.used = Instant::now();
        Seat { sender: self.sender.clone(), taken: Arc::clone(&self.seats) }
    }
}

/// By place: there are few.
#[derive(Default)]
pub struct Kept(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    places: Vec<(Place, AtHand)>,
    swept: bool,
}

#[derive(Default)]
struct AtHand {
    /// Those used last are at the end, and used first.
    own: Vec<(Instant, Line)>,
    shared: Vec<Shared>,
}

impl Shelf {
    fn at(&mut self, place: &Place) -> &mut AtHand {
        let known = self.places.iter().position(|(known, _)| known == place);
        let at = known.unwrap_or_else(|| {
            self.places.push((place.clone(), AtHand::default()));
            self.places.len() - 1
        });
        &mut self.places[at].1
    }
}

impl AtHand {
    fn seat(&mut self) -> Option<Seat> {
        self.shared.retain(Shared::is_kept);
        self.shared.iter_mut().find(|shared| shared.has_room()).map(Shared::seat)
    }
}

impl Kept {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take(&self, place: &Place) -> Option<Found> {
        let mut shelf = self.shelf();
        let (_, at_hand) = shelf.places.iter_mut().find(|(known, _)| known == place)?;
        if let Some(seat) = at_hand.seat() {
            return Some(Found::Shared(seat));
        }
        at_hand.own.pop().map(|(_, line)| Found::Own(line))
    }

    /// Keeps a connection that was opened for many, unless there is room on another meanwhile.
    pub fn share(self: &Arc<Self>, place: &Place, sender: Sender) -> Seat {
        let mut shelf = self.shelf();
        let at_hand = shelf.at(place);
        if let Some(seat) = at_hand.seat() {
            return seat;
        }
        let now = Instant::now();
        let mut fresh = Shared { opened: now, used: now, sender, seats: Arc::default() };
        let seat = fresh.seat();
        at_hand.shared.push(fresh);
        self.see_to_sweeping(&mut shelf);
        seat
    }

    /// Keeps a connection whose answer is over.
    pub fn give_back(self: &Arc<Self>, place: &Place, mut line: Line) {
        let now = Instant::now();
        if now.duration_since(line.opened) >= OLDEST || !line.is_free() {
            return;
        }
        let mut shelf = self.shelf();
        let own = &mut shelf.at(place).own;
        if own.len() < IDLE {
            own.push((now, line));
            self.see_to_sweeping(&mut shelf);
        }
    }

    fn see_to_sweeping(self: &Arc<Self>, shelf: &mut Shelf) {
        // Without a runtime the server itself is ending.
        let Ok(runtime) = Handle::try_current() else { return };
        if mem::replace(&mut shelf.swept, true) {
            return;
        }
        let kept = Arc::downgrade(self);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                if kept.upgrade().is_none_or(|kept| kept.sweep()) {
                    return;
                }
            }
        });
    }

    /// Whether nothing is left.
    fn sweep(&self) -> bool {
        let mut shelf = self.shelf();
        shelf.places.retain_mut(|(_, at_hand)| {
            at_hand.own.retain_mut(|(used, line)| used.elapsed() < IDLE_FOR && line.is_free());
            at_hand.shared.retain(Shared::is_kept);
            !at_hand.own.is_empty() || !at_hand.shared.is_empty()
        });
        shelf.swept = !shelf.places.is_empty();
        !shelf.swept
    }

    /// How many places there are connections to.
    #[cfg(test)]
    pub fn places(&self) -> usize {
        self.shelf().places.len()
    }
}
