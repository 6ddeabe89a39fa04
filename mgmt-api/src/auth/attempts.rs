//! How often one address may try to get in, and what is told of those who could not.
//!
//! Whoever fails ten times in a minute waits, longer each time. What can be guessed is then not even looked at; a random
//! secret is: others behind the same address are in the right, and only who is in the wrong hears that they wait.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foreman_link::tries::{MOST, Tries, household};
use foreman_protocol::{Event, ProblemCode, SignInMeans};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    App,
    events::Cause,
    problem::{ApiError, ApiResult},
};

/// Passwords and setup codes can be guessed: 10 tries a minute for each address.
const SIGN_INS_A_MINUTE: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Connection tokens, signatures and links cannot; the limit only keeps one address from filling the database. Five thousand
/// devices behind one address that all come back at once stay below it.
const DEVICE_PROOFS_A_MINUTE: NonZeroU32 = NonZeroU32::new(30_000).unwrap();
/// Beyond this many addresses that failed lately a further one has only the limit above.
const MOST_ADDRESSES: usize = 10_000;
/// Of a name that nobody has.
const NAME_CHARS: usize = 64;

pub struct Attempts {
    sign_ins: DefaultKeyedRateLimiter<IpAddr>,
    device_proofs: DefaultKeyedRateLimiter<IpAddr>,
    guesses: Failures,
    secrets: Failures,
}

impl Attempts {
    pub fn new() -> Self {
        Self {
            sign_ins: RateLimiter::keyed(Quota::per_minute(SIGN_INS_A_MINUTE)),
            device_proofs: RateLimiter::keyed(Quota::per_minute(DEVICE_PROOFS_A_MINUTE)),
            guesses: Failures::default(),
            secrets: Failures::default(),
        }
    }

    /// Counts a try to sign in or to set up.
    pub fn sign_in(&self, from: IpAddr) -> ApiResult<()> {
        self.guesses.check(from)?;
        check(&self.sign_ins, from)
    }

    /// Somebody there knew a password: what failed before was a slip.
    pub fn signed_in(&self, from: IpAddr) {
        self.guesses.known().remove(&household(from));
    }

    /// Counts a device's try to prove itself.
    pub fn device_proof(&self, from: IpAddr) -> ApiResult<()> {
        check(&self.device_proofs, from)
    }

    /// Forgets addresses that have been quiet.
    pub fn forget_old(&self) {
        self.sign_ins.retain_recent();
        self.device_proofs.retain_recent();
        let now = Instant::now();
        for failures in [&self.guesses, &self.secrets] {
            failures.known().retain(|_, tries| !tries.is_forgotten(now));
        }
    }
}

/// What to answer somebody whose secret is wrong: `error`, or that they wait. It is counted and in the log.
pub async fn failed(
    app: &App,
    from: IpAddr,
    cause: Cause,
    means: SignInMeans,
    name: &str,
    error: ApiError,
) -> ApiError {
    let failures = if means.is_guessable() { &app.attempts.guesses } else { &app.attempts.secrets };
    if let Err(waits) = failures.check(from) {
        return if means.is_guessable() { waits } else { refused_too(&error, waits) };
    }
    let wait_s = failures.add(from).map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX));
    metrics::counter!("foreman_sign_ins_failed_total").increment(1);
    let name = name.chars().take(NAME_CHARS).collect();
    let event = Event::SignInFailed { name, means: Some(means), wait_s };
    match app.db.write(move |tx| Box::pin(async move { tx.emit(&cause, event).await })).await {
        Ok(_) => error,
        Err(unwritten) => unwritten,
    }
}

/// Who failed lately, by address.
#[derive(Debug, Default)]
struct Failures(Mutex<HashMap<IpAddr, Tries>>);

