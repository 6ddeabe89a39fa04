//! Taking a right back: the server carries what an owner signed, and the device is told itself besides, so that neither
//! a server that is away nor one that keeps it to itself helps whoever is to go.
//!
//! What a device has not confirmed itself is kept, signed as it is, and told when it is reached next.

use std::time::Duration;

use foreman_link::grant::{LinkSecret, read_grant, read_revocation, sign_revocation};
use foreman_protocol::{AddRevocation, DeviceId, ProblemCode, Revocation, Revoked};
use futures_util::FutureExt;
use serde_json::json;

use super::{
    DeviceConnection, DeviceOptions, Route,
    ask::Ask,
    keys,
    known::KnownDevice,
    open::OpenError,
    store::{Store, Untold},
};
use crate::{Error, Foreman};

/// How long a device is looked for to be told.
const PATIENCE: Duration = Duration::from_secs(8);
/// The same for what waits, when the device is opened for something else.
const PATIENCE_BESIDES: Duration = Duration::from_secs(3);
/// How long the device may take to say that only an owner can do that, before the server is asked to carry it.
const BEFORE_THE_SERVER: Duration = Duration::from_secs(2);

/// Who knows that a right was taken back.
#[derive(Debug)]
pub struct TakenBack {
    /// The device itself: it holds, and what was open is closed. Why not, else; then it is told when it is reached next,
    /// unless [`Self::is_for_owners`].
    pub device: Result<(), Error>,
    /// The server, which carries it to the device; absent when there is none, or the device said no.
    pub server: Option<Result<(), Error>>,
}

impl TakenBack {
    /// The device said that this user is no owner there: nothing was taken back, and nothing waits.
    #[must_use]
    pub fn is_for_owners(&self) -> bool {
        self.device.as_ref().err().is_some_and(is_for_owners)
    }
}

/// Signs with this user's owner key that something is taken back on a device, and tells everybody who can be told.
///
/// # Errors
/// When it cannot be signed or kept. That nobody could be told is no error, see [`TakenBack`].
pub async fn take_back(
    store: &Store,
    server: Option<&Foreman>,
    device: &KnownDevice,
    revokes: Revoked,
    options: DeviceOptions,
) -> Result<TakenBack, OpenError> {
    let issuer = store.owner_key()?;
    let revocation =
        Revocation { device: device.identity.clone(), revokes, at: keys::now(), issuer: issuer.public() };
    let signed = sign_revocation(&revocation, &issuer);
    let untold = Untold { device: device.id, signed: signed.clone() };
    // Before anything else: it is meant, whatever happens to this program.
    store.keep_untold(&untold)?;
    let told = tell(store, server, device, options, &signed).shared();
    let carried = async {
        let server = server?;
        let soon = tokio::time::timeout(BEFORE_THE_SERVER, told.clone()).await;
        match soon.is_ok_and(|told| told.as_ref().err().is_some_and(is_for_owners)) {
            true => None,
            false => Some(server.revoke_grant(device.id, &signed).await),
        }
    };
    let (server, told) = tokio::join!(carried, told.clone());
    if is_settled(&told) {
        store.forget_untold(&untold)?;
    }
    Ok(TakenBack { device: told, server })
}

/// Tells the device itself, whatever its server thinks of that.
async fn tell(
    store: &Store,
    server: Option<&Foreman>,
    device: &KnownDevice,
    options: DeviceOptions,
    signed: &str,
) -> Result<(), Error> {
    let invalid = |error: &dyn std::error::Error| Error::Invalid { message: error.to_string() };
    let (issuer, key) = store
        .owner_key()
        .and_then(|issuer| Ok((issuer, store.client_key()?)))
        .map_err(|error| invalid(&error))?;
    let own = KnownDevice { grant: Some(keys::own_grant(&issuer, device, &key.public())), ..device.clone() };
    let has_another = keys::has_grant(device, &key.public()) && !keys::is_own(&issuer, device);
    let first = if has_another { device } else { &own };
    let told = straight(first.clone(), key.clone(), server, options.clone(), signed).await;
    match told {
        // It was not this user who signed that right, so this says nothing of this user yet.
        Err(error) if has_another && is_refused(&error, "forged") => {
            straight(own, key, server, options, signed).await
        }
        told => told,
    }
    .map_err(|error| match is_refused(&error, "forged") || is_unsigned(&error) {
        true => keys::not_an_owner(&device.name),
        false => error,
    })
}

