//! Callers who were turned away: after ten in a minute an address is not even looked at for a while, longer each
//! time, and what happened is told in numbers instead of one by one.
//!
//! Time is passed in. This must not know what a handshake or a grant is.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foreman_link::tries::{MOST, Tries, household};
use foreman_protocol::{AccountId, LinkUse, RefusedBecause};
use tokio::time::Instant;

/// As [`MOST`], for a path that hides its callers' addresses: there, many share the limit.
const MOST_SHARED: u32 = 60;
/// An address is told of at most this often.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Of so many is told within [`TOLD_EVERY`]; beyond that they are told together, so that no flood fills a log.
const MOST_TOLD: usize = 20;
/// Beyond this many addresses the others are counted together.
const MOST_SOURCES: usize = 1024;
/// Beyond this many addresses that proxies told the others are counted together: a program on this machine can make up
/// as many as it likes.
const MOST_FORWARDED: usize = 256;
/// Beyond this many accounts the others are counted as the relay: who they are is only what a server says.
const MOST_ACCOUNTS: usize = 256;
const RELAY: Source = Source::Path("relay");

/// Where a caller comes from, as far as limits go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6([u16; 4]),
    /// Where a proxy on this machine says that its caller comes from. Any program here can say so, and it must not
    /// count against those who really come from there.
    Forwarded(IpAddr),
    /// A path that hides where its callers come from.
    Path(&'static str),
    /// One of those who come over the relay, as the server tells them apart.
    Account(AccountId),
    /// Everybody beyond [`MOST_SOURCES`].
    Others,
}

impl Source {
    /// Who speaks for nobody else.
    pub const THIS_MACHINE: Self = Self::V4(Ipv4Addr::LOCALHOST);

