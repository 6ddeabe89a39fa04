//! The registry as the server told it last, for when it cannot be asked.

use foreman_protocol::{Device, Millis};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, read_json, write_json};

const LISTING: &str = "listing.json";

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// The server that told it.
    pub url: String,
    /// By this machine's clock.
    pub at: Millis,
    pub devices: Vec<Device>,
}

impl Store {
    /// What was listed last. One that cannot be understood is none: the next listing takes its place.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn listing(&self) -> Result<Option<Listing>, StoreError> {
        match read_json(&self.data.join(LISTING)) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            listing => listing,
        }
    }

    /// What is kept for devices that are gone from the server goes.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn keep_listing(&self, listing: &Listing) -> Result<(), StoreError> {
        self.forget_passes(&listing.url, &listing.devices.iter().map(|device| device.id).collect())?;
        write_json(&self.data.join(LISTING), listing)
    }
}
