//! Who waits on the relay, and the one-use tickets with which the devices they wait for come.
//!
//! A ticket lives only as long as somebody waits for it, is good for one device and one call, and is kept as a
//! hash. Everything is in memory: after a restart nobody waits any more.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use foreman_protocol::{AccountId, DeviceId, ProblemCode, ProblemReason, TenantId};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::{sync::oneshot, time::Instant};

use super::upgrade::Way;
use crate::{
    problem::{ApiError, ApiResult},
    secrets::{self, Kind},
};

/// The longest that a ticket is good for.
pub const LIFE: Duration = Duration::from_secs(30);
/// Callers of one account that may wait for devices at the same time.
const WAITING_OF_AN_ACCOUNT: usize = 16;
/// Callers of one account that may wait for one device at the same time.
const WAITING_FOR_A_DEVICE: usize = 8;
/// Callers of all accounts together that may wait at the same time.
const WAITING_OF_ALL: usize = 16 * WAITING_OF_AN_ACCOUNT;

/// The book of those who wait.
#[derive(Clone, Default)]
pub struct Tickets(Arc<Mutex<Vec<Entry>>>);

struct Entry {
    hash: [u8; 32],
    tenant: TenantId,
    account: AccountId,
    device: DeviceId,
    until: Instant,
    leg: oneshot::Sender<Way>,
}

/// Somebody's place in the book; given up when dropped.
pub struct Waiting {
    /// Goes to the device and nowhere else.
    pub ticket: String,
    hash: [u8; 32],
    leg: oneshot::Receiver<Way>,
    book: Tickets,
}

impl Tickets {
    /// # Errors
    /// `limit_reached` when too many of this account wait already, or of all together.
    pub fn issue(
        &self,
        tenant: TenantId,
        account: AccountId,
        device: DeviceId,
        life: Duration,
    ) -> ApiResult<Waiting> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        entries.retain(|entry| entry.until > now && !entry.leg.is_closed());
        let (mut of_all, mut of_account, mut for_device) = (0, 0, 0);
        for entry in entries.iter().filter(|entry| entry.tenant == tenant) {
            let same = entry.account == account;
            of_all += 1;
            of_account += usize::from(same);
            for_device += usize::from(same && entry.device == device);
        }
        for (count, limit, whose) in [
            (for_device, WAITING_FOR_A_DEVICE, "of this account for this device"),
            (of_account, WAITING_OF_AN_ACCOUNT, "of this account"),
            (of_all, WAITING_OF_ALL, "of all accounts together"),
        ] {
            if count >= limit {
                return Err(too_many(whose, limit));
            }
        }
        let ticket = secrets::generate(Kind::RelayTicket);
        let hash = digest(&ticket);
        let (leg, answer) = oneshot::channel();
        entries.push(Entry { hash, tenant, account, device, until: now + life.min(LIFE), leg });
        Ok(Waiting { ticket, hash, leg: answer, book: self.clone() })
    }

    /// Spends a ticket; where the device's end of the relay goes then.
    pub fn spend(&self, device: DeviceId, ticket: &str) -> Option<oneshot::Sender<Way>> {
        let hash = digest(ticket);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Every entry is compared, so that how long it takes says nothing.
        let mut found = None;
        for (place, entry) in entries.iter().enumerate() {
            if bool::from(entry.hash.ct_eq(&hash)) && entry.device == device {
                found = Some(place);
            }
        }
        let entry = entries.swap_remove(found?);
        (entry.until > Instant::now() && !entry.leg.is_closed()).then_some(entry.leg)
    }

    fn forget(&self, hash: &[u8; 32]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|entry| entry.hash != *hash);
    }
}

impl Waiting {
    /// The device's end, or nothing when its book entry went.
    pub async fn arrival(&mut self) -> Option<Way> {
        (&mut self.leg).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.book.forget(&self.hash);
    }
}

fn digest(ticket: &str) -> [u8; 32] {
    Sha256::digest(ticket.as_bytes()).into()
}

fn too_many(whose: &str, limit: usize) -> ApiError {
    ApiError::new(
        ProblemCode::LimitReached,
        format!(
            "{limit} callers {whose} wait for connections already. Nothing was opened; try again in a moment."
        ),
    )
    .with(json!({ "limit": limit, "reason": ProblemReason::CallersWaiting }))
}

#[cfg(test)]
mod tests {
    use foreman_protocol::UserId;

    use super::*;

    fn account() -> AccountId {
        AccountId::User(UserId::fresh())
    }

    #[tokio::test]
    async fn a_ticket_is_good_once_for_its_device_and_only_while_somebody_waits() {
        let book = Tickets::default();
        let (tenant, device, other) = (TenantId::fresh(), DeviceId::fresh(), DeviceId::fresh());
        let waiting = book.issue(tenant, account(), device, LIFE).unwrap();
        assert!(book.spend(other, &waiting.ticket).is_none());
        assert!(book.spend(device, "fmr_something").is_none());
        assert!(book.spend(device, &waiting.ticket).is_some());
        assert!(book.spend(device, &waiting.ticket).is_none());

        let left = book.issue(tenant, account(), device, LIFE).unwrap().ticket.clone();
        assert!(book.spend(device, &left).is_none(), "nobody waits for it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_expires() {
        let book = Tickets::default();
        let device = DeviceId::fresh();
        let waiting = book.issue(TenantId::fresh(), account(), device, LIFE * 5).unwrap();
        tokio::time::advance(LIFE).await;
        assert!(book.spend(device, &waiting.ticket).is_none());
    }

    #[tokio::test]
    async fn too_many_who_wait_are_turned_away() {
        let book = Tickets::default();
        let (tenant, device, one) = (TenantId::fresh(), DeviceId::fresh(), account());
        let issue = |account, device| book.issue(tenant, account, device, LIFE);
        let mut waiting: Vec<_> = (0..WAITING_FOR_A_DEVICE).map(|_| issue(one, device).unwrap()).collect();
        let limit = |account, device| {
            let refused = issue(account, device).err()?;
            assert_eq!(refused.code, ProblemCode::LimitReached);
            refused.details.and_then(|details| details["limit"].as_u64())
        };
        assert_eq!(limit(one, device), Some(WAITING_FOR_A_DEVICE as u64));
        waiting.extend(
            (WAITING_FOR_A_DEVICE..WAITING_OF_AN_ACCOUNT).map(|_| issue(one, DeviceId::fresh()).unwrap()),
        );
        assert_eq!(limit(one, DeviceId::fresh()), Some(WAITING_OF_AN_ACCOUNT as u64));
        assert_eq!(limit(account(), device), None, "another account of the same installation");
        waiting.extend((WAITING_OF_AN_ACCOUNT..WAITING_OF_ALL).map(|_| issue(account(), device).unwrap()));
        assert_eq!(limit(account(), device), Some(WAITING_OF_ALL as u64));
        waiting.clear();
        assert_eq!(limit(one, device), None, "places that were given up are free again");
    }
}
