//! Keeps `cloudflared` running where the server made a Cloudflare Tunnel for this device.
//!
//! Where the tunnel leads is decided at Cloudflare, by whoever made it: to the listener, as an honest server has it, or
//! to any other port or socket of this machine. So it runs only where that server may run commands anyway, or where
//! somebody on the device asked for it: then it is watched, and ended for good once it is led anywhere but to the
//! listener. Here is only the program, its token (in its environment, never on a command line) and its output in the
//! agent's log.

mod ingress;
mod leftover;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use foreman_machine::policy;
use foreman_protocol::TunnelToken;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    gate::Gate,
    ways::{Way, Ways},
};
use crate::{line::Line, uplink::Uplink};

const PROGRAM: &str = "cloudflared";
/// How often the server is asked whether there is a tunnel, besides each time it is heard again.
const ASK_EVERY: Duration = Duration::from_secs(600);
/// A line of the program is not read further, in bytes.
const LONGEST_LINE: usize = 4096;
/// A program that ran this long did work.
const HEALTHY: Duration = Duration::from_secs(60);
/// Between two starts.
const RESTART: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_factor(2.0)
    .with_max_delay(Duration::from_secs(300))
    .with_jitter()
    .without_max_times();

/// How often it is looked whether the device still consents.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const NOT_ALLOWED: &str = "it is not run, because where it leads is the server's to say. It needs --cloudflare, or \
    ALLOW_BASH in the policy and `foreman-agent trust dashboard operate`";
const SWITCHED_OFF: &str = "it is not run, because it was switched off here with --cloudflare=false";

/// Whether a tunnel may run here.
pub(super) struct Consent {
    pub gate: Arc<Gate>,
    /// The policy's file.
    pub policy: PathBuf,
    /// What somebody on this device said of it.
    pub choice: Option<bool>,
    /// The listener's.
    pub port: u16,
}

/// How far a tunnel may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The server may run commands here, and so gains nothing by one that leads elsewhere.
    Anywhere,
    Only(u16),
}

