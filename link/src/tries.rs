//! How long somebody waits who could not prove who they are: after ten failures in a minute a minute, and twice as long
//! each further time. The same for a device's door and for a server's.
//!
//! Time is passed in. This must not know what was tried, nor who is told.

use std::{net::IpAddr, time::Duration};

use tokio::time::Instant;

/// So many failures within [`WINDOW`] are one too many.
pub const MOST: u32 = 10;
pub const WINDOW: Duration = Duration::from_secs(60);
pub const FIRST_WAIT: Duration = Duration::from_secs(60);
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Who was quiet for this long begins anew.
pub const FORGOTTEN: Duration = Duration::from_secs(2 * 3600);

/// Whom an address stands for: an IPv6 network of a household is one caller.
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            [a, b, c, d, 0, 0, 0, 0].into()
        }
    }
}

/// The failures of one caller.
#[derive(Debug)]
pub struct Tries {
    window: Instant,
    failures: u32,
    waits_until: Option<Instant>,
    waits: u32,
    last: Instant,
}

impl Tries {
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { window: now, failures: 0, waits_until: None, waits: 0, last: now }
    }

    /// How long nothing of this caller is looked at.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.waits_until.and_then(|until| until.checked_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Counts one; the wait that begins with it, if any. `grows` is for one caller: many who share a name must not wait
    /// an hour for one of them.
    pub fn fail(&mut self, most: u32, grows: bool, now: Instant) -> Option<Duration> {
        self.last = now;
        if now >= self.window + WINDOW {
            (self.window, self.failures) = (now, 0);
        }
        if self.waits_until.is_some_and(|until| now >= until + LONGEST_WAIT) {
            self.waits = 0;
        }
        self.failures += 1;
        if self.failures < most {
            return None;
        }
        let doublings = if grows { self.waits.min(6) } else { 0 };
        let wait = (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT);
        self.waits_until = Some(now + wait);
        self.waits += 1;
        (self.window, self.failures) = (now, 0);
        Some(wait)
    }

    /// Counts one that was not even looked at.
    pub const fn knock(&mut self, now: Instant) {
        self.last = now;
    }

    #[must_use]
    pub fn is_forgotten(&self, now: Instant) -> bool {
        now >= self.last + FORGOTTEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_is_twice_as_long_up_to_an_hour_and_then_it_begins_anew() {
        let mut now = Instant::now();
        let mut tries = Tries::new(now);
        let mut waits = Vec::new();
        for _ in 0..9 {
            for _ in 1..MOST {
                assert_eq!(tries.fail(MOST, true, now), None);
            }
            let wait = tries.fail(MOST, true, now).expect("ten are too many");
            assert_eq!(tries.wait(now), Some(wait));
            now += wait;
            assert_eq!(tries.wait(now), None);
            waits.push(wait.as_secs() / 60);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        now += LONGEST_WAIT;
        let again = (0..MOST).filter_map(|_| tries.fail(MOST, true, now)).collect::<Vec<_>>();
        assert_eq!(again, [FIRST_WAIT]);
        assert!(!tries.is_forgotten(now) && tries.is_forgotten(now + FORGOTTEN));
    }

    #[test]
    fn a_household_is_one_caller() {
        let of = |text: &str| household(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:ffff::9"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
