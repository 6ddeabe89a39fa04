//! Follows every server that this app is signed in to, whether its window shows it or not: one subscription each, from
//! which come notifications and what the tray says.

mod diary;
mod follow;
mod touched;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use foreman_client::{
    Mirror,
    app::{
        KnownServer, ServerId,
        notices::{Book, Deed, Subject},
    },
};
use foreman_protocol::{DeviceId, DeviceStatus};
use tauri::{AppHandle, Manager};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};

use crate::{
    desk::{Desk, unpoisoned},
    notify::Name,
};

pub use touched::heed;

/// How often it is looked whether the machine slept.
const LOOK: Duration = Duration::from_secs(5);
/// The two clocks differ by more than this only when one of them stood still.
const SLEPT: Duration = Duration::from_secs(10);
/// Every so many looks a server that could not be followed is tried again: its keychain may be open by now.
const RETRY_EACH: u32 = 12;

/// Why a subscription should look at its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nudge {
    /// Nothing is known of the connection any more.
    Slept,
    /// The window came to the front: who waits to try again tries now.
    Front,
}

/// One server as the tray says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    pub live: bool,
    /// The server took this app's sign-in back.
    pub signed_out: bool,
    pub devices: usize,
    pub online: usize,
    pub running: usize,
    /// What went away, by name.
    pub offline: Vec<(String, DeviceId)>,
}

impl Fleet {
    fn of(mirror: &Mirror) -> Self {
        let with = |status| mirror.devices.values().filter(move |device| device.status == status);
        Self {
            live: true,
            signed_out: false,
            devices: mirror.devices.len(),
            online: with(DeviceStatus::Online).count(),
            running: mirror.tasks.values().filter(|task| !task.state.is_final()).count(),
            offline: with(DeviceStatus::Offline).map(|device| (device.name.clone(), device.id)).collect(),
        }
    }
}

struct Followed {
    task: AbortHandle,
    book: Arc<Mutex<Book>>,
    /// For the tray.
    #[cfg(desktop)]
    fleet: Arc<Mutex<Fleet>>,
}

/// What is followed right now.
pub struct Watch {
    running: Mutex<HashMap<ServerId, Followed>>,
    /// What has to go from the screen because its server is followed no longer.
    closing: Mutex<Vec<Name>>,
    changed: Notify,
    nudge: watch::Sender<(u64, Nudge)>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            closing: Mutex::default(),
            changed: Notify::new(),
            nudge: watch::Sender::new((0, Nudge::Front)),
        }
    }
}

impl Watch {
    /// A server has another bearer, or none: what was followed with the old one ends.
    pub fn again(&self, id: &ServerId) {
        if let Some(followed) = unpoisoned(&self.running).remove(id) {
            followed.task.abort();
            let gone = unpoisoned(&followed.book).close().into_iter().filter_map(|deed| match deed {
                Deed::Withdraw(subject) => Some(Name::Thing(id.clone(), subject)),
                Deed::Show(_) | Deed::ShowMany(_) => None,
            });
            unpoisoned(&self.closing).extend(gone);
        }
        self.changed.notify_one();
    }

    /// The app ends, and what ends with it is no news.
    pub fn end(&self) {
        for (_, followed) in unpoisoned(&self.running).drain() {
            followed.task.abort();
        }
    }

    /// The window came to the front.
    #[cfg(desktop)]
    pub fn front(&self) {
        self.tell(Nudge::Front);
    }

    fn tell(&self, nudge: Nudge) {
        self.nudge.send_modify(|(count, last)| (*count, *last) = (count.wrapping_add(1), nudge));
    }

    /// The state of a server that is followed.
    #[cfg(desktop)]
    pub fn fleet(&self, id: &ServerId) -> Option<Fleet> {
        unpoisoned(&self.running).get(id).map(|followed| unpoisoned(&followed.fleet).clone())
    }

    fn put_away(&self, id: &ServerId, subject: Subject) {
        if let Some(followed) = unpoisoned(&self.running).get(id) {
            unpoisoned(&followed.book).put_away(subject);
        }
    }
}

/// Follows what there is to follow, for as long as the app runs.
pub async fn keep(app: AppHandle) {
    let desk = app.state::<Desk>();
    let mut clocks = (Instant::now(), SystemTime::now());
    let mut looks = 0;
    loop {
        if looks % RETRY_EACH == 0 {
            begin_missing(&app, &desk).await;
        }
        tokio::select! {
            () = desk.watch.changed.notified() => looks = 0,
            () = tokio::time::sleep(LOOK) => {
                looks += 1;
                let now = (Instant::now(), SystemTime::now());
                if slept(clocks, now) {
                    woke(&desk);
                }
                clocks = now;
            }
        }
    }
}

/// Whatever was connected may be dead without a word: the machine slept, or a phone stopped the app for a while.
pub fn woke(desk: &Desk) {
    desk.connect_anew();
    desk.watch.tell(Nudge::Slept);
}

/// The clock of the wall goes on while a machine sleeps, the other one does not; somebody who sets the clock is taken
/// for a sleep, which harms nobody.
fn slept(before: (Instant, SystemTime), now: (Instant, SystemTime)) -> bool {
    let wall = now.1.duration_since(before.1).unwrap_or_default();
    wall > now.0.duration_since(before.0) + SLEPT
}

async fn begin_missing(app: &AppHandle, desk: &Desk) {
    let closing = std::mem::take(&mut *unpoisoned(&desk.watch.closing));
    for name in closing {
        desk.screen.withdraw(&name).await;
    }
    let known: Vec<KnownServer> = desk.servers().all().to_vec();
    for server in known {
        if unpoisoned(&desk.watch.running).contains_key(&server.id) {
            continue;
        }
        // Signed out, or a keychain that is locked: the pages say so.
        let Ok(Some(foreman)) = desk.foreman(&server).await else { continue };
        let (book, fleet) = (Arc::<Mutex<Book>>::default(), Arc::<Mutex<Fleet>>::default());
        let following = follow::Following {
            app: app.clone(),
            server: server.id.clone(),
            foreman,
            book: book.clone(),
            fleet: fleet.clone(),
        };
        let task = tokio::spawn(following.run(desk.watch.nudge.subscribe())).abort_handle();
        let followed = Followed {
            task,
            book,
            #[cfg(desktop)]
            fleet,
        };
        unpoisoned(&desk.watch.running).insert(server.id, followed);
    }
    crate::shell::say_again(app);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::Screen;

    #[test]
    fn who_follows_a_server_hears_at_once_that_the_app_was_stopped() {
        let desk = Desk::open("nowhere".into(), Screen::new().0).unwrap();
        let mut follower = desk.watch.nudge.subscribe();
        assert!(!follower.has_changed().unwrap());
        woke(&desk);
        assert!(follower.has_changed().unwrap());
        assert_eq!(follower.borrow_and_update().1, Nudge::Slept, "nothing is known of its connection");
    }

    #[test]
    fn a_machine_slept_when_only_the_wall_clock_went_on() {
        let (instant, wall) = (Instant::now(), SystemTime::now());
        let after =
            |awake, passed| (instant + Duration::from_secs(awake), wall + Duration::from_secs(passed));
        assert!(!slept((instant, wall), after(5, 5)));
        assert!(slept((instant, wall), after(5, 3_600)));
        assert!(!slept((instant, wall), (instant + Duration::from_secs(5), wall - Duration::from_secs(60))));
    }
}
