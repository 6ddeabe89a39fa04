//! Under which addresses others on this machine's networks find the listener.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[cfg(unix)]
use unix::of_interfaces;
#[cfg(windows)]
use windows::of_interfaces;

/// No machine that people use has more that matter.
const MOST: usize = 16;

/// `address:port` for each way to a listener that listens there.
pub(super) fn reachable(listening: SocketAddr) -> Vec<String> {
    let with_port = |address| SocketAddr::new(address, listening.port()).to_string();
    if !listening.ip().is_unspecified() {
        return vec![with_port(listening.ip())];
    }
    let mut found: Vec<IpAddr> = of_interfaces()
        .into_iter()
        .filter(|ip| is_worth_telling(*ip) && hears(listening.ip(), *ip))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(MOST);
    found.into_iter().map(with_port).collect()
}

/// Whether a listener on all addresses of one family hears callers of this one. The one for IPv6 hears both.
fn hears(listening: IpAddr, address: IpAddr) -> bool {
    listening.is_ipv6() || address.is_ipv4()
}

/// An address that works for others without saying through which of their interfaces.
fn is_worth_telling(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_loopback() || address.is_link_local() || address == Ipv4Addr::UNSPECIFIED)
        }
        IpAddr::V6(address) => {
            !(address.is_loopback() || address.is_unicast_link_local() || address == Ipv6Addr::UNSPECIFIED)
        }
    }
}

/// Bridges of container engines have the same addresses on every machine, so a caller would reach somebody else.
fn is_private_bridge(name: &str) -> bool {
    let dockers = name.strip_prefix("br-").is_some_and(|id| {
        id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
    });
    dockers || ["docker", "virbr", "lxcbr", "cni", "podman"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_at_one_address_is_reached_there() {
        assert_eq!(reachable("127.0.0.1:9981".parse().unwrap()), ["127.0.0.1:9981"]);
        assert_eq!(reachable("[::1]:9981".parse().unwrap()), ["[::1]:9981"]);
    }

    #[test]
    fn a_listener_everywhere_is_told_without_what_leads_nowhere() {
        for listening in ["0.0.0.0:9981", "[::]:9981"] {
            for address in reachable(listening.parse().unwrap()) {
                let address: SocketAddr = address.parse().unwrap();
                assert!(address.port() == 9981 && is_worth_telling(address.ip()), "{address}");
                assert!(listening.starts_with('[') || address.is_ipv4());
            }
        }
        for nowhere in ["127.0.0.1", "169.254.1.1", "fe80::1", "::1"] {
            assert!(!is_worth_telling(nowhere.parse().unwrap()));
        }
    }

    #[test]
    fn bridges_of_container_engines_are_left_out() {
        for name in ["docker0", "br-0123456789ab", "virbr0"] {
            assert!(is_private_bridge(name), "{name}");
        }
        for name in ["eth0", "br-lan", "br0", "veth1", "wlan0", "tailscale0"] {
            assert!(!is_private_bridge(name), "{name}");
        }
    }
}
