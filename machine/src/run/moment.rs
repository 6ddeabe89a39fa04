//! A point in time that can be aged across a jump of the wall clock.

use std::{sync::OnceLock, time::Duration};

use foreman_protocol::Millis;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The kernel's clock that goes on while the machine sleeps, where there is one.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: ClockId = ClockId::CLOCK_MONOTONIC;

/// When something happened on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// By the wall clock, which somebody may set.
    pub wall_ms: Millis,
    /// Since this boot, which nobody can set.
    pub boot_ms: u64,
    /// Which boot; empty where the system does not say.
    pub boot_id: String,
}

impl Moment {
    #[must_use]
    pub fn now() -> Self {
        Self { wall_ms: wall_ms(), boot_ms: since_boot_ms(), boot_id: boot_id().to_owned() }
    }

    /// How long ago that was, in milliseconds: exact within one boot, by the wall clock across boots.
    #[must_use]
    pub fn ago_ms(&self) -> u64 {
        let now = Self::now();
        if self.same_boot() {
            now.boot_ms.saturating_sub(self.boot_ms)
        } else {
            u64::try_from(now.wall_ms - self.wall_ms).unwrap_or(0)
        }
    }

    /// Whether the machine has not been restarted since.
    #[must_use]
    pub fn same_boot(&self) -> bool {
        !self.boot_id.is_empty() && self.boot_id == boot_id()
    }
}

fn wall_ms() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX))
}

fn since_boot_ms() -> u64 {
    clock_gettime(SINCE_BOOT)
        .map_or(0, |time| u64::try_from(Duration::from(time).as_millis()).unwrap_or(u64::MAX))
}

fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_of_the_wall_clock_changes_no_age_within_a_boot() {
        let mut moment = Moment::now();
        if moment.boot_id.is_empty() {
            return;
        }
        moment.boot_ms -= 1_500;
        moment.wall_ms += 3_600_000;
        let ago = moment.ago_ms();
        assert!((1_500..10_000).contains(&ago), "{ago}");
    }

    #[test]
    fn across_boots_the_wall_clock_tells_and_never_the_future() {
        let mut moment = Moment::now();
        moment.boot_id = "another".to_owned();
        moment.wall_ms -= 5_000;
        assert!((5_000..20_000).contains(&moment.ago_ms()));
        moment.wall_ms += 3_600_000;
        assert_eq!(moment.ago_ms(), 0);
    }
}
