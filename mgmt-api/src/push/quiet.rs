//! Quiet hours by the clock of whoever is told.

use foreman_protocol::{Millis, QuietHours};
use jiff::{Zoned, tz::TimeZone};

/// Looked at again after this at the latest: clocks are changed twice a year.
const LOOK_MS: Millis = 15 * 60_000;
const MINUTE_MS: Millis = 60_000;
const DAY: i64 = 24 * 60;

/// Whether there is such a zone.
pub fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// How long to keep quiet now, at most until it is worth another look; `None` when it is not quiet.
pub fn left_ms(quiet: Option<QuietHours>, zone: Option<&str>) -> Option<Millis> {
    let zone = zone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    let now = Zoned::now().with_time_zone(zone);
    left_at(quiet?, i64::from(now.hour()) * 60 + i64::from(now.minute()), i64::from(now.second()))
}

fn left_at(quiet: QuietHours, minute: i64, second: i64) -> Option<Millis> {
    if !quiet.has(u16::try_from(minute).ok()?) {
        return None;
    }
    let minutes = (i64::from(quiet.to) - minute).rem_euclid(DAY);
    Some((minutes * MINUTE_MS - second * 1_000).clamp(1_000, LOOK_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_ends_when_it_was_said_to() {
        let night = QuietHours { from: 22 * 60, to: 7 * 60 };
        assert_eq!(left_at(night, 12 * 60, 0), None);
        assert_eq!(left_at(night, 6 * 60 + 55, 30), Some(4 * MINUTE_MS + 30_000));
        assert_eq!(left_at(night, 23 * 60, 0), Some(LOOK_MS));
        assert!(is_zone("Europe/Vienna") && !is_zone("Mars/Olympus"));
    }
}
