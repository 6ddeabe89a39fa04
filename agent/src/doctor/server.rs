//! What can be wrong on the way to the server: its name, the network, TLS, a portal in between, the clocks,
//! versions, and whether the server still knows this device.

use std::time::{Duration, SystemTime};

use foreman_link::http::{self, RequestError};
use foreman_protocol::{OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, SetupState};
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use tokio::net::{TcpStream, lookup_host};

use super::Finding;

/// The most time one step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clocks further apart than this confuse people who compare times.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

pub(super) async fn examine(address: &str, bearer: impl AsyncFnOnce() -> anyhow::Result<()>) -> Vec<Finding> {
    examine_by(address, behind_proxy(), bearer).await
}

async fn examine_by(
    address: &str,
    proxied: bool,
    bearer: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> Vec<Finding> {
    let (url, client) = match (Url::parse(address), http::client()) {
        (Ok(url), Ok(client)) if url.has_host() => (url, client),
        (_, Err(error)) => {
            return vec![Finding::bad(
                "server",
                format!("No HTTP client can be made: {error}"),
                "Check HTTPS_PROXY and the system's certificates",
            )];
        }
        _ => {
            return vec![Finding::bad(
                "server",
                format!("{address:?} is no server's address"),
                "Connect the device again with the command from the dashboard",
            )];
        }
    };
    let mut findings = Vec::new();
    if !proxied {
        match reach(&url).await {
            Ok(found) => findings.push(found),
            Err(found) => return vec![found],
        }
    }
    match ask(&client, &url).await {
        Ok(found) => findings.extend(found),
        Err(found) => {
            findings.push(found);
            return findings;
        }
    }
    findings.push(recognised(bearer).await);
    findings
}

/// Name and TCP, tried one after the other so that the remedy fits. A proxy does both itself.
async fn reach(url: &Url) -> Result<Finding, Finding> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::time::timeout(PATIENCE, lookup_host((host.as_str(), port))).await;
    let addresses: Vec<_> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        _ => Vec::new(),
    };
    if addresses.is_empty() {
        return Err(Finding::bad(
            "dns",
            format!("The name {host} cannot be resolved"),
            "Check this machine's network and its DNS servers",
        ));
    }
    match tokio::time::timeout(PATIENCE, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(_)) => Ok(Finding::good("network", format!("{host} answers on port {port}"))),
        Ok(Err(error)) => Err(Finding::bad(
            "network",
            format!("No connection to {host} on port {port}: {error}"),
            "Check that the server runs and that no firewall is in between",
        )),
        Err(_) => Err(Finding::bad(
            "network",
            format!("No connection to {host} on port {port} within 10 s"),
            "A firewall may be dropping it; allow outgoing connections to that port",
        )),
    }
}

