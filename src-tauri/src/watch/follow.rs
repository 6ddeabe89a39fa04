//! One server, followed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use foreman_client::{
    Error, Foreman, Mirror, Turn,
    app::{
        ServerId,
        notices::{Book, Deed, Words},
    },
};
use foreman_protocol::{Device, Event};
use tauri::{AppHandle, Manager};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{Fleet, Nudge, diary::Diary};
use crate::{
    desk::{Desk, unpoisoned},
    notify::{self, Name},
};

/// What happens within this time is looked at together, so that what comes and goes at once says nothing.
const SETTLE: Duration = Duration::from_millis(400);
/// How often the screen is compared with what a person looks at, and with quiet hours, while there is something to
/// compare.
const COMPARE: Duration = Duration::from_secs(2);
/// Before a snapshot that failed is asked for again.
const AGAIN: Duration = Duration::from_secs(5);

pub struct Following {
    pub app: AppHandle,
    pub server: ServerId,
    pub foreman: Foreman,
    pub book: Arc<Mutex<Book>>,
    pub fleet: Arc<Mutex<Fleet>>,
}

impl Following {
    /// Until the server refuses the bearer.
    pub async fn run(mut self, mut nudges: watch::Receiver<(u64, Nudge)>) {
        let mut live = self.foreman.live();
        let mut compare = interval(COMPARE);
        compare.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut settle_at: Option<Instant> = None;
        let mut lost = false;
        let mut diary = Diary::default();
        let refused = loop {
            let busy = {
                let book = unpoisoned(&self.book);
                book.has_shown() || book.is_due()
            };
            tokio::select! {
                turn = live.next() => match turn.inspect(|turn| diary.heard(turn)) {
                    Err(error) if is_refused(error.status()) => break error.status(),
                    Err(_) => {
                        lost = true;
                        self.say(Fleet::default());
                        tokio::time::sleep(AGAIN).await;
                    }
                    Ok(Turn::Lost { error, .. }) if is_refused(error.status()) => break error.status(),
                    Ok(Turn::Lost { .. }) => {
                        lost = true;
                        self.say(Fleet { live: false, ..Fleet::of(live.mirror()) });
                        self.write(&mut diary, live.mirror()).await;
                    }
                    Ok(Turn::Sample(_)) => {}
                    Ok(turn) => {
                        if lost || matches!(turn, Turn::Snapshot | Turn::Resumed) {
                            self.app.state::<Desk>().outbox.nudge();
                        }
                        lost = false;
                        if let Err(error) = self.take(turn, live.mirror()).await {
                            tracing::debug!(%error, "how a task ended could not be asked");
                        }
                        settle_at.get_or_insert(Instant::now() + SETTLE);
                    }
                },
                () = sleep_until(settle_at.unwrap_or_else(Instant::now)), if settle_at.is_some() => {
                    settle_at = None;
                    self.settle().await;
                }
                () = sleep_until(diary.due().unwrap_or_else(Instant::now)), if diary.due().is_some() => {
                    self.write(&mut diary, live.mirror()).await;
                }
                _ = compare.tick(), if busy && settle_at.is_none() => self.settle().await,
                changed = nudges.changed() => {
                    if changed.is_err() {
                        break None;
                    }
                    let (_, nudge) = *nudges.borrow_and_update();
                    if nudge == Nudge::Slept || lost {
                        live.reopen();
                        self.foreman = live.foreman().clone();
                    }
                }
            }
        };
        let signed_out = refused == Some(401);
        if signed_out {
            self.app.state::<Desk>().forget_known(&self.server).await;
        }
        self.say(Fleet { signed_out, ..Fleet::default() });
        let deeds = unpoisoned(&self.book).close();
        self.act(deeds).await;
    }

