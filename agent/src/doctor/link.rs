//! What can be wrong with the device link: its key, whom it trusts, the clock that grants end by, and each way here.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, SystemTime},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::Finding;
use crate::{
    link::{Way, Ways, kept_time, keys::LinkKeys, trust::Trust},
    state::State,
    status::{self, Said},
};

/// For a listener on this machine.
const PATIENCE: Duration = Duration::from_secs(3);
/// A clock may be set back a little.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);

pub(super) async fn examine(state_dir: &Path) -> Vec<Finding> {
    let state = State::at(state_dir.to_owned());
    if !state.identity().exists() {
        // Said already; nothing of the link is there before it.
        return Vec::new();
    }
    let mut findings = vec![key(&state), trust(&state)];
    findings.extend(clock(&state, SystemTime::now()));
    if let Some(ways) = running_ways(&state) {
        findings.push(listener(&ways).await);
        let cloudflared =
            "Install cloudflared and see the agent's log, or remove the tunnel in the dashboard";
        let tailscale = "See `tailscale status`, or start the agent without --tailscale";
        let mdns = "The device is still found by its address; --no-mdns switches this off";
        let ways = [
            ("mdns", "The local network is told of this device", &ways.mdns, mdns),
            ("tailscale", "Tailscale", &ways.tailscale, tailscale),
            ("cloudflare", "The Cloudflare Tunnel", &ways.cloudflare, cloudflared),
        ];
        findings.extend(ways.into_iter().filter_map(|(check, name, way, remedy)| {
            Some(match way.as_ref()? {
                Way::Down { .. } => Finding::doubtful(check, format!("{name}: {}", way.as_ref()?), remedy),
                way => Finding::good(check, format!("{name}: {way}")),
            })
        }));
    }
    findings
}

fn key(state: &State) -> Finding {
    let name = "link_key";
    match LinkKeys::load(&state.link_key()) {
        Ok(Some(keys)) if super::device::shared_file(&state.link_key()) => Finding::bad(
            name,
            format!("Other users can read this device's link key (number {})", keys.serial),
            format!(
                "chmod 600 {}; if somebody may have copied it: foreman-agent rotate-key",
                state.link_key().display()
            ),
        ),
        Ok(Some(keys)) => Finding::good(name, format!("The link key is there (number {})", keys.serial)),
        Ok(None) => Finding::doubtful(
            name,
            "There is no link key yet",
            "The agent makes it when it runs the first time",
        ),
        Err(error) => Finding::bad(name, format!("{error:#}"), "foreman-agent rotate-key"),
    }
}

fn trust(state: &State) -> Finding {
    let name = "trust";
    match Trust::load(&state.trust()) {
        Err(error) => Finding::bad(
            name,
            format!("{error:#}"),
            format!(
                "Correct {}, or remove it and say again whom to trust: foreman-agent trust add KEY, foreman-agent trust \
                 dashboard LEVEL",
                state.trust().display()
            ),
        ),
        Ok(trust) if trust.owners.is_empty() && trust.dashboard.level().is_none() => Finding::doubtful(
            name,
            "Nobody is trusted: neither an owner nor the server",
            "foreman-agent trust add KEY, or foreman-agent trust dashboard operate",
        ),
        Ok(trust) => Finding::good(
            name,
            format!(
                "Trusted: {} owners; the dashboard may: {}",
                trust.owners.len(),
                trust.dashboard.as_str()
            ),
        ),
    }
}

/// A clock from before the key was made was set back: grants that ended would count again.
fn clock(state: &State, now: SystemTime) -> Option<Finding> {
    let made = fs::metadata(state.link_key()).ok()?.modified().ok()?;
    let name = "link_clock";
    let known = kept_time(&state.link_time()).and_then(|ms| u64::try_from(ms).ok());
    if known.is_some_and(|known| now + CLOCK_SLACK < SystemTime::UNIX_EPOCH + Duration::from_millis(known)) {
        return Some(Finding::bad(
            name,
            "This machine's clock is earlier than it was: grants end by the later time",
            format!(
                "Set the clock, or switch on time synchronisation (timedatectl set-ntp true). If the later time was \
                 wrong, remove {} and start the agent again",
                state.link_time().display()
            ),
        ));
    }
    Some(if now + CLOCK_SLACK < made {
        Finding::bad(
            name,
            "This machine's clock is earlier than when its link key was made, so ended grants may count again",
            "Set the clock, or switch on time synchronisation (timedatectl set-ntp true)",
        )
    } else {
        Finding::good(name, "The clock can tell when a grant ends")
    })
}

