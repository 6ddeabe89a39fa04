//! What the local network says: where a device announces itself, and that this machine's own addresses changed.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use foreman_protocol::{DeviceId, LINK_SERVICE};
use mdns_sd::{ServiceDaemon, ServiceEvent};

/// How long a device on the network may take to answer.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(3);

/// How often this machine's addresses are looked at: reading them costs some microseconds.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Asks the local network where a device is. The answer may be anybody's; the handshake decides.
///
/// # Errors
/// One sentence why it was not found.
pub(super) async fn find(device: DeviceId) -> Result<Vec<SocketAddr>, String> {
    let daemon = ServiceDaemon::new().map_err(|error| format!("mDNS is not possible here: {error}"))?;
    let found = look_up(&daemon, device).await;
    // It ends by itself; who would wait for that gains nothing.
    let _ = daemon.shutdown();
    found
}

async fn look_up(daemon: &ServiceDaemon, device: DeviceId) -> Result<Vec<SocketAddr>, String> {
    let answers =
        daemon.browse(LINK_SERVICE).map_err(|error| format!("mDNS is not possible here: {error}"))?;
    let id = device.to_string();
    let search = async {
        while let Ok(event) = answers.recv_async().await {
            let ServiceEvent::ServiceResolved(service) = event else { continue };
            if service.get_property_val_str("id") == Some(id.as_str()) {
                let addresses = service.get_addresses().iter();
                let port = service.get_port();
                return Ok(addresses.map(|ip| SocketAddr::new(ip.to_ip_addr(), port)).collect());
            }
        }
        Err("mDNS stopped".to_owned())
    };
    match tokio::time::timeout(LOOK_UP_LIMIT, search).await {
        Ok(found) => found,
        Err(_) => Err("it does not announce itself on this network".to_owned()),
    }
}

fn own_addresses() -> BTreeSet<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().filter(|one| !one.is_link_local()).map(|one| one.ip()).collect()
}

/// Waits until this machine's addresses are others than now: a cable, another wireless network, a resumed laptop.
pub(super) async fn changed() {
    let before = own_addresses();
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        if own_addresses() != before {
            return;
        }
    }
}
