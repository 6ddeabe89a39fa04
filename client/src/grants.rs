//! Rights on devices as the server carries them: signed by owners, checked by devices, unchangeable in between.

use foreman_link::http;
use foreman_protocol::{AddGrant, AddRevocation, CarriedGrant, DeviceId};
use reqwest::Method;

use crate::{Error, Foreman, Listing, request::Query};

impl Foreman {
    /// All grants on a device, those that were taken back included.
    #[must_use]
    pub fn grants(&self, device: DeviceId) -> Listing<CarriedGrant> {
        self.listing(format!("devices/{device}/grants"), Query::default())
    }

    /// Leaves a signed grant for the client that it is for.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn add_grant(&self, device: DeviceId, signed: &str) -> Result<CarriedGrant, Error> {
        let grant = AddGrant { grant: signed.to_owned() };
        self.send_json(Method::POST, &format!("devices/{device}/grants"), &grant).await
    }

    /// Has a signed revocation carried to the device.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn revoke_grant(&self, device: DeviceId, signed: &str) -> Result<(), Error> {
        let revocation = AddRevocation { revocation: signed.to_owned() };
        let path = format!("devices/{device}/revocations");
        http::send(self.request(Method::POST, &path, &Query::default()).json(&revocation)).await.map(drop)
    }
}
