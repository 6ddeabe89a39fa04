//! Devices: the registry, their measurements, and connection tokens.

use foreman_protocol::{
    ConnectionToken, CreateDevice, Device, DeviceId, DeviceStatus, DeviceType, Millis, Page, TimedSample,
    TunnelAccess, UpdateDevice,
};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{Error, Foreman, Listing, PageRequest, request::Query};

/// Which devices a list should have; the default is all of them.
#[derive(Debug, Clone, Default)]
pub struct DeviceFilter {
    pub status: Option<DeviceStatus>,
    pub device_type: Option<DeviceType>,
    /// Part of the name.
    pub text: Option<String>,
}

impl DeviceFilter {
    fn query(&self) -> Query {
        let mut query = Query::default();
        query.add("status", self.status.map(wire_name));
        query.add("type", self.device_type.map(wire_name));
        query.add("q", self.text.as_ref());
        query
    }
}

/// The name a unit variant has on the wire.
pub(crate) fn wire_name(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("unit variants are strings on the wire, not {other:?}"),
    }
}

#[derive(Deserialize)]
struct Samples {
    items: Vec<TimedSample>,
}

impl Foreman {
    /// All devices that fit.
    #[must_use]
    pub fn devices(&self, filter: &DeviceFilter) -> Listing<Device> {
        self.listing("devices".to_owned(), filter.query())
    }

    /// One page of them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn devices_page(
        &self,
        filter: &DeviceFilter,
        page: &PageRequest,
    ) -> Result<Page<Device>, Error> {
        self.page("devices", &filter.query(), page).await
    }

    /// # Errors
    /// See [`Error`]; `not_found`.
    pub async fn device(&self, id: DeviceId) -> Result<Device, Error> {
        self.get(&format!("devices/{id}"), &Query::default()).await
    }

    /// Makes a device and the one-time token with which its agent joins.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_device(&self, device: &CreateDevice) -> Result<ConnectionToken, Error> {
        self.send_json(Method::POST, "devices", device).await
    }

    /// # Errors
    /// See [`Error`]; `not_found`.
    pub async fn update_device(&self, id: DeviceId, change: &UpdateDevice) -> Result<Device, Error> {
        self.send_json(Method::PATCH, &format!("devices/{id}"), change).await
    }

    /// Forgets the device and its tasks; its agent is told to stop.
    ///
    /// # Errors
    /// See [`Error`]; `not_found`.
    pub async fn delete_device(&self, id: DeviceId) -> Result<(), Error> {
        self.send_empty(Method::DELETE, &format!("devices/{id}")).await
    }

    /// A new connection token for a device that has no agent; the one before is void.
    ///
    /// # Errors
    /// See [`Error`]; `conflict` when an agent is connected.
    pub async fn renew_connection_token(&self, id: DeviceId) -> Result<ConnectionToken, Error> {
        http_post(self, &format!("devices/{id}/token")).await
    }

    /// Measurements since then, thinned evenly to at most `points` (≤ 500), oldest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn samples(&self, id: DeviceId, since: Millis, points: u32) -> Result<Vec<TimedSample>, Error> {
        let mut query = Query::default();
        query.add("since", Some(since));
        query.add("points", Some(points));
        let samples: Samples = self.get(&format!("devices/{id}/samples"), &query).await?;
        Ok(samples.items)
    }

    /// Asks the device to look at its capabilities again; the result comes as a `device.updated` event.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn probe_device(&self, id: DeviceId) -> Result<(), Error> {
        self.send_empty(Method::POST, &format!("devices/{id}/probe")).await
    }

    /// What Cloudflare Access wants to see on the way through the device's tunnel. A secret.
    ///
    /// # Errors
    /// See [`Error`]; `not_found` for a device without a tunnel.
    pub async fn tunnel_access(&self, id: DeviceId) -> Result<TunnelAccess, Error> {
        self.get(&format!("devices/{id}/tunnel/access"), &Query::default()).await
    }
}

/// A `POST` without a body that answers with JSON.
pub(crate) async fn http_post<T: serde::de::DeserializeOwned>(
    foreman: &Foreman,
    path: &str,
) -> Result<T, Error> {
    foreman_link::http::json(foreman.request(Method::POST, path, &Query::default())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_use_the_names_of_the_wire() {
        assert_eq!(wire_name(DeviceStatus::Online), "online");
        assert_eq!(wire_name(DeviceType::GpuCompute), "gpu_compute");
    }
}