impl Consent {
    fn given(&self) -> Result<Reach, &'static str> {
        let trusted = || {
            policy::load(&self.policy).is_ok_and(|policy| policy.allow_bash)
                && self.gate.tasks_allowed().is_ok()
        };
        match self.choice {
            Some(false) => Err(SWITCHED_OFF),
            _ if trusted() => Ok(Reach::Anywhere),
            Some(true) => Ok(Reach::Only(self.port)),
            None => Err(NOT_ALLOWED),
        }
    }

    async fn other_than(&self, was: Result<Reach, &'static str>) {
        while self.given() == was {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Runs the tunnel while there is one, for as long as it is polled. `kept` is the file that remembers the program.
pub(super) async fn supervise(
    uplink: &Arc<Uplink>,
    consent: &Consent,
    kept: &Path,
    mut line: watch::Receiver<Line>,
    ways: &watch::Sender<Ways>,
) {
    leftover::end(kept);
    let mut tunnel: Option<TunnelToken> = None;
    loop {
        let given = consent.given();
        if let (Some(_), Err(why)) = (&tunnel, given) {
            tracing::warn!("the Cloudflare Tunnel: {why}");
            ways.send_modify(|ways| ways.cloudflare = Some(Way::Down { error: why.to_owned() }));
        }
        let other = tokio::select! {
            () = run(tunnel.as_ref().zip(given.ok()), kept, ways) => return,
            () = consent.other_than(given) => continue,
            other = until_other(uplink, &mut line, tunnel.as_ref()) => other,
        };
        tunnel = other;
        tracing::info!(
            hostname = tunnel.as_ref().map(|tunnel| tunnel.hostname.as_str()),
            "the server's word on a Cloudflare Tunnel"
        );
        if tunnel.is_none() {
            ways.send_modify(|ways| ways.cloudflare = None);
        }
    }
}

/// Asks until the server names another tunnel than this one, or none.
async fn until_other(
    uplink: &Uplink,
    line: &mut watch::Receiver<Line>,
    known: Option<&TunnelToken>,
) -> Option<TunnelToken> {
    let same = |tunnel: Option<&TunnelToken>| {
        let what = |tunnel: &TunnelToken| (tunnel.token.clone(), tunnel.hostname.clone());
        tunnel.map(what) == known.map(what)
    };
    loop {
        if line.borrow_and_update().is_up() {
            match uplink.tunnel().await {
                Ok(tunnel) if !same(tunnel.as_ref()) => return tunnel,
                Ok(_) => {}
                // Not a word on tunnels: what runs goes on.
                Err(error) => tracing::debug!(%error, "the server did not say whether there is a tunnel"),
            }
        }
        tokio::select! {
            changed = line.changed() => if changed.is_err() {
                return std::future::pending().await;
            },
            () = tokio::time::sleep(ASK_EVERY) => {}
        }
    }
}

/// Starts the program again whenever it ends; waits forever without a tunnel, and after one that led elsewhere.
async fn run(tunnel: Option<(&TunnelToken, Reach)>, kept: &Path, ways: &watch::Sender<Ways>) {
    let Some((TunnelToken { token, hostname }, reach)) = tunnel else { return std::future::pending().await };
    let say = |way: Way| {
        ways.send_if_modified(|ways| {
            let new = ways.cloudflare.as_ref() != Some(&way);
            ways.cloudflare = Some(way);
            new
        });
    };
    let mut pauses = RESTART.build();
    say(Way::Starting);
    loop {
        let started = Instant::now();
        let error = match start(token) {
            Ok(child) => {
                if let Some(pid) = child.id() {
                    leftover::remember(kept, pid);
                }
                match attend(child, reach, || say(Way::Up { name: hostname.clone() })).await {
                    Ended::Itself(why) => why,
                    Ended::Elsewhere(place) => {
                        let error = format!(
                            "it was ended, because it was led to {place} and not to the device link. The server, or its \
                             account at Cloudflare, is not what it should be. It stays off until the agent starts again"
                        );
                        tracing::error!(%place, "the Cloudflare Tunnel: {error}");
                        say(Way::Down { error });
                        return std::future::pending().await;
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                "the program `cloudflared` is not installed".to_owned()
            }
            Err(error) => format!("`cloudflared` cannot be started: {error}"),
        };
        if started.elapsed() >= HEALTHY {
            pauses = RESTART.build();
        }
        let pause = pauses.next().unwrap_or(HEALTHY);
        tracing::warn!(%error, retry_s = pause.as_secs(), "the Cloudflare Tunnel is down and is tried again");
        say(Way::Down { error });
        sleep_until(Instant::now() + pause).await;
    }
}

fn start(token: &str) -> std::io::Result<Child> {
    Command::new(PROGRAM)
        .args(["tunnel", "--no-autoupdate", "run"])
        .env("TUNNEL_TOKEN", token)
        // Where it leads is told at this level.
        .env("TUNNEL_LOGLEVEL", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Why the program does not run any more.
enum Ended {
    Itself(String),
    /// It was led there.
    Elsewhere(String),
}

/// Reads the program's output until it ends, or ends it when it leads further than it may.
async fn attend(mut child: Child, reach: Reach, connected: impl Fn()) -> Ended {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let mut last = String::new();
    let (strays, stray) = watch::channel(None);
    let strayed = async {
        let mut stray = stray;
        match stray.wait_for(Option::is_some).await {
            Ok(place) => place.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    };
    {
        let hear = |line: &str| {
            tracing::info!("cloudflared: {line}");
            if let Reach::Only(port) = reach
                && let Some(place) = ingress::elsewhere(line, port)
            {
                strays.send_replace(Some(place));
            }
            // Its own words for one of its connections to Cloudflare standing.
            if line.contains("Registered tunnel connection") {
                connected();
            }
        };
        let listening = async {
            tokio::join!(read_lines(out, hear), async {
                read_lines(err, |line| {
                    hear(line);
                    last = line.to_owned();
                })
                .await;
            })
        };
        tokio::select! {
            // First: it must not serve a moment longer.
            biased;
            place = strayed => {
                let _ = child.kill().await;
                return Ended::Elsewhere(place);
            }
            _ = listening => {}
        }
    }
    Ended::Itself(match child.wait().await {
        Ok(status) if last.is_empty() => format!("`cloudflared` ended ({status})"),
        Ok(status) => format!("`cloudflared` ended ({status}): {last}"),
        Err(error) => format!("`cloudflared` was lost: {error}"),
    })
}

async fn read_lines(from: Option<impl AsyncRead + Unpin>, mut each: impl FnMut(&str)) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = tokio::io::AsyncReadExt::take(&mut from, LONGEST_LINE as u64);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => each(String::from_utf8_lossy(&line).trim_end()),
        }
    }
}
