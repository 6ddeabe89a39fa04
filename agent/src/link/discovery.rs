//! Tells the local network that this device is here, by mDNS: under the name that clients look for, with its id and
//! nothing else about it.

use std::net::SocketAddr;

use foreman_protocol::{DeviceId, LINK_SERVICE};
use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};
use tokio::sync::watch;

use super::ways::{Way, Ways};

/// Announces for as long as it is polled, and takes it back when dropped.
pub(super) async fn announce(device: DeviceId, listening: SocketAddr, ways: &watch::Sender<Ways>) {
    // Nobody else would reach it.
    if listening.ip().is_loopback() {
        return;
    }
    let announced = match Announced::new(device, listening) {
        Ok(announced) => announced,
        Err(error) => {
            let error = error.to_string();
            tracing::warn!(%error, "the local network cannot be told of this device: it is found by its address only");
            ways.send_modify(|ways| ways.mdns = Some(Way::Down { error }));
            return;
        }
    };
    ways.send_modify(|ways| ways.mdns = Some(Way::Up { name: announced.name.clone() }));
    std::future::pending::<()>().await;
    drop(announced);
}

struct Announced {
    daemon: ServiceDaemon,
    name: String,
}

impl Announced {
    fn new(device: DeviceId, listening: SocketAddr) -> Result<Self, mdns_sd::Error> {
        let daemon = ServiceDaemon::new()?;
        if listening.is_ipv4() {
            // Nothing listens at those addresses.
            daemon.disable_interface(IfKind::IPv6)?;
        }
        let service = service(device, listening)?;
        let name = service.get_fullname().to_owned();
        daemon.register(service)?;
        Ok(Self { daemon, name })
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // The daemon says good-bye in its own thread; whether anybody hears it is not waited for.
        let _ = self.daemon.unregister(&self.name);
        let _ = self.daemon.shutdown();
    }
}

fn service(device: DeviceId, listening: SocketAddr) -> Result<ServiceInfo, mdns_sd::Error> {
    let id = device.to_string();
    let properties = [("id", id.as_str())];
    let make = |address: &str| {
        let host = format!("{id}.local.");
        ServiceInfo::new(LINK_SERVICE, &id, &host, address, listening.port(), &properties[..])
    };
    // Everywhere means at whatever addresses this machine has, now and later.
    if listening.ip().is_unspecified() {
        return make("").map(ServiceInfo::enable_addr_auto);
    }
    make(&listening.ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_the_id_and_the_port() {
        let device = DeviceId::fresh();
        let service = service(device, "192.0.2.7:9981".parse().unwrap()).unwrap();
        assert_eq!(service.get_addresses().len(), 1);
        assert_eq!(service.get_type(), LINK_SERVICE);
        assert_eq!(service.get_port(), 9981);
        assert_eq!(service.get_property_val_str("id"), Some(device.to_string().as_str()));
        assert_eq!(service.get_properties().iter().count(), 1);
    }
}
