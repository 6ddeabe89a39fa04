//! Whose request it is where a reverse proxy stands in front: who fails to sign in waits, and must not make everybody
//! behind the same proxy wait with them.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    http::HeaderMap,
};
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// Of the header. What a client wrote of itself stands in front of what proxies add, and may be long.
const MOST_ENTRIES: usize = 32;

/// Puts the caller's address in the place of the proxy's that brought the request. Only a proxy that is trusted is
/// believed: everybody can write the header.
pub fn from(proxies: &[IpNet], request: &mut Request) {
    if proxies.is_empty() {
        return;
    }
    let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() else {
        return;
    };
    let caller = caller(proxies, peer.ip(), request.headers());
    if caller != peer.ip() {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(caller, peer.port())));
    }
}

/// The last address that no trusted proxy has, from the end on; the one before it may be anybody's claim.
fn caller(proxies: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = |ip: IpAddr| proxies.iter().any(|net| net.contains(&ip.to_canonical()));
    let mut caller = peer;
    let lines: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
    let entries =
        lines.into_iter().rev().filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
    for entry in entries.take(MOST_ENTRIES) {
        if !trusted(caller) {
            break;
        }
        // What cannot be read is nobody's address: the proxy that passed it on stands for it.
        let Some(before) = address(entry.trim()) else { break };
        caller = before;
    }
    caller
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn address(entry: &str) -> Option<IpAddr> {
    let plain = entry.trim_start_matches('[').trim_end_matches(']');
    let ip = plain.parse().or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()));
    ip.ok().map(|ip: IpAddr| ip.to_canonical())
}

/// A network, or one address.
///
/// # Errors
/// What is wrong with it, for people.
pub fn network(text: &str) -> Result<IpNet, String> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| one())
        .map_err(|_| "write an address like 10.0.0.2 or a network like 10.0.0.0/24".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, lines: &[&str]) -> String {
        let proxies = ["10.0.0.0/24", "::1", "127.0.0.1"].map(|text| network(text).unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        caller(&proxies, peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_say_counts() {
        assert_eq!(told("192.0.2.7", &["198.51.100.1"]), "192.0.2.7", "anybody can write that");
        assert_eq!(told("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(told("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(told("::ffff:10.0.0.9", &["198.51.100.1"]), "198.51.100.1");
        // The client's own claim stands before what the proxies wrote.
        assert_eq!(told("127.0.0.1", &["8.8.8.8, 198.51.100.1, 10.0.0.3"]), "198.51.100.1");
        assert_eq!(told("127.0.0.1", &["8.8.8.8", "198.51.100.1", "10.0.0.3"]), "198.51.100.1");
        assert_eq!(told("127.0.0.1", &["198.51.100.1, unknown"]), "127.0.0.1");
        assert_eq!(told("127.0.0.1", &["[2001:db8::5]:4711"]), "2001:db8::5");
        assert_eq!(told("127.0.0.1", &["198.51.100.4:80"]), "198.51.100.4");
        let long = ["10.0.0.1"; 100].join(",");
        assert_eq!(told("127.0.0.1", &["198.51.100.1", &long]), "10.0.0.1");
        assert!(network("10.0.0.0/33").is_err() && network("proxy").is_err());
    }
}
