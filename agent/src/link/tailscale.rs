//! Offers the listener in the device's tailnet by `tailscale serve`, and takes back only what it offered.
//!
//! Spoken to is the `tailscale` program as its documentation describes it: `serve --bg --https=PORT TARGET`,
//! `serve --https=PORT off`, `serve status --json`, `status --json`. A tailnet that is down or forbids it is said in
//! `status` and tried again.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use foreman_protocol::LINK_PORT;
use serde::Deserialize;
use tokio::{process::Command, sync::watch, time::timeout};

use super::ways::{Way, Ways};
use crate::state::{remove_file, replace_file};

const PROGRAM: &str = "tailscale";
/// The port in the tailnet: 443 is for the user's own pages.
const HTTPS_PORT: u16 = LINK_PORT;
/// For one call of the program.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether the offer still stands.
const LOOK_EVERY: Duration = Duration::from_secs(120);

/// What of `tailscale status --json` matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    #[serde(default)]
    backend_state: String,
    #[serde(rename = "Self")]
    own: Option<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    /// With a dot at the end.
    #[serde(rename = "DNSName", default)]
    dns_name: String,
}

/// What of `tailscale serve status --json` matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Served {
    /// By `name:port`.
    web: BTreeMap<String, Site>,
    #[serde(rename = "TCP")]
    tcp: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Site {
    /// By path.
    handlers: BTreeMap<String, Handler>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Handler {
    proxy: Option<String>,
}

/// Keeps the offer standing for as long as it is polled, and says how it is.
/// `kept` is the file that remembers what was offered.
pub(super) async fn offer(port: u16, kept: &Path, ways: &watch::Sender<Ways>) {
    ways.send_modify(|ways| ways.tailscale = Some(Way::Starting));
    let mut said = None;
    loop {
        let way = match stand(port, kept).await {
            Ok(name) => Way::Up { name },
            Err(error) => Way::Down { error: format!("{error:#}") },
        };
        if said.as_ref() != Some(&way) {
            tracing::info!("the way through the tailnet: {way}");
            ways.send_modify(|ways| ways.tailscale = Some(way.clone()));
            said = Some(way);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Makes the offer when it does not stand, and gives its name.
///
/// # Errors
/// When there is no tailnet here, it forbids it, or the port serves something else, which is left as it is.
pub async fn stand(port: u16, kept: &Path) -> anyhow::Result<String> {
    let status: Status = ask(&["status", "--json"]).await?;
    let name = status.own.map(|own| own.dns_name.trim_end_matches('.').to_owned()).unwrap_or_default();
    if status.backend_state != "Running" || name.is_empty() {
        bail!(
            "this machine is not in a tailnet now (tailscale says {:?}); run `tailscale up`",
            status.backend_state
        );
    }
    let (named, target) = (format!("{name}:{HTTPS_PORT}"), target(port));
    match offered(&served().await?, &named) {
        Offered::To(there) if there == target => {}
        Offered::Others => {
            bail!("port {HTTPS_PORT} of the tailnet serves something else, which was left as it is")
        }
        // Of an earlier start, when the listener had another port.
        Offered::To(there) if remembered(kept).as_deref() != Some(&there) => {
            bail!("port {HTTPS_PORT} of the tailnet leads to {there}, which was left as it is")
        }
        Offered::To(_) | Offered::Nothing => {
            // Remembered first: what is not remembered could never be taken back.
            replace_file(kept, target.as_bytes(), false).context("what is offered cannot be remembered")?;
            call(&["serve", "--bg", &format!("--https={HTTPS_PORT}"), &target]).await?;
            if offered(&served().await?, &named) != Offered::To(target) {
                bail!("`tailscale serve` did not keep the offer");
            }
        }
    }
    Ok(named)
}

/// What people type to take the offer back.
pub(crate) fn undo() -> String {
    format!("{PROGRAM} serve --https={HTTPS_PORT} off")
}

/// Takes the offer back, when one is remembered and still stands as it was made. Other things that are served stay.
/// Says whether one was remembered.
///
/// # Errors
/// When the program fails; then it stays remembered.
pub async fn withdraw(kept: &Path) -> anyhow::Result<bool> {
    let Some(target) = remembered(kept) else { return Ok(false) };
    let ours =
        served().await?.web.into_iter().any(|(at, site)| {
            at.ends_with(&format!(":{HTTPS_PORT}")) && proxied(&site) == Some(target.as_str())
        });
    if ours {
        call(&["serve", &format!("--https={HTTPS_PORT}"), "off"]).await?;
    }
    remove_file(kept).context("what was offered cannot be forgotten")?;
    Ok(true)
}

fn remembered(kept: &Path) -> Option<String> {
    std::fs::read_to_string(kept).ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Offered {
    Nothing,
    /// All of it is handed on to there.
    To(String),
    Others,
}

fn offered(served: &Served, at: &str) -> Offered {
    match served.web.get(at) {
        Some(site) => proxied(site).map_or(Offered::Others, |target| Offered::To(target.to_owned())),
        None if served.tcp.contains_key(&HTTPS_PORT.to_string()) => Offered::Others,
        None => Offered::Nothing,
    }
}

/// The target of a site that hands everything on to one.
fn proxied(site: &Site) -> Option<&str> {
    match site.handlers.iter().next() {
        Some((path, handler)) if path == "/" && site.handlers.len() == 1 => handler.proxy.as_deref(),
        _ => None,
    }
}

fn target(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

async fn served() -> anyhow::Result<Served> {
    let text = call(&["serve", "status", "--json"]).await?;
    // Nothing at all is served.
    if text.trim().is_empty() {
        return Ok(Served::default());
    }
    serde_json::from_str(&text).context("what `tailscale serve status` says cannot be understood")
}

async fn ask<T: serde::de::DeserializeOwned>(words: &[&str]) -> anyhow::Result<T> {
    let text = call(words).await?;
    serde_json::from_str(&text)
        .with_context(|| format!("what `tailscale {}` says cannot be understood", words.join(" ")))
}

/// Runs the program to its end and gives its output.
async fn call(words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(PROGRAM);
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(PATIENCE, command.output()).await {
        Err(_) => bail!(
            "`tailscale {}` did not end within {} s; it may wait for consent in the tailnet's settings",
            words.join(" "),
            PATIENCE.as_secs()
        ),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("the program `tailscale` is not installed")
        }
        Ok(output) => output.context("`tailscale` cannot be started")?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        bail!("`tailscale {}` failed: {said}", words.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(json: &str) -> Served {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_served_there_is_told_apart() {
        let at = "spark.tail1234.ts.net:9981";
        let site = |handlers: &str| {
            served(&format!(
                r#"{{"TCP":{{"9981":{{"HTTPS":true}}}},"Web":{{"{at}":{{"Handlers":{handlers}}}}}}}"#
            ))
        };
        assert_eq!(offered(&served("{}"), at), Offered::Nothing);
        let proxy = site(r#"{"/":{"Proxy":"http://127.0.0.1:9981"}}"#);
        assert_eq!(offered(&proxy, at), Offered::To("http://127.0.0.1:9981".to_owned()));
        for others in [
            r#"{"/":{"Path":"/srv/www"}}"#,
            r#"{"/":{"Proxy":"http://127.0.0.1:9981"},"/other":{"Text":"hello"}}"#,
        ] {
            assert_eq!(offered(&site(others), at), Offered::Others, "{others}");
        }
        let forwarded = served(r#"{"TCP":{"9981":{"TCPForward":"127.0.0.1:22"}}}"#);
        assert_eq!(offered(&forwarded, at), Offered::Others);
    }
}
