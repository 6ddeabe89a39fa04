//! Heartbeats and facts: how the machine is, what it is, and what it allows.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use foreman_link::http::RequestError;
use foreman_machine::{
    policy,
    probe::{ProbeOptions, detect, ollama_now},
    sample::{Sampler, SamplerOptions},
};
use foreman_protocol::{Capabilities, DeviceFacts, LinkFacts, Ollama, PROTOCOL_VERSION, Policy, TaskId};
use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    agent::Progress,
    line::Line,
    link::Handle,
    state::{Stamp, stamp},
    uplink::{Uplink, is_gone},
};

/// How often capabilities are detected without being asked.
const DETECT_EVERY: Duration = Duration::from_secs(3600);
/// How often Ollama is looked at: it starts and stops, and people pull models by hand.
const LOOK_AT_OLLAMA_EVERY: Duration = Duration::from_secs(15);
/// One that does not answer within this is busy, and has not changed.
const OLLAMA_PATIENCE: Duration = Duration::from_secs(3);
/// Until the server names its own pace.
const FIRST_PACE: Duration = Duration::from_secs(10);

/// See the module.
pub struct Vitals {
    pub uplink: Arc<Uplink>,
    pub state_dir: PathBuf,
    pub policy: PathBuf,
    pub link: Handle,
    pub running: watch::Receiver<Vec<TaskId>>,
    pub line: watch::Receiver<Line>,
    /// Rung when the server asks to detect capabilities again.
    pub probe: Arc<Notify>,
    /// Rung when models of Ollama came or went.
    pub models_changed: Arc<Notify>,
    pub progress: Option<mpsc::UnboundedSender<Progress>>,
}

/// What a look at Ollama gave; nothing when it took too long.
type Looked = Option<Option<Ollama>>;

/// What was detected and what of it the server has.
struct Facts {
    capabilities: Option<Capabilities>,
    detecting: Option<BoxFuture<'static, Capabilities>>,
    detect_at: Instant,
    looking: Option<BoxFuture<'static, Looked>>,
    look_at: Instant,
    /// The policy file as it was when it was last told.
    policy_seen: Option<Stamp>,
    link_seen: Option<LinkFacts>,
    told: bool,
}

impl Vitals {
    /// Reports for as long as it is polled; ends when this device is gone from the server.
    pub async fn report(mut self) {
        let mut sampler = Sampler::new(SamplerOptions::new(&self.state_dir));
        let mut facts = Facts {
            capabilities: None,
            detecting: None,
            detect_at: Instant::now(),
            looking: None,
            look_at: Instant::now() + LOOK_AT_OLLAMA_EVERY,
            policy_seen: None,
            link_seen: None,
            told: false,
        };
        let mut pace = FIRST_PACE;
        let mut beat_at = Instant::now();
        let mut line_was_up = self.line.borrow_and_update().is_up();
        let (mut gate, mut ways) = (self.link.gate().changes(), self.link.ways());
        loop {
            if facts.detecting.is_none() && Instant::now() >= facts.detect_at {
                facts.detect(&self.state_dir);
            }
            tokio::select! {
                capabilities = finished(&mut facts.detecting) => {
                    facts.detecting = None;
                    sampler.follow(&capabilities);
                    self.progress(|| Progress::Detected(Box::new(capabilities.clone())));
                    facts.capabilities = Some(capabilities);
                    facts.told = false;
                }
                // Another key, other owners, another way: whoever looks for this device has to know.
                _ = gate.changed() => facts.told &= facts.link_seen == self.link.facts(),
                _ = ways.changed() => facts.told &= facts.link_seen == self.link.facts(),
                () = self.probe.notified() => facts.detect_at = Instant::now(),
                // Also while a look is under way, which may have come too early to see it.
                () = self.models_changed.notified() => facts.look(),
                () = sleep_until(facts.look_at) => facts.look(),
                looked = finished(&mut facts.looking) => {
                    facts.looking = None;
                    if let Some(found) = facts.take(looked) {
                        sampler.follow(found);
                    }
                }
                // The server may have been restarted: it sees this device as soon as it can.
                _ = self.line.changed() => {
                    let up = self.line.borrow_and_update().is_up();
                    if up && !line_was_up {
                        beat_at = Instant::now();
                    }
                    line_was_up = up;
                    continue;
                }
                () = sleep_until(beat_at) => {
                    let running = u32::try_from(self.running.borrow().len()).unwrap_or(u32::MAX);
                    let sample = sampler.sample(running).await;
                    match self.uplink.heartbeat(&sample).await {
                        Ok(answer) => {
                            pace = Duration::from_secs(answer.heartbeat_s.clamp(1, 3600).into());
                            self.progress(|| Progress::Beat);
                            if let Some(key) = self.uplink.server_link_key() {
                                self.link.gate().meet_server(key);
                            }
                        }
                        Err(error) if is_gone(&error) => return,
                        Err(error) => tracing::debug!(%error, "a heartbeat was not delivered"),
                    }
                    // Not in step with other agents that were started by the same event.
                    beat_at = Instant::now() + pace.mul_f32(0.95 + rand::random::<f32>() * 0.1);
                    facts.told &= facts.policy_seen == stamp(&self.policy);
                    facts.told &= facts.link_seen == self.link.facts();
                }
            }
            if let Err(error) = self.tell(&mut facts).await {
                if is_gone(&error) {
                    return;
                }
                tracing::warn!(%error, "capabilities could not be delivered; this is tried again");
            }
        }
    }

