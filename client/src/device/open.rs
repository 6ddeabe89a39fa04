//! Getting hold of a device by its id: what is kept of it, what the server says now, and the right to call it.

use std::time::Duration;

use foreman_protocol::{Device, DeviceId};

use super::{
    DeviceConnection, DeviceOptions, keys,
    known::{KnownDevice, NotBelieved},
    pass,
    store::{Store, StoreError},
};
use crate::{Error, Foreman};

/// How long the server may take when the device is known already.
const SERVER_LIMIT: Duration = Duration::from_secs(3);

/// Why a device could not even be looked for.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Server(#[from] Error),
    #[error(transparent)]
    NotBelieved(#[from] NotBelieved),
    #[error(
        "this client has never met the device, and no server is known that could say where it is: sign in with `foreman login URL` once"
    )]
    Unknown,
    #[error(
        "{name} has not told how to reach it: its agent is not connected, or is older than the device link. Update and start it"
    )]
    NoLink { name: String },
}

impl DeviceConnection {
    /// Opens a device by what is kept of it and by what `server` says. A server that does not answer is no hindrance
    /// for a device that this client has met; without a grant, one is looked for on the server, then signed with this
    /// user's owner key.
    ///
    /// # Errors
    /// See [`OpenError`]. That the device cannot be reached is not among them: the connection keeps trying.
    pub async fn open(
        store: &Store,
        server: Option<&Foreman>,
        id: DeviceId,
        options: DeviceOptions,
    ) -> Result<Self, OpenError> {
        let (device, answered) = meet(store, server, id, options.identity.as_deref()).await?;
        let key = store.client_key()?;
        let answering = server.filter(|_| answered);
        let device = with_grant(store, device, &key.public(), answering).await?;
        let connection = Self::new(device, key, Some(store.clone()), server.cloned(), options)?;
        if answered {
            connection.reach().dialer.look_ahead().await;
        }
        connection.tell_untold(store, id).await;
        Ok(connection)
    }
}

/// The device's record, as new as it can be had, and whether the server answered.
async fn meet(
    store: &Store,
    server: Option<&Foreman>,
    id: DeviceId,
    expected: Option<&str>,
) -> Result<(KnownDevice, bool), OpenError> {
    let kept = store.device(id)?;
    if let Some(kept) = &kept {
        check(&kept.name, &kept.identity, expected)?;
    }
    let Some(server) = server else { return kept.map(|kept| (kept, false)).ok_or(OpenError::Unknown) };
    let told = match (&kept, tokio::time::timeout(SERVER_LIMIT, server.device(id)).await) {
        (_, Ok(Ok(told))) => told,
        // A device that is gone from the server is gone; one that the server cannot be asked about is not.
        (Some(kept), Ok(Err(error))) if error.code().is_none() => return Ok((kept.clone(), false)),
        (Some(kept), Err(_)) => return Ok((kept.clone(), false)),
        (None, Err(_)) => server.device(id).await?,
        (_, Ok(Err(error))) => {
            // Deleted, or somebody who may not ask any more: the way through Cloudflare is not theirs either.
            if pass::is_no(&error) {
                store.forget_pass(id)?;
            }
            return Err(error.into());
        }
    };
    if let Some(link) = &told.link {
        check(&told.name, &link.identity, expected)?;
    }
    let known = store.hear(&told)?.ok_or(OpenError::NoLink { name: told.name })?;
    Ok((known, true))
}

/// Before anything is kept of it.
fn check(name: &str, claimed: &str, expected: Option<&str>) -> Result<(), NotBelieved> {
    match expected {
        Some(expected) if expected != claimed => Err(NotBelieved::NotAsExpected {
            name: name.to_owned(),
            expected: expected.to_owned(),
            claimed: claimed.to_owned(),
        }),
        _ => Ok(()),
    }
}

impl Store {
    /// Keeps what a server says of a device, so that it is reached when the server is away. Nothing while the device has
    /// not told how.
    ///
    /// # Errors
    /// When it cannot be kept, or the server is not believed; then what was kept before is there.
    pub fn hear(&self, told: &Device) -> Result<Option<KnownDevice>, OpenError> {
        let kept = self.device(told.id)?;
        let known = match kept.clone() {
            Some(mut known) => {
                known.learn(told)?;
                Some(known)
            }
            None => KnownDevice::first_met(told)?,
        };
        if let Some(known) = known.as_ref().filter(|known| kept.as_ref() != Some(known)) {
            self.keep(known)?;
        }
        Ok(known)
    }
}

/// The record with a grant that may work, when there is one to be had.
async fn with_grant(
    store: &Store,
    mut device: KnownDevice,
    client: &str,
    server: Option<&Foreman>,
) -> Result<KnownDevice, OpenError> {
    if keys::has_grant(&device, client) {
        return Ok(device);
    }
    device.grant = match server {
        Some(server) => keys::carried(server, &device, client).await,
        None => None,
    };
    if device.grant.is_none() && !keys::refused_lately(&device) {
        device.grant = Some(keys::own_grant(&store.owner_key()?, &device, client));
    }
    store.keep(&device)?;
    Ok(device)
}
