//! As Windows lists them.

use std::net::IpAddr;

use super::is_private_bridge;

/// Of every interface that works, without those that lead nowhere.
pub(super) fn of_interfaces() -> Vec<IpAddr> {
    let interfaces = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!(%error, "this machine's addresses cannot be listed");
            return Vec::new();
        }
    };
    // What Hyper-V and WSL switch between is on this machine alone.
    let leads_out = |name: &str| {
        !is_private_bridge(name) && !name.starts_with("vEthernet (WSL") && !name.contains("Default Switch")
    };
    interfaces
        .into_iter()
        .filter(|interface| !interface.is_loopback() && leads_out(&interface.name))
        .map(|interface| interface.ip())
        .collect()
}
