//! How often one address may try to get in.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use foreman_protocol::ProblemCode;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use serde_json::json;

use crate::problem::{ApiError, ApiResult};

/// Passwords, setup codes and links can be guessed: 10 tries a minute for each address.
const SIGN_INS_A_MINUTE: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Connection tokens and signatures cannot; the limit only keeps one address from filling the database. Five thousand
/// devices behind one address that all come back at once stay below it.
const DEVICE_PROOFS_A_MINUTE: NonZeroU32 = NonZeroU32::new(30_000).unwrap();

pub struct Attempts {
    sign_ins: DefaultKeyedRateLimiter<IpAddr>,
    device_proofs: DefaultKeyedRateLimiter<IpAddr>,
}

impl Attempts {
    pub fn new() -> Self {
        Self {
            sign_ins: RateLimiter::keyed(Quota::per_minute(SIGN_INS_A_MINUTE)),
            device_proofs: RateLimiter::keyed(Quota::per_minute(DEVICE_PROOFS_A_MINUTE)),
        }
    }

    /// Counts a try to sign in or to set up.
    pub fn sign_in(&self, from: IpAddr) -> ApiResult<()> {
        check(&self.sign_ins, from)
    }

    /// Counts a device's try to prove itself.
    pub fn device_proof(&self, from: IpAddr) -> ApiResult<()> {
        check(&self.device_proofs, from)
    }

    /// Forgets addresses that have been quiet.
    pub fn forget_old(&self) {
        self.sign_ins.retain_recent();
        self.device_proofs.retain_recent();
    }
}

fn check(limiter: &DefaultKeyedRateLimiter<IpAddr>, from: IpAddr) -> ApiResult<()> {
    limiter.check_key(&from).map_err(|until| {
        let wait = until.wait_time_from(limiter.clock().now()).max(Duration::from_secs(1));
        metrics::counter!("foreman_rate_limited_total").increment(1);
        ApiError::new(
            ProblemCode::RateLimited,
            format!("Too many tries from this address. Try again in {} s.", wait.as_secs()),
        )
        .with(json!({ "retry_after_s": wait.as_secs() }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_try_in_a_minute_waits_and_other_addresses_do_not() {
        let attempts = Attempts::new();
        let from = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..10 {
            attempts.sign_in(from).unwrap();
        }
        assert_eq!(attempts.sign_in(from).unwrap_err().code, ProblemCode::RateLimited);
        attempts.sign_in(IpAddr::from([192, 0, 2, 2])).unwrap();
    }
}
