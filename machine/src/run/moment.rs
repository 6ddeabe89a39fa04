//! A point in time that can be aged across a jump of the wall clock.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::sync::OnceLock;

use foreman_protocol::Millis;
use serde::{Deserialize, Serialize};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

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
        Self { wall_ms: wall_ms(), boot_ms: system::since_boot_ms(), boot_id: boot_id().to_owned() }
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

fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(system::boot_id)
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
