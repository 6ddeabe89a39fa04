//! How many connections an account may hold open at the same time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use foreman_protocol::{ProblemCode, TenantId};
use metrics::Gauge;
use serde_json::json;

use crate::problem::{ApiError, ApiResult};

/// Places of one kind.
#[derive(Clone)]
pub struct Places {
    taken: Arc<Mutex<HashMap<TenantId, usize>>>,
    of_an_account: usize,
    /// For people: "relays".
    what: &'static str,
    gauge: Gauge,
}

/// One place; given back when dropped.
pub struct Place {
    places: Places,
    tenant: TenantId,
}

impl Places {
    pub fn new(what: &'static str, of_an_account: usize, gauge: Gauge) -> Self {
        Self { taken: Arc::default(), of_an_account, what, gauge }
    }

    /// # Errors
    /// `limit_reached` when the account holds as many as it may.
    pub fn enter(&self, tenant: TenantId) -> ApiResult<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(tenant).or_default();
        if *count >= self.of_an_account {
            let (limit, what) = (self.of_an_account, self.what);
            let message = format!(
                "This account has {limit} {what} open, which is the most. Nothing was opened; close one first."
            );
            return Err(ApiError::new(ProblemCode::LimitReached, message).with(json!({ "limit": limit })));
        }
        *count += 1;
        self.gauge.increment(1.0);
        Ok(Place { places: self.clone(), tenant })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.gauge.decrement(1.0);
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_places_and_no_more_and_gets_them_back() {
        let places = Places::new("relays", 2, Gauge::noop());
        let (one, other) = (TenantId::fresh(), TenantId::fresh());
        let held = [places.enter(one).unwrap(), places.enter(one).unwrap()];
        assert_eq!(places.enter(one).err().map(|error| error.code), Some(ProblemCode::LimitReached));
        assert!(places.enter(other).is_ok());
        drop(held);
        assert!(places.enter(one).is_ok());
    }
}
