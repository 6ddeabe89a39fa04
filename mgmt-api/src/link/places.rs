//! How many connections an account may hold open at the same time, and all accounts of an installation together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use foreman_protocol::{AccountId, ProblemCode, ProblemReason, TenantId};
use metrics::Gauge;
use serde_json::json;

use crate::problem::{ApiError, ApiResult};

/// So many accounts may hold all that they may; the others find room.
const FULL_ACCOUNTS: usize = 16;

/// Places of one kind.
#[derive(Clone)]
pub struct Places {
    taken: Arc<Mutex<HashMap<Whose, usize>>>,
    of_an_account: usize,
    /// For people: "relays".
    what: &'static str,
    gauge: Gauge,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Account(TenantId, AccountId),
    Everybody(TenantId),
}

/// One place; given back when dropped.
pub struct Place {
    places: Places,
    whose: [Whose; 2],
}

impl Places {
    pub fn new(what: &'static str, of_an_account: usize, gauge: Gauge) -> Self {
        Self { taken: Arc::default(), of_an_account, what, gauge }
    }

    /// # Errors
    /// `limit_reached` when the account, or all together, hold as many as they may.
    pub fn enter(&self, tenant: TenantId, account: AccountId) -> ApiResult<Place> {
        let whose = [Whose::Account(tenant, account), Whose::Everybody(tenant)];
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full) =
            whose.into_iter().find(|whose| taken.get(whose).is_some_and(|count| *count >= self.limit(*whose)))
        {
            return Err(self.refused(full));
        }
        for whose in whose {
            *taken.entry(whose).or_default() += 1;
        }
        self.gauge.increment(1.0);
        Ok(Place { places: self.clone(), whose })
    }

    const fn limit(&self, whose: Whose) -> usize {
        match whose {
            Whose::Account(..) => self.of_an_account,
            Whose::Everybody(_) => self.of_an_account.saturating_mul(FULL_ACCOUNTS),
        }
    }

    fn refused(&self, whose: Whose) -> ApiError {
        let (limit, what) = (self.limit(whose), self.what);
        let message = match whose {
            Whose::Account(..) => format!(
                "This account has {limit} {what} open, which is the most. Nothing was opened; close one first."
            ),
            Whose::Everybody(_) => format!(
                "All accounts together have {limit} {what} open, which is the most. Nothing was opened; try again later."
            ),
        };
        ApiError::new(ProblemCode::LimitReached, message)
            .with(json!({ "limit": limit, "reason": ProblemReason::ConnectionsOpen }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.gauge.decrement(1.0);
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for whose in self.whose {
            if let Some(count) = taken.get_mut(&whose) {
                *count -= 1;
                if *count == 0 {
                    taken.remove(&whose);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use foreman_protocol::UserId;

    use super::*;

    #[test]
    fn an_account_has_its_places_and_no_more_and_gets_them_back() {
        let places = Places::new("relays", 2, Gauge::noop());
        let tenant = TenantId::fresh();
        let account = || AccountId::User(UserId::fresh());
        let limit = |account| {
            let refused = places.enter(tenant, account).err()?;
            assert_eq!(refused.code, ProblemCode::LimitReached);
            refused.details.and_then(|details| details["limit"].as_u64())
        };
        let one = account();
        let held = [places.enter(tenant, one).unwrap(), places.enter(tenant, one).unwrap()];
        assert_eq!(limit(one), Some(2));
        assert_eq!(limit(account()), None, "another account of the same installation");
        drop(held);
        assert_eq!(limit(one), None);

        let all: Vec<_> = (0..2 * FULL_ACCOUNTS).map(|_| places.enter(tenant, account()).unwrap()).collect();
        assert_eq!(limit(account()), Some(2 * FULL_ACCOUNTS as u64));
        assert!(places.enter(TenantId::fresh(), account()).is_ok());
        drop(all);
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
