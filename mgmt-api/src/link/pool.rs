//! The links that this server opens itself, for people who look at a device through the dashboard: one for each
//! device, person, role and right, kept while it is used.
//!
//! They go the way of everybody else: the device is called, comes to the relay, and checks the server's own grant.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use foreman_link::{
    channel::{self, ClientKeys, ConnectError},
    h2::Client,
};
use foreman_protocol::{AccountId, Device, DeviceId, Hello, Level, ProblemCode, RefusedBecause};
use serde_json::json;
use sqlx::Row;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{dial, leg};
use crate::{
    Server,
    auth::Caller,
    problem::{ApiError, ApiResult},
};

/// An unused link is kept this long.
const UNUSED: Duration = Duration::from_secs(60);
/// How long a device may take to come when it was called for a person who waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// The last is what the device lets this server do for them now: a link can do what it could when it was opened, so
/// that it is not the one to use once the device lets more be done.
type Key = (DeviceId, AccountId, Level, Option<Level>);

fn key(caller: &Caller, device: &Device) -> Key {
    let most = caller.at_most();
    let let_do = device.link.as_ref().and_then(|link| link.server_level);
    (device.id, caller.account(), most, let_do.map(|level| level.min(most)))
}

#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<HashMap<Key, Arc<Slot>>>>);

struct Slot {
    used: Mutex<Instant>,
    /// Tries to open a link that failed.
    failures: AtomicU64,
    /// Locked while a link is opened, so that those who come meanwhile share it, or why there is none.
    link: tokio::sync::Mutex<Result<Client, Option<ApiError>>>,
}

impl Slot {
    fn new() -> Self {
        let (used, link) = (Mutex::new(Instant::now()), tokio::sync::Mutex::new(Err(None)));
        Self { used, failures: AtomicU64::default(), link }
    }

    /// The link that is open, or what becomes of one try to open it: whoever waited for that does not try again.
    async fn get(&self, open: impl Future<Output = ApiResult<Client>>) -> ApiResult<Client> {
        let before = self.failures.load(Relaxed);
        let mut link = self.link.lock().await;
        match &*link {
            Ok(open) if !open.is_closed() => return Ok(open.clone()),
            Err(Some(failed)) if self.failures.load(Relaxed) > before => return Err(failed.again()),
            _ => {}
        }
        let opened = open.await;
        *link = match &opened {
            Ok(open) => Ok(open.clone()),
            Err(error) => {
                self.failures.fetch_add(1, Relaxed);
                Err(Some(error.again()))
            }
        };
        opened
    }
}

impl Pool {
    /// An open link to the device on behalf of this caller.
    ///
    /// # Errors
    /// See [`open`].
    pub async fn get(&self, app: &Server, caller: &Caller, device: &Device) -> ApiResult<Client> {
        let slot = self.slot(key(caller, device));
        slot.get(open(app, caller, device)).await
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(key).or_insert_with(|| Arc::new(Slot::new()));
        *slot.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        slot.clone()
    }

    /// The device left or was given another identity: links that were opened to it are not used again.
    pub fn forget(&self, device: DeviceId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, ..), _| *id != device);
    }

    /// A link broke: the next to ask gets a fresh one.
    pub fn lost(&self, caller: &Caller, device: &Device) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(caller, device));
    }

    fn retain_used(&self) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| {
            // Held by others: it is being used. What flows over a link that is let go flows on to its end.
            Arc::strong_count(slot) > 1
                || slot.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < UNUSED
        });
    }
}

/// Lets unused links go until the server closes.
pub async fn end_unused(pool: Pool, closing: CancellationToken) {
    let mut look = tokio::time::interval(UNUSED / 4);
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            _ = look.tick() => pool.retain_used(),
        }
    }
}