impl Failures {
    fn known(&self) -> MutexGuard<'_, HashMap<IpAddr, Tries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, from: IpAddr) -> ApiResult<()> {
        let wait = self.known().get(&household(from)).and_then(|tries| tries.wait(Instant::now()));
        wait.map_or(Ok(()), |wait| Err(too_many(wait)))
    }

    /// Counts one; the wait that begins with it.
    fn add(&self, from: IpAddr) -> Option<Duration> {
        let (mut known, from, now) = (self.known(), household(from), Instant::now());
        if known.len() >= MOST_ADDRESSES && !known.contains_key(&from) {
            return None;
        }
        known.entry(from).or_insert_with(|| Tries::new(now)).fail(MOST, true, now)
    }
}

/// Whoever waits for a secret that was looked at hears of both: to wait does not make it right.
fn refused_too(refused: &ApiError, mut waits: ApiError) -> ApiError {
    waits.message = format!("{} {} A right one is let in at once.", refused.message, waits.message);
    if let Some(details) = &mut waits.details {
        details["refused"] = json!(refused.code);
    }
    waits
}

fn check(limiter: &DefaultKeyedRateLimiter<IpAddr>, from: IpAddr) -> ApiResult<()> {
    limiter.check_key(&from).map_err(|until| too_many(until.wait_time_from(limiter.clock().now())))
}

fn too_many(wait: Duration) -> ApiError {
    let wait = wait.as_millis().div_ceil(1_000).max(1);
    metrics::counter!("foreman_rate_limited_total").increment(1);
    ApiError::new(
        ProblemCode::RateLimited,
        format!("Too many tries from this address. Try again in {wait} s."),
    )
    .with(json!({ "retry_after_s": wait }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn fail(failures: &Failures, times: u32) -> Vec<u64> {
        (0..times).filter_map(|_| failures.add(FROM)).map(|wait| wait.as_secs()).collect()
    }

    #[test]
    fn the_eleventh_try_in_a_minute_waits_and_other_addresses_do_not() {
        let attempts = Attempts::new();
        for _ in 0..10 {
            attempts.sign_in(FROM).unwrap();
        }
        assert_eq!(attempts.sign_in(FROM).unwrap_err().code, ProblemCode::RateLimited);
        attempts.sign_in(IpAddr::from([192, 0, 2, 2])).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_on_waits_twice_as_long_each_time_and_others_do_not() {
        let attempts = Attempts::new();
        for wait in [60, 120, 240] {
            assert_eq!(fail(&attempts.guesses, 10), [wait]);
            tokio::time::advance(Duration::from_millis(wait * 1_000 - 500)).await;
            let refused = attempts.sign_in(FROM).unwrap_err();
            assert_eq!(
                (refused.code, refused.details),
                (ProblemCode::RateLimited, Some(json!({ "retry_after_s": 1 })))
            );
            attempts.sign_in(IpAddr::from([192, 0, 2, 2])).unwrap();
            tokio::time::advance(Duration::from_millis(500)).await;
            attempts.sign_in(FROM).unwrap();
        }
        // A random secret that is wrong keeps nobody there from signing in.
        assert_eq!(fail(&attempts.secrets, 10), [60]);
        attempts.sign_in(FROM).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_right_password_makes_slips_forgotten() {
        let attempts = Attempts::new();
        assert_eq!(fail(&attempts.guesses, 9), [0; 0]);
        attempts.signed_in(FROM);
        assert_eq!(fail(&attempts.guesses, 10), [60]);
        tokio::time::advance(Duration::from_secs(60)).await;
        attempts.signed_in(FROM);
        assert_eq!(fail(&attempts.guesses, 10), [60], "it begins with the shortest again");
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_failed_are_forgotten_and_are_never_too_many() {
        let attempts = Attempts::new();
        for n in 0..MOST_ADDRESSES + 100 {
            attempts.guesses.add(std::net::Ipv4Addr::from_bits(u32::try_from(n).unwrap()).into());
        }
        assert_eq!(attempts.guesses.known().len(), MOST_ADDRESSES);
        tokio::time::advance(foreman_link::tries::FORGOTTEN).await;
        attempts.forget_old();
        assert!(attempts.guesses.known().is_empty());
    }
}
