//! A place in a container's two streams: for each, the time of the last line, and which of that very time it was.

use std::{fmt, str::FromStr};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::super::{lines::shorten, program::Cut};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Out,
    Err,
}

impl Which {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

/// When a line was written, in nanoseconds since 1970, and the how manyth of that time it is in its stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    pub at: u64,
    pub nth: u32,
}

/// What was read of both streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub out: Moment,
    pub err: Moment,
}

impl Place {
    pub(super) const fn of(&mut self, which: Which) -> &mut Moment {
        match which {
            Which::Out => &mut self.out,
            Which::Err => &mut self.err,
        }
    }

    pub(super) const fn moment(&self, which: Which) -> Moment {
        match which {
            Which::Out => self.out,
            Which::Err => self.err,
        }
    }

    /// A stream that was silent is known to have been so until then.
    pub(super) fn at_least(self, at: u64) -> Self {
        let known = |moment: Moment| if moment.nth == 0 { Moment { at, nth: 0 } } else { moment };
        Self { out: known(self.out), err: known(self.err) }
    }

    /// For `--since`: early enough for both. Engines differ in whether the time itself is included.
    pub(super) fn since(&self) -> Option<String> {
        let at = self.out.at.min(self.err.at).checked_sub(1)?;
        Some(format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { out, err } = self;
        write!(f, "c:{}.{}:{}.{}", out.at, out.nth, err.at, err.nth)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (out, err) = text.strip_prefix("c:").and_then(|places| places.split_once(':')).ok_or(())?;
        let moment = |text: &str| {
            let (at, nth) = text.split_once('.').ok_or(())?;
            Ok(Moment { at: at.parse().map_err(|_| ())?, nth: nth.parse().map_err(|_| ())? })
        };
        Ok(Self { out: moment(out)?, err: moment(err)? })
    }
}

/// A line as the engine gives it: its time, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamped {
    pub moment: Moment,
    pub text: String,
}

impl Stamped {
    /// `last` is the moment of the line before in the same stream.
    ///
    /// # Errors
    /// The text of a line that has no time: the engine's own words.
    pub(super) fn read(line: Cut, last: &mut Moment) -> Result<Self, String> {
        let text =
            String::from_utf8_lossy(line.bytes.strip_suffix(b"\r").unwrap_or(&line.bytes)).into_owned();
        let (stamp, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let time = OffsetDateTime::parse(stamp, &Rfc3339).map(OffsetDateTime::unix_timestamp_nanos);
        let Some(at) = time.ok().and_then(|at| u64::try_from(at).ok()) else { return Err(text) };
        *last = if last.at == at { Moment { at, nth: last.nth + 1 } } else { Moment { at, nth: 1 } };
        Ok(Self { moment: *last, text: shorten(rest.to_owned(), line.cut) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamped(text: &str, last: &mut Moment) -> Result<Stamped, String> {
        Stamped::read(Cut { bytes: text.as_bytes().to_vec(), cut: false }, last)
    }

    #[test]
    fn both_engines_write_times_that_are_understood() {
        let mut last = Moment::default();
        let docker = stamped("2026-11-21T12:00:00.123456789Z hello world\r", &mut last).unwrap();
        assert_eq!(docker.text, "hello world");
        let podman = stamped("2026-11-21T13:00:00.123456789+01:00 again", &mut last).unwrap();
        assert_eq!((podman.moment.at, podman.moment.nth), (docker.moment.at, 2));
        assert_eq!(stamped("2026-11-21T12:00:01Z ", &mut last).unwrap().text, "");
        assert_eq!(
            stamped("Error response from daemon: no", &mut last).unwrap_err(),
            "Error response from daemon: no"
        );
    }

    #[test]
    fn the_earlier_of_both_streams_is_asked_for() {
        let moment = |at| Moment { at, nth: 1 };
        let place = Place { out: moment(2_000_000_000), err: moment(1_500_000_000) };
        assert_eq!(place.since().unwrap(), "1.499999999");
        assert_eq!(Place::default().since(), None);
    }

    proptest! {
        #[test]
        fn a_place_reads_back(out: (u64, u32), err: (u64, u32)) {
            let place = Place { out: Moment { at: out.0, nth: out.1 }, err: Moment { at: err.0, nth: err.1 } };
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }

        #[test]
        fn other_text_is_no_place(text in "[c:0-9.]{0,40}") {
            let _ = Place::from_str(&text);
        }
    }
}
