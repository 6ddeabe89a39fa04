//! What the local network says: where a device announces itself, and that this machine's own addresses changed.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use foreman_protocol::{DeviceId, LINK_SERVICE};
use futures_util::{Stream, StreamExt, stream};
use mdns_sd::{ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};

/// How long a device on the network may take to answer.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(3);

/// Of one device; no machine has more that matter, and who announces more means ill.
const MOST_ADDRESSES: usize = 32;

/// How often this machine's addresses are looked at: reading them costs some microseconds.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Asks the local network where a device is: each address once, as it is heard, for 3 s. The answers may be anybody's;
/// the handshake decides.
///
/// # Errors
/// One sentence why nobody could be asked.
pub(super) fn announced(device: DeviceId) -> Result<impl Stream<Item = SocketAddr> + Send, String> {
    let impossible = |error: mdns_sd::Error| format!("mDNS is not possible here: {error}");
    let asking = Asking(ServiceDaemon::new().map_err(impossible)?);
    let answers = asking.0.browse(LINK_SERVICE).map_err(impossible)?;
    let heard = Heard { id: device.to_string(), told: BTreeSet::new(), fresh: Vec::new() };
    let heard = stream::unfold((asking, answers, heard), |(asking, answers, mut heard)| async move {
        loop {
            if let Some(address) = heard.fresh.pop() {
                return Some((address, (asking, answers, heard)));
            }
            if let ServiceEvent::ServiceResolved(service) = answers.recv_async().await.ok()? {
                heard.take(&service);
            }
        }
    });
    Ok(heard.take_until(tokio::time::sleep(LOOK_UP_LIMIT)))
}

/// Ends the daemon, which ends by itself; who would wait for that gains nothing.
struct Asking(ServiceDaemon);

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

/// What was announced of one device. Its addresses may come one after the other.
struct Heard {
    id: String,
    told: BTreeSet<SocketAddr>,
    fresh: Vec<SocketAddr>,
}

impl Heard {
    fn take(&mut self, service: &ResolvedService) {
        if service.get_property_val_str("id") != Some(self.id.as_str()) {
            return;
        }
        let addresses = service.get_addresses().iter().map(|ip| address(ip, service.get_port()));
        for address in addresses.take(MOST_ADDRESSES) {
            if self.told.len() < MOST_ADDRESSES && self.told.insert(address) {
                self.fresh.push(address);
            }
        }
    }
}

/// A link-local address means nothing without the interface that it was heard on.
fn address(ip: &ScopedIp, port: u16) -> SocketAddr {
    match ip {
        ScopedIp::V6(ip) if ip.addr().is_unicast_link_local() => {
            SocketAddrV6::new(*ip.addr(), port, 0, ip.scope_id().index).into()
        }
        ip => SocketAddr::new(ip.to_ip_addr(), port),
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