    async fn tell(&self, facts: &mut Facts) -> Result<(), RequestError> {
        let Some(capabilities) = facts.capabilities.as_ref().filter(|_| !facts.told) else { return Ok(()) };
        facts.policy_seen = stamp(&self.policy);
        facts.link_seen = self.link.facts();
        let policy = policy::load(&self.policy).unwrap_or_else(|error| {
            let error = format!("{error:#}");
            tracing::error!(%error, "the policy cannot be read, so nothing is allowed");
            Policy::default()
        });
        let sent = DeviceFacts {
            capabilities: capabilities.clone(),
            policy,
            agent_version: crate::VERSION.to_owned(),
            protocol_version: PROTOCOL_VERSION,
            link: facts.link_seen.clone(),
        };
        self.uplink.facts(&sent).await?;
        facts.told = true;
        self.progress(|| Progress::Told);
        Ok(())
    }

    fn progress(&self, progress: impl FnOnce() -> Progress) {
        if let Some(sender) = &self.progress {
            let _ = sender.send(progress());
        }
    }
}

impl Facts {
    fn detect(&mut self, state_dir: &Path) {
        let options = ProbeOptions::new(state_dir);
        // By itself, because the probes' time limits go on while a heartbeat waits for its answer.
        let detecting = tokio::spawn(async move { detect(&options).await });
        self.detecting = Some(detecting.map(Result::unwrap_or_default).boxed());
        self.detect_at = Instant::now() + DETECT_EVERY;
    }

    fn look(&mut self) {
        let looking = tokio::spawn(async {
            let host = std::env::var("OLLAMA_HOST").ok();
            timeout(OLLAMA_PATIENCE, ollama_now(host.as_deref())).await.ok()
        });
        self.looking = Some(looking.map(Result::unwrap_or_default).boxed());
        self.look_at = Instant::now() + LOOK_AT_OLLAMA_EVERY;
    }

    /// Puts what a look found in its place; what is known now when that is another.
    fn take(&mut self, looked: Looked) -> Option<&Capabilities> {
        let (known, found) = (self.capabilities.as_mut()?, looked?);
        if known.ollama == found {
            return None;
        }
        known.skipped.retain(|skipped| skipped.probe != "ollama" || found.is_none());
        known.ollama = found;
        self.told = false;
        Some(known)
    }
}

async fn finished<T>(work: &mut Option<BoxFuture<'static, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}