fn behind_proxy() -> bool {
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Asks for something only a Foreman server answers in its form: a portal's page does not pass.
async fn ask(client: &Client, url: &Url) -> Result<Vec<Finding>, Finding> {
    let at = |path: &str| format!("{}{path}", url.as_str().trim_end_matches('/'));
    let setup = client.get(at("/api/v1/setup")).timeout(PATIENCE);
    if let Err(error) = http::json::<SetupState>(setup).await {
        return Err(no_foreman(url, &error));
    }
    let mut findings = vec![Finding::good("server", format!("A Foreman server answers at {url}"))];
    let health = http::send(client.get(at("/healthz")).timeout(PATIENCE)).await;
    match health {
        Ok(answer) => {
            findings.extend(clocks(&answer, SystemTime::now()));
            findings.extend(answer.bytes().await.ok().and_then(|body| versions(&body)));
        }
        Err(error) => findings.push(Finding::doubtful(
            "health",
            format!("The server says that it is not well: {error}"),
            "Look at the server's log",
        )),
    }
    Ok(findings)
}

fn no_foreman(url: &Url, error: &RequestError) -> Finding {
    let remedy = match error {
        RequestError::Moved { location, .. } if location.starts_with("http") => {
            "A network's sign-in page may be in between; open the address in a browser, or connect the device \
             with the address it moved to"
        }
        RequestError::Unreachable { message } if message.to_lowercase().contains("certificate") => {
            "The certificate is not trusted here: install its authority on this machine, or check the clock"
        }
        RequestError::Unreachable { .. } => "Check the address, the network and a proxy in between",
        RequestError::Refused { .. } => "Look at the server's log",
        _ => "Something else answers at this address: check it, or a network's sign-in page in between",
    };
    Finding::bad("server", format!("No Foreman server answers at {url}: {error}"), remedy)
}

/// The `Date` header against this machine's clock. Foreman works with a wrong clock; people are misled by it.
fn clocks(answer: &Response, now: SystemTime) -> Option<Finding> {
    let date = answer.headers().get(reqwest::header::DATE)?.to_str().ok()?;
    let there = httpdate::parse_http_date(date).ok()?;
    let apart = there.duration_since(now).unwrap_or_else(|error| error.duration());
    Some(if apart > CLOCK_SKEW {
        Finding::doubtful(
            "clock",
            format!("This machine's clock and the server's are {} minutes apart", apart.as_secs() / 60),
            "Set the clock, or switch on time synchronisation (timedatectl set-ntp true)",
        )
    } else {
        Finding::good("clock", "The clock agrees with the server's")
    })
}

#[derive(Deserialize)]
struct Health {
    protocol_version: u32,
    #[serde(default)]
    oldest_protocol_version: u32,
}

/// Only where the server tells: whether it still serves this agent, and whether it is behind it.
fn versions(body: &[u8]) -> Option<Finding> {
    let server: Health = serde_json::from_slice(body).ok()?;
    let name = "protocol";
    Some(if server.oldest_protocol_version > PROTOCOL_VERSION {
        Finding::bad(
            name,
            "The server no longer serves an agent this old",
            "Run the server's install command again",
        )
    } else if server.protocol_version < OLDEST_PROTOCOL_VERSION {
        Finding::bad(name, "The server is too old for this agent", "Update the server")
    } else if server.protocol_version == PROTOCOL_VERSION {
        Finding::good(name, "Agent and server speak the same version")
    } else {
        Finding::doubtful(
            name,
            format!("The agent speaks version {PROTOCOL_VERSION}, the server {}", server.protocol_version),
            "They work together; update the older one when it suits",
        )
    })
}

async fn recognised(bearer: impl AsyncFnOnce() -> anyhow::Result<()>) -> Finding {
    match tokio::time::timeout(PATIENCE * 2, bearer()).await {
        Ok(Ok(())) => Finding::good("sign_in", "The server knows this device and lets it in"),
        Ok(Err(error)) => Finding::bad(
            "sign_in",
            format!("The server does not let this device in: {error:#}"),
            "If it was removed there, add it again and run the command shown",
        ),
        Err(_) => Finding::bad("sign_in", "The server did not answer the sign-in in time", "Try again later"),
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Json, Router,
        http::header,
        response::{Html, IntoResponse as _},
        routing::get,
    };
    use serde_json::json;

    use super::{super::Outcome, *};

    /// Serves the router on loopback for as long as the test runs, and gives its address.
    async fn serve(router: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn foreman(date: Option<&'static str>) -> Router {
        let health = move || async move {
            let body = Json(json!({"protocol_version": PROTOCOL_VERSION, "oldest_protocol_version": 1}));
            match date {
                Some(date) => ([(header::DATE, date)], body).into_response(),
                None => body.into_response(),
            }
        };
        Router::new()
            .route("/api/v1/setup", get(|| async { Json(json!({"needed": false})) }))
            .route("/healthz", get(health))
    }

    fn outcome(findings: &[Finding], check: &str) -> Option<Outcome> {
        findings.iter().find(|finding| finding.check == check).map(|finding| finding.outcome)
    }

    #[tokio::test]
    async fn a_healthy_server_passes_every_check() {
        let address = serve(foreman(None)).await;
        let findings = examine_by(&address, false, async || Ok(())).await;
        for check in ["network", "server", "clock", "protocol", "sign_in"] {
            assert_eq!(outcome(&findings, check), Some(Outcome::Good), "{check}: {findings:?}");
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_off_is_only_doubtful() {
        let address = serve(foreman(Some("Sun, 06 Nov 1994 08:49:37 GMT"))).await;
        let findings = examine_by(&address, false, async || Ok(())).await;
        assert_eq!(outcome(&findings, "clock"), Some(Outcome::Doubtful));
        assert_eq!(outcome(&findings, "sign_in"), Some(Outcome::Good));
    }

    #[tokio::test]
    async fn a_portals_page_is_no_foreman_server() {
        let page = Router::new().fallback(|| async { Html("<html>Welcome to the hotel</html>") });
        let findings =
            examine_by(&serve(page).await, false, async || panic!("nobody is asked to let us in")).await;
        let found = findings.last().unwrap();
        assert_eq!((found.check, found.outcome), ("server", Outcome::Bad));
        assert!(found.remedy.as_deref().unwrap().contains("sign-in page"), "{found:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_told_from_a_name_that_is_wrong() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let away = examine_by(&format!("http://{address}"), false, async || Ok(())).await;
        assert_eq!(outcome(&away, "network"), Some(Outcome::Bad));
        let wrong = examine_by("http://no-such-host.invalid", false, async || Ok(())).await;
        assert_eq!(outcome(&wrong, "dns"), Some(Outcome::Bad));
        let nonsense = examine_by("not an address", false, async || Ok(())).await;
        assert_eq!(outcome(&nonsense, "server"), Some(Outcome::Bad));
    }

    #[tokio::test]
    async fn a_device_the_server_let_go_is_told_so() {
        let address = serve(foreman(None)).await;
        let findings = examine_by(&address, false, async || anyhow::bail!("this device was removed")).await;
        let found = findings.last().unwrap();
        assert_eq!((found.check, found.outcome), ("sign_in", Outcome::Bad));
        assert!(found.found.contains("this device was removed"));
    }

    #[test]
    fn versions_are_compared_both_ways() {
        let found = |newest, oldest| {
            let body = json!({"protocol_version": newest, "oldest_protocol_version": oldest}).to_string();
            versions(body.as_bytes()).map(|finding| finding.outcome)
        };
        assert_eq!(found(PROTOCOL_VERSION, 1), Some(Outcome::Good));
        assert_eq!(found(PROTOCOL_VERSION + 1, 1), Some(Outcome::Doubtful));
        assert_eq!(found(PROTOCOL_VERSION + 2, PROTOCOL_VERSION + 1), Some(Outcome::Bad));
        assert_eq!(found(0, 0), Some(Outcome::Bad));
        assert_eq!(versions(b"ok"), None);
    }
}