    /// As a proxy on this machine tells it.
    pub fn forwarded(address: IpAddr) -> Self {
        Self::Forwarded(household(address))
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match household(address) {
            // It has millions.
            _ if address.to_canonical().is_loopback() => Self::THIS_MACHINE,
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(address) => address.fmt(f),
            Self::V6([a, b, c, d]) => write!(f, "{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
            Self::Forwarded(address) => write!(f, "forwarded, {}", Self::from(address)),
            Self::Path(path) => f.write_str(path),
            Self::Account(account) => write!(f, "relay, {account}"),
            Self::Others => f.write_str("many addresses"),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Refusals {
    records: Mutex<HashMap<Source, Record>>,
    told: Mutex<Told>,
}

/// How much was told lately.
#[derive(Debug, Default)]
struct Told {
    since: Option<Instant>,
    count: usize,
}

impl Told {
    /// Whether one more may be told of by itself.
    fn one_more(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now >= since + TOLD_EVERY) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count += 1;
        self.count <= MOST_TOLD
    }
}

#[derive(Debug)]
struct Record {
    tries: Tries,
    told_at: Option<Instant>,
    untold: u32,
    reason: RefusedBecause,
}

impl Refusals {
    /// How long callers from there are still turned away unseen; counts this one when they are.
    pub fn wait(&self, source: Source, now: Instant) -> Option<Duration> {
        let mut records = self.records();
        let source = counted_as(source, &records);
        let record = records.get_mut(&source)?;
        let wait = record.tries.wait(now)?;
        record.count(RefusedBecause::TooMany, now);
        Some(wait)
    }

    /// Counts a caller who was looked at and turned away.
    pub fn failed(&self, source: Source, reason: RefusedBecause, now: Instant) {
        let mut records = self.records();
        let source = counted_as(source, &records);
        let record = records.entry(source).or_insert_with(|| Record::new(now));
        record.count(reason, now);
        let most = match source {
            Source::V4(_) | Source::V6(_) | Source::Forwarded(_) | Source::Account(_) => MOST,
            Source::Path(_) => MOST_SHARED,
            // Whoever is in here did nothing that is known of them.
            Source::Others => return,
        };
        record.tries.fail(most, !matches!(source, Source::Path(_)), now);
    }

    /// What is to be told now.
    pub fn due(&self, now: Instant) -> Vec<LinkUse> {
        let mut records = self.records();
        records.retain(|_, record| record.untold > 0 || !record.tries.is_forgotten(now));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        let mut rest = None;
        for (source, record) in records.iter_mut().filter(|(_, record)| record.is_due(now)) {
            if *source == Source::Others || told.one_more(now) {
                due.push(record.told(*source, now));
            } else {
                let (count, reason) = rest.unwrap_or((0_u32, record.reason));
                rest = Some((count.saturating_add(std::mem::take(&mut record.untold)), reason));
            }
        }
        if let Some((count, reason)) = rest {
            let others = records.entry(Source::Others).or_insert_with(|| Record::new(now));
            others.untold = others.untold.saturating_add(count);
            others.reason = reason;
            others.tries.knock(now);
            if others.is_due(now) {
                due.push(others.told(Source::Others, now));
            }
        }
        due
    }

    fn records(&self) -> MutexGuard<'_, HashMap<Source, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under which name a caller is counted while there is room for so many.
fn counted_as(source: Source, records: &HashMap<Source, Record>) -> Source {
    let accounts = || records.keys().filter(|known| matches!(known, Source::Account(_))).count();
    let forwarded = || records.keys().filter(|known| matches!(known, Source::Forwarded(_))).count();
    match source {
        known if records.contains_key(&known) => known,
        Source::Forwarded(_) if forwarded() >= MOST_FORWARDED => Source::Others,
        Source::Account(_) if accounts() >= MOST_ACCOUNTS => RELAY,
        Source::Path(_) => source,
        _ if records.len() < MOST_SOURCES => source,
        Source::Account(_) => RELAY,
        _ => Source::Others,
    }
}

impl Record {
    const fn new(now: Instant) -> Self {
        Self { tries: Tries::new(now), told_at: None, untold: 0, reason: RefusedBecause::Unknown }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.untold > 0 && self.told_at.is_none_or(|told_at| now >= told_at + TOLD_EVERY)
    }

    fn told(&mut self, source: Source, now: Instant) -> LinkUse {
        self.told_at = Some(now);
        let count = std::mem::take(&mut self.untold);
        LinkUse::Refused { from: source.to_string(), reason: self.reason, count }
    }

    fn count(&mut self, reason: RefusedBecause, now: Instant) {
        self.untold = self.untold.saturating_add(1);
        self.reason = reason;
        self.tries.knock(now);
    }
}

#[cfg(test)]
mod tests {
    use foreman_link::tries::{FIRST_WAIT, FORGOTTEN, WINDOW};
    use proptest::prelude::*;

    use super::*;

    const BAD: RefusedBecause = RefusedBecause::Forged;

    impl Refusals {
        fn is_blocked(&self, source: Source, now: Instant) -> bool {
            self.wait(source, now).is_some()
        }
    }

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn fail(refusals: &Refusals, source: Source, times: u32, now: Instant) {
        for _ in 0..times {
            refusals.failed(source, BAD, now);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_in_a_minute_are_too_many_and_each_time_is_longer() {
        let (refusals, from, start) = (Refusals::default(), source("192.0.2.7"), Instant::now());
        fail(&refusals, from, 9, start);
        assert!(!refusals.is_blocked(from, start));
        fail(&refusals, from, 1, start + Duration::from_secs(59));
        let blocked = start + Duration::from_secs(59);
        assert!(refusals.is_blocked(from, blocked) && !refusals.is_blocked(source("192.0.2.8"), blocked));
        let again = blocked + FIRST_WAIT;
        assert!(!refusals.is_blocked(from, again));
        fail(&refusals, from, 10, again);
        assert!(refusals.is_blocked(from, again + FIRST_WAIT));
        assert!(!refusals.is_blocked(from, again + FIRST_WAIT * 2));
        // Nine each minute go on forever.
        let (slow, other) = (Refusals::default(), source("2001:db8::1"));
        for minute in 0..30 {
            let now = start + WINDOW * minute;
            fail(&slow, other, 9, now);
            assert!(!slow.is_blocked(other, now));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_told_in_numbers_once_a_minute() {
        let (refusals, from, start) = (Refusals::default(), source("192.0.2.7"), Instant::now());
        fail(&refusals, from, 1, start);
        let told = |count, reason| LinkUse::Refused { from: "192.0.2.7".to_owned(), reason, count };
        assert_eq!(refusals.due(start), [told(1, BAD)]);
        fail(&refusals, from, 9, start);
        for _ in 0..1000 {
            assert!(refusals.is_blocked(from, start));
        }
        assert_eq!(refusals.due(start + Duration::from_secs(59)), []);
        assert_eq!(refusals.due(start + TOLD_EVERY), [told(1009, RefusedBecause::TooMany)]);
        assert_eq!(refusals.due(start + TOLD_EVERY * 9), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_everywhere_stays_small_and_blocks_no_stranger() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        for n in 0..20_000_u32 {
            refusals.failed(IpAddr::V4(Ipv4Addr::from_bits(n)).into(), BAD, now);
        }
        let told = |at| {
            refusals.due(at).into_iter().fold((0, 0), |(reports, callers), told| match told {
                LinkUse::Refused { count, .. } => (reports + 1, callers + count),
                _ => unreachable!("{told:?}"),
            })
        };
        let (first, later) = (told(now), told(now + TOLD_EVERY));
        assert!(first.0 <= MOST_TOLD + 1 && later.0 <= 1, "{first:?} {later:?}");
        assert_eq!(first.1 + later.1, 20_000, "each is counted");
        assert!(!refusals.is_blocked(source("203.0.113.9"), now));
        let forgotten = now + TOLD_EVERY + FORGOTTEN;
        assert_eq!(refusals.due(forgotten), []);
        assert!(refusals.records().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_account_on_the_relay_does_not_use_up_the_others_tries() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let user = || Source::Account(AccountId::User(foreman_protocol::UserId::fresh()));
        let (one, other) = (user(), user());
        fail(&refusals, one, 1_000, now);
        assert!(refusals.is_blocked(one, now) && !refusals.is_blocked(other, now));
        assert!(!refusals.is_blocked(RELAY, now));
        let Some(LinkUse::Refused { from, .. }) = refusals.due(now).pop() else { panic!() };
        assert!(from.starts_with("relay, user 0"), "{from}");
        // A server that names another one each time gets no further than one that names nobody.
        for _ in 0..MOST_ACCOUNTS + MOST_SHARED as usize {
            refusals.failed(user(), BAD, now);
        }
        assert!(refusals.is_blocked(user(), now) && !refusals.is_blocked(source("192.0.2.7"), now));
        assert!(refusals.records().len() <= MOST_ACCOUNTS + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_proxy_tells_counts_against_nobody_who_really_comes_from_there() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let told = |text: &str| Source::forwarded(text.parse().unwrap());
        fail(&refusals, told("192.0.2.7"), MOST, now);
        assert!(refusals.is_blocked(told("192.0.2.7"), now) && !refusals.is_blocked(told("192.0.2.8"), now));
        assert!(!refusals.is_blocked(source("192.0.2.7"), now));
        assert!(!refusals.is_blocked(Source::THIS_MACHINE, now));
        fail(&refusals, Source::THIS_MACHINE, MOST, now);
        assert!(refusals.is_blocked(source("127.9.9.9"), now) && refusals.is_blocked(source("::1"), now));
        assert!(!refusals.is_blocked(told("192.0.2.8"), now));
        let Some(LinkUse::Refused { from, .. }) = refusals
            .due(now)
            .into_iter()
            .find(|told| matches!(told, LinkUse::Refused { from, .. } if from.contains("192.0.2.7")))
        else {
            panic!("it is not told")
        };
        assert_eq!(from, "forwarded, 192.0.2.7");
        // A program that makes up one after the other takes no room from those who call directly.
        for n in 0..20_000_u32 {
            refusals.failed(Source::forwarded(IpAddr::V4(Ipv4Addr::from_bits(n))), BAD, now);
        }
        assert!(refusals.records().len() <= MOST_FORWARDED + 3, "{}", refusals.records().len());
        fail(&refusals, source("203.0.113.9"), MOST, now);
        assert!(refusals.is_blocked(source("203.0.113.9"), now), "who calls directly is still counted");
        assert!(!refusals.is_blocked(told("203.0.113.9"), now));
    }

    #[test]
    fn a_household_is_one_source() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.7"), source("192.0.2.7"));
        assert_eq!(source("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }

    proptest! {
        #[test]
        fn every_address_has_a_source(bytes: [u8; 16]) {
            let _ = Source::from(IpAddr::from(bytes)).to_string();
        }
    }
}
