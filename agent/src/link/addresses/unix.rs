//! As the kernel lists them.

use std::net::IpAddr;

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags, sys::socket::SockaddrStorage};

use super::is_private_bridge;

/// Of every interface that works, without those that lead nowhere.
pub(super) fn of_interfaces() -> Vec<IpAddr> {
    let interfaces = match getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!(%error, "this machine's addresses cannot be listed");
            return Vec::new();
        }
    };
    interfaces
        .filter(|interface| {
            let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
            interface.flags.contains(up)
                && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
                && !is_private_bridge(&interface.interface_name)
        })
        .filter_map(|interface| address(&interface.address?))
        .collect()
}

fn address(storage: &SockaddrStorage) -> Option<IpAddr> {
    let four = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    four.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}