/// Opens a link with the server's own key and the grant the device gave it.
///
/// # Errors
/// `server_not_trusted` without such a grant, `device_unreachable`, `grant_not_enough` when the device no longer
/// takes the grant.
pub async fn open(app: &Server, caller: &Caller, device: &Device) -> ApiResult<Client> {
    let row = sqlx::query("SELECT signed FROM server_grants WHERE device_id = $1")
        .bind(device.id.to_string())
        .fetch_optional(app.db.read())
        .await?;
    let (Some(row), Some(link)) = (row, &device.link) else { return Err(not_trusted(device)) };
    let keys = ClientKeys::new(app.link.key.clone(), &link.identity, &link.key.public_key)
        .map_err(ApiError::internal)?;
    let hello = Hello {
        on_behalf_of: Some(caller.name()),
        on_behalf_of_id: Some(caller.account().to_string()),
        at_most: Some(caller.at_most()),
        ..Hello::new(row.try_get(0)?, "server")
    };
    let socket = dial::device(app, caller, device, PATIENCE).await?;
    let opened = channel::connect(leg::bytes(socket).await, &keys, &hello).await;
    let outcome = if opened.is_ok() { "opened" } else { "failed" };
    metrics::counter!("foreman_server_links_total", "outcome" => outcome).increment(1);
    let (channel, welcome) = opened.map_err(|error| failed(device, &error))?;
    if welcome.level > caller.at_most() && caller.at_most() > Level::View {
        return Err(too_much(device, caller));
    }
    Client::start(channel).await.map_err(|error| dial::unreachable(device, &sentence(&error.to_string())))
}

/// An agent of before cannot be told how far a caller may go. Viewers are held back here, where nothing of theirs but
/// reading is passed on.
fn too_much(device: &Device, caller: &Caller) -> ApiError {
    ApiError::new(
        ProblemCode::Forbidden,
        format!(
            "{} runs an agent that cannot be told that your role {} ends at `operate`, and lets this server do more. \
             Nothing was done. Update its agent, or run on the device: foreman-agent trust dashboard operate",
            device.name,
            caller.role.as_str()
        ),
    )
}

fn not_trusted(device: &Device) -> ApiError {
    ApiError::new(
        ProblemCode::ServerNotTrusted,
        format!(
            "{} lets this server do nothing, so it cannot be reached from here. Nothing was done. To allow it, run \
             on the device: foreman-agent trust dashboard operate (`foreman-agent doctor` there says more)",
            device.name
        ),
    )
}

fn failed(device: &Device, error: &ConnectError) -> ApiError {
    match error {
        ConnectError::Refused(RefusedBecause::TooManyLinks) => {
            dial::unreachable(device, "It has too many links open at the same time. Close some, then try again.")
        }
        ConnectError::Refused(because) => ApiError::new(
            ProblemCode::GrantNotEnough,
            format!(
                "{} no longer takes the grant it gave this server. Nothing was done. To renew it, run on the device: \
                 foreman-agent trust dashboard operate. Where an owner took back everything of this server's key, only \
                 foreman-agent disconnect and connecting it anew with a fresh token helps",
                device.name
            ),
        )
        .with(json!({ "reason": because })),
        error => dial::unreachable(device, &sentence(&error.to_string())),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let rest = letters.as_str().trim_end_matches('.');
    format!("{}{rest}.", first.map(String::from).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn those_who_waited_for_a_try_that_failed_hear_of_it_and_the_next_one_tries_again() {
        let (slot, tries) = (Slot::new(), Cell::new(0));
        let (fail, failed) = oneshot::channel::<()>();
        let failed = failed.shared();
        let try_it = || async {
            tries.set(tries.get() + 1);
            let _ = failed.clone().await;
            Err(ApiError::new(ProblemCode::DeviceUnreachable, "It did not come."))
        };
        let mut all = Box::pin(join_all((0..5).map(|_| slot.get(try_it()))));
        // One tries and the others wait for it.
        assert!((&mut all).now_or_never().is_none());
        fail.send(()).unwrap();
        for answer in all.await {
            let error = answer.expect_err("a failure");
            assert_eq!(
                (error.code, error.message.as_str()),
                (ProblemCode::DeviceUnreachable, "It did not come.")
            );
        }
        assert_eq!(tries.get(), 1);
        assert!(slot.get(try_it()).await.is_err());
        assert_eq!(tries.get(), 2);
    }
}
