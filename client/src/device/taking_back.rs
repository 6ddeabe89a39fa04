//! Taking a right back: the server carries what an owner signed, and the device is told itself besides, so that neither
//! a server that is away nor one that keeps it to itself helps whoever is to go.
//!
//! What a device has not confirmed itself is kept, signed as it is, and told when it is reached next.

use std::time::Duration;

use foreman_link::grant::{read_grant, read_revocation, sign_revocation};
use foreman_protocol::{AddRevocation, DeviceId, ProblemCode, Revocation, Revoked};
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

/// Who knows that a right was taken back.
#[derive(Debug)]
pub struct TakenBack {
    /// The device itself: it holds, and what was open is closed. Why not, else; then it is told when it is reached next.
    pub device: Result<(), Error>,
    /// The server, which carries it to the device; absent when there is none.
    pub server: Option<Result<(), Error>>,
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
    let carried = async {
        match server {
            Some(server) => Some(server.revoke_grant(device.id, &signed).await),
            None => None,
        }
    };
    let connection = straight(store, server, device, options)?;
    let told = async {
        match tokio::time::timeout(PATIENCE, connection.hand_over(&signed)).await {
            Ok(told) => told,
            Err(_) => Err(Error::Unreachable {
                message: format!("it did not answer within {} s", PATIENCE.as_secs()),
            }),
        }
    };
    let (server, told) = tokio::join!(carried, told);
    if told.is_ok() {
        store.forget_untold(&untold)?;
    }
    Ok(TakenBack { device: told, server })
}

/// A connection that no server has a say in: what is known of the device, and this user's own right where there is none.
fn straight(
    store: &Store,
    server: Option<&Foreman>,
    device: &KnownDevice,
    options: DeviceOptions,
) -> Result<DeviceConnection, OpenError> {
    let key = store.client_key()?;
    let mut device = device.clone();
    if !keys::has_grant(&device, &key.public()) {
        device.grant = Some(keys::own_grant(&store.owner_key()?, &device, &key.public()));
    }
    let options = DeviceOptions { through_server: false, ..options };
    // Without the store: what becomes of this connection is no news of the device.
    Ok(DeviceConnection::new(device, key, None, server.cloned(), options)?)
}

impl DeviceConnection {
    /// Tells the device what waits to be told; what it confirms is forgotten.
    pub(super) async fn tell_untold(&self, store: &Store, id: DeviceId) {
        let Ok(waiting) = store.untold(id) else { return };
        let telling = async {
            for untold in waiting {
                if self.hand_over(&untold.signed).await.is_ok() {
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
                Err(error) if own && is_revoked(&error) => return Ok(()),
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

fn is_revoked(error: &Error) -> bool {
    let Error::Refused { problem, .. } = error else { return false };
    let refused = problem.details.as_ref().and_then(|details| details.get("refused"));
    error.code() == Some(ProblemCode::GrantNotEnough) && refused == Some(&json!("revoked"))
}