/// Over a connection that no server has a say in.
async fn straight(
    device: KnownDevice,
    key: LinkSecret,
    server: Option<&Foreman>,
    options: DeviceOptions,
    signed: &str,
) -> Result<(), Error> {
    let options = DeviceOptions { through_server: false, ..options };
    // Without the store: what becomes of this connection is no news of the device.
    let connection = DeviceConnection::new(device, key, None, server.cloned(), options)?;
    match tokio::time::timeout(PATIENCE, connection.hand_over(signed)).await {
        Ok(told) => told,
        Err(_) => {
            Err(Error::Unreachable { message: format!("it did not answer within {} s", PATIENCE.as_secs()) })
        }
    }
}

impl DeviceConnection {
    /// Tells the device what waits to be told; what it confirms is forgotten.
    pub(super) async fn tell_untold(&self, store: &Store, id: DeviceId) {
        let Ok(waiting) = store.untold(id) else { return };
        let telling = async {
            for untold in waiting {
                let told = self.hand_over(&untold.signed).await;
                if told.is_ok() || told.is_err_and(|error| is_unsigned(&error)) {
                    // Kept, it is told once more, which changes nothing.
                    let _ = store.forget_untold(&untold);
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE_BESIDES, telling).await;
    }

    /// Hands the device what an owner signed.
    async fn hand_over(&self, signed: &str) -> Result<(), Error> {
        let own = concerns(self.known().grant.as_deref(), signed);
        let mut again = 2;
        loop {
            match self.hand_over_once(signed).await {
                // Its answer may have ended with the link that it closes; to hear it twice changes nothing.
                Err(Error::Unreachable { .. }) if again > 0 => again -= 1,
                // This client took back its own right, and the device says that it is gone.
                Err(error) if own && is_refused(&error, "revoked") => return Ok(()),
                told => return told,
            }
        }
    }

    /// Only end to end: a server's word for it is worth nothing.
    async fn hand_over_once(&self, signed: &str) -> Result<(), Error> {
        let request = AddRevocation { revocation: signed.to_owned() };
        match self.route().await? {
            Route::Link(session) => {
                let answer = session.send(Ask::post("/revocations").json(&request)?).await?;
                answer.success().await.map(drop)
            }
            Route::Server(_) => Err(keys::no_grant(&self.known().name)),
        }
    }
}

/// Whether this takes back what a client calls the device with.
fn concerns(grant: Option<&str>, revocation: &str) -> bool {
    let grant = grant.and_then(|text| read_grant(text).ok());
    let (Some(grant), Ok(revocation)) = (grant, read_revocation(revocation)) else { return false };
    match revocation.revokes {
        Revoked::Grant(id) => id == grant.id,
        Revoked::Client(client) => client == grant.client,
    }
}

/// The device turned the call away for this.
fn is_refused(error: &Error, because: &str) -> bool {
    let Error::Refused { problem, .. } = error else { return false };
    let refused = problem.details.as_ref().and_then(|details| details.get("refused"));
    error.code() == Some(ProblemCode::GrantNotEnough) && refused == Some(&json!(because))
}

/// The device read it, and no owner of its signed it.
fn is_unsigned(error: &Error) -> bool {
    error.code() == Some(ProblemCode::InvalidRequest)
}

fn is_for_owners(error: &Error) -> bool {
    let Error::Refused { problem, .. } = error else { return false };
    problem.details.as_ref().is_some_and(|details| details.get("owner") == Some(&json!(false)))
}

/// Nothing is left to be told.
fn is_settled(told: &Result<(), Error>) -> bool {
    told.as_ref().err().is_none_or(is_for_owners)
}