    async fn take(&self, turn: Turn, mirror: &Mirror) -> Result<(), Error> {
        if may_have_lost_a_device(&turn) {
            let there = mirror.devices.keys().copied().collect();
            self.app.state::<Desk>().forget_passes(&self.server, &there);
        }
        for device in told_of(&turn, mirror) {
            self.app.state::<Desk>().hear(device);
        }
        match turn {
            Turn::Snapshot => {
                let missed = unpoisoned(&self.book).snapshot(&mirror.devices, &mirror.tasks);
                for id in missed {
                    let task = self.foreman.task(id).await?;
                    unpoisoned(&self.book).task(&task);
                }
            }
            Turn::Event(record) => unpoisoned(&self.book).event(&record),
            Turn::Resumed | Turn::Sample(_) | Turn::Lost { .. } => {}
        }
        self.say(Fleet::of(mirror));
        Ok(())
    }

    async fn write(&self, diary: &mut Diary, mirror: &Mirror) {
        diary.write(&self.app.state::<Desk>(), &self.server, mirror).await;
    }

    fn say(&self, fleet: Fleet) {
        let before = std::mem::replace(&mut *unpoisoned(&self.fleet), fleet.clone());
        if before != fleet {
            crate::shell::say_again(&self.app);
        }
    }

    async fn settle(&self) {
        let desk = self.app.state::<Desk>();
        let rules = desk.preferences().get().notices(&self.server);
        let front = self.front(&desk);
        let deeds = {
            let mut book = unpoisoned(&self.book);
            let mut deeds = front.as_deref().map(|page| book.seen(page)).unwrap_or_default();
            deeds.extend(book.settle(&rules, minute_of_day(), front.as_deref()));
            deeds
        };
        self.act(deeds).await;
    }

    /// The page of this server that a person has before them.
    fn front(&self, desk: &Desk) -> Option<String> {
        if desk.selected().ok()?.id != self.server {
            return None;
        }
        let window = self.app.get_webview_window("main")?;
        let seen = window.is_visible().ok()? && window.is_focused().ok()?;
        seen.then(|| window.url().ok()).flatten().map(|url| url.path().to_owned())
    }

    async fn act(&self, deeds: Vec<Deed>) {
        let desk = self.app.state::<Desk>();
        let name = desk.servers().get(&self.server).map(|server| server.name.clone()).unwrap_or_default();
        let words = Words::of(desk.preferences().get().language.unwrap_or_default());
        for deed in deeds {
            let (subject, card) = match deed {
                Deed::Withdraw(subject) => {
                    desk.screen.withdraw(&Name::Thing(self.server.clone(), subject)).await;
                    continue;
                }
                Deed::Show(notice) => (notice.subject, notify::of(words, &name, &notice)),
                Deed::ShowMany(count) => {
                    (foreman_client::app::notices::Subject::Many, notify::of_many(words, &name, count))
                }
            };
            if let Err(failure) = desk.screen.show(Name::Thing(self.server.clone(), subject), &card).await {
                tracing::warn!(reason = failure.message, "a notification was not shown");
                unpoisoned(&self.book).put_away(subject);
            }
        }
    }
}

fn may_have_lost_a_device(turn: &Turn) -> bool {
    match turn {
        Turn::Snapshot => true,
        Turn::Event(record) => matches!(record.event, Event::DeviceDeleted { .. }),
        Turn::Resumed | Turn::Sample(_) | Turn::Lost { .. } => false,
    }
}

/// The devices that something new may be said of.
fn told_of<'a>(turn: &Turn, mirror: &'a Mirror) -> Vec<&'a Device> {
    match turn {
        Turn::Snapshot => mirror.devices.values().collect(),
        Turn::Event(record) => {
            record.event.device_id().and_then(|id| mirror.devices.get(&id)).into_iter().collect()
        }
        Turn::Resumed | Turn::Sample(_) | Turn::Lost { .. } => Vec::new(),
    }
}

/// Signed out elsewhere: trying again would change nothing.
const fn is_refused(status: Option<u16>) -> bool {
    matches!(status, Some(401 | 403))
}

fn minute_of_day() -> u16 {
    let now = jiff::Zoned::now();
    u16::try_from(i16::from(now.hour()) * 60 + i16::from(now.minute())).unwrap_or_default()
}