fn running_ways(state: &State) -> Option<Ways> {
    let free = state.lock().ok()?;
    match status::read(state) {
        Some(Said::Running { ways, .. }) if free.is_none() => Some(*ways),
        _ => None,
    }
}

/// Whether something answers at the listener's port as a listener of the link does.
async fn listener(ways: &Ways) -> Finding {
    let name = "link";
    let Some(listening) = ways.listening else {
        return Finding::doubtful(
            name,
            "The device link does not listen, so only the relay leads here",
            "Start the agent without `--link-listen none`, or leave it if that is wanted",
        );
    };
    let at = match listening.ip() {
        // One that hears all of IPv6 hears IPv4, which is the one that every machine has.
        ip if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let at = SocketAddr::new(at, listening.port());
    match timeout(PATIENCE, asked(at)).await {
        Ok(Ok(true)) => Finding::good(name, format!("The device link listens at {listening}")),
        Ok(Ok(false)) => Finding::bad(
            name,
            format!("Something else answers at {at}"),
            "Restart the agent; it takes another port",
        ),
        Ok(Err(error)) => Finding::bad(
            name,
            format!("The device link does not answer at {at}: {error}"),
            "Check this machine's firewall, then restart the agent",
        ),
        Err(_) => Finding::bad(
            name,
            format!("The device link does not answer at {at}"),
            "Check this machine's firewall, then restart the agent",
        ),
    }
}

async fn asked(at: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: device\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.take(1024).read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 404"))
}

#[cfg(test)]
mod tests {
    use super::{super::Outcome, *};

    fn state() -> (tempfile::TempDir, State) {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path().to_owned());
        (dir, state)
    }

    #[test]
    fn keys_and_trust_are_examined() {
        let (_dir, state) = state();
        assert_eq!(key(&state).outcome, Outcome::Doubtful);
        LinkKeys::load_or_make(&state.link_key()).unwrap();
        assert_eq!(key(&state).outcome, Outcome::Good);
        fs::write(state.link_key(), "{").unwrap();
        assert_eq!(key(&state).remedy.as_deref(), Some("foreman-agent rotate-key"));

        assert_eq!(trust(&state).outcome, Outcome::Doubtful, "nobody said anything");
        fs::write(state.trust(), r#"{"dashboard":"view"}"#).unwrap();
        assert_eq!(trust(&state).outcome, Outcome::Good);
        fs::write(state.trust(), r#"{"dashboard":"none"}"#).unwrap();
        assert_eq!(trust(&state).outcome, Outcome::Doubtful);
        fs::write(state.trust(), "{").unwrap();
        assert_eq!(trust(&state).outcome, Outcome::Bad);
    }

    #[test]
    fn a_clock_that_was_set_back_is_bad() {
        let (_dir, state) = state();
        assert!(clock(&state, SystemTime::now()).is_none());
        LinkKeys::load_or_make(&state.link_key()).unwrap();
        assert_eq!(clock(&state, SystemTime::now()).unwrap().outcome, Outcome::Good);
        assert_eq!(clock(&state, SystemTime::UNIX_EPOCH).unwrap().outcome, Outcome::Bad);
        fs::write(state.link_time(), "90000000").unwrap();
        assert_eq!(clock(&state, SystemTime::now()).unwrap().outcome, Outcome::Good);
        let remedy = clock(&state, SystemTime::UNIX_EPOCH).unwrap().remedy.unwrap();
        assert!(remedy.contains("link-time"), "{remedy}");
    }

    #[tokio::test]
    async fn a_listener_that_is_gone_is_bad() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        drop(taken);
        let ways = Ways { listening: Some(address), ..Ways::default() };
        assert_eq!(listener(&ways).await.outcome, Outcome::Bad);
        assert_eq!(listener(&Ways::default()).await.outcome, Outcome::Doubtful);
    }
}
