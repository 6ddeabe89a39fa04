//! What time it is where rights end: never earlier than this device knew it to be.
//!
//! A board without a battery starts in 1970, and would let in whoever had a right that ended years ago. So the time is
//! written down now and then. Only a clock that nobody has set for a while is believed so far: one that starts in the
//! future and is corrected by the network soon after would otherwise end every right for good.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use foreman_machine::run::Moment;
use foreman_protocol::Millis;

use crate::state::replace_file;

/// How far the time that is written down may lag behind; a flash card lasts longer with few writes.
const KEPT_EVERY: Millis = 3_600_000;
/// A clock that nobody has set for this long is right.
const SETTLED: Duration = Duration::from_secs(600);
/// Clocks drift, and are drawn right in small steps.
const DRIFT: Millis = 60_000;

/// See the module.
#[derive(Debug)]
pub struct Clock {
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// It is not earlier than this; zero before anything was written down.
    mark: Millis,
    /// What the clock said when it was last set, and when that was.
    set: (Millis, Instant),
}

impl Clock {
    /// With what an earlier life wrote down at this place.
    pub(super) fn new(path: PathBuf) -> Self {
        let (mark, wall) = (kept(&path).unwrap_or_default(), wall());
        if wall + DRIFT < mark {
            tracing::warn!(
                path = %path.display(), clock_ms = wall, known_ms = mark,
                "this machine's clock is earlier than it was: what ended by the later time has ended. Set the clock; if \
                 the later time was wrong, remove the file and start the agent again"
            );
        }
        Self { path, seen: Mutex::new(Seen { mark, set: (wall, Instant::now()) }) }
    }

    pub(super) fn now(&self) -> Millis {
        wall().max(self.seen().mark)
    }

    /// Writes down how late it is, when that is due.
    pub(super) fn look(&self) {
        let Some(mark) = self.due(wall(), Instant::now()) else { return };
        match replace_file(&self.path, mark.to_string().as_bytes(), false) {
            Ok(()) => self.seen().mark = mark,
            Err(error) => tracing::debug!(%error, "the time cannot be written down; this is tried again"),
        }
    }

    fn due(&self, wall: Millis, now: Instant) -> Option<Millis> {
        let mut seen = self.seen();
        let (said, at) = seen.set;
        let passed = Millis::try_from(now.duration_since(at).as_millis()).unwrap_or(Millis::MAX);
        if wall.abs_diff(said.saturating_add(passed)) > DRIFT.unsigned_abs() {
            seen.set = (wall, now);
            return None;
        }
        let settled = now.duration_since(at) >= SETTLED;
        (settled && wall >= seen.mark.saturating_add(KEPT_EVERY)).then_some(wall)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How late it was when that was last written down.
pub(crate) fn kept(path: &Path) -> Option<Millis> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn wall() -> Millis {
    Moment::now().wall_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Millis = 3_600_000;

    #[test]
    fn a_clock_that_was_set_back_does_not_turn_back_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link-time");
        assert!(Clock::new(path.clone()).now().abs_diff(wall()) < 5_000, "nothing is known yet");
        let later = wall() + 24 * HOUR;
        fs::write(&path, later.to_string()).unwrap();
        assert_eq!(Clock::new(path.clone()).now(), later);
        fs::write(&path, "1000").unwrap();
        assert!(Clock::new(path.clone()).now() >= wall() - 5_000, "a clock that is right is right");
        fs::write(&path, "damaged").unwrap();
        assert!(Clock::new(path).now() >= wall() - 5_000);
    }

    #[test]
    fn only_a_clock_that_nobody_set_for_a_while_is_written_down_and_seldom() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::new(dir.path().join("link-time"));
        let (start, begin) = clock.seen().set;
        let after = |seconds: u64| begin + Duration::from_secs(seconds);
        let said = |seconds: i64| start + seconds * 1_000;
        assert_eq!(clock.due(said(5), after(5)), None, "it has only just begun");
        // Decades ahead at the start, and corrected after five minutes.
        assert_eq!(clock.due(said(1 << 30), after(10)), None);
        assert_eq!(clock.due(said(300), after(300)), None);
        assert_eq!(clock.due(said(620), after(620)), None, "it was set less than ten minutes ago");
        assert_eq!(clock.due(said(900), after(900)), Some(said(900)));
        clock.seen().mark = said(900);
        assert_eq!(clock.due(said(4_000), after(4_000)), None, "an hour has not passed");
        assert_eq!(clock.due(said(4_500), after(4_500)), Some(said(4_500)));
    }

    #[test]
    fn what_is_due_is_on_the_disk_for_the_next_life() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link-time");
        let clock = Clock::new(path.clone());
        clock.look();
        assert_eq!(kept(&path), None);
        clock.seen().set = (wall() - 700_000, Instant::now().checked_sub(Duration::from_secs(700)).unwrap());
        clock.look();
        let written = kept(&path).unwrap();
        assert!(written.abs_diff(wall()) < 5_000);
        assert!(Clock::new(path).now() >= written);
    }
}
