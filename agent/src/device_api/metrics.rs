//! `GET /metrics`: how this machine is doing, each second while somebody looks.
//!
//! All who look share one sampler. It starts with the first of them and ends, with the programs it runs, with the last.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::State,
    response::sse::{Event, Sse},
    routing::get,
};
use foreman_machine::{
    probe::{ProbeOptions, detect},
    run::Moment,
    sample::{Sampler, SamplerOptions},
};
use foreman_protocol::{Capabilities, Level, PING_INTERVAL_S, Sample, StreamPing, TaskId};
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::{
    sync::{OnceCell, watch},
    time::{Interval, MissedTickBehavior, interval, sleep},
};

use super::{ApiResult, Caller};

/// The pace while somebody looks.
const EVERY: Duration = Duration::from_secs(1);
/// Shares and rates need two looks; the first ones are taken this close together so that nobody waits for them.
const FIRST_LOOKS: Duration = Duration::from_millis(250);

/// The measurements that everyone who looks shares.
#[derive(Debug)]
pub struct Metrics {
    probe: ProbeOptions,
    sampler: SamplerOptions,
    /// What to measure; detected when somebody looks for the first time.
    capabilities: OnceCell<Capabilities>,
    running: watch::Receiver<Vec<TaskId>>,
    samples: watch::Sender<Option<Arc<Sample>>>,
    measuring: Mutex<bool>,
}

impl Metrics {
    /// Measures nothing until somebody looks. `running` are the tasks that run now.
    #[must_use]
    pub fn new(
        probe: ProbeOptions,
        sampler: SamplerOptions,
        running: watch::Receiver<Vec<TaskId>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            probe,
            sampler: SamplerOptions { interval: EVERY, ..sampler },
            capabilities: OnceCell::new(),
            running,
            samples: watch::Sender::new(None),
            measuring: Mutex::new(false),
        })
    }

    /// Whether anything is measured now.
    #[must_use]
    pub fn is_measuring(&self) -> bool {
        *self.measuring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest measurement and each one after it, until the receiver is dropped. Call it inside a tokio runtime.
    #[must_use]
    pub fn look(self: &Arc<Self>) -> watch::Receiver<Option<Arc<Sample>>> {
        let mut measuring = self.measuring.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = self.samples.subscribe();
        if !std::mem::replace(&mut *measuring, true) {
            tokio::spawn(Arc::clone(self).measure());
        }
        samples
    }

    async fn measure(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.samples.closed() => {}
                () = self.sample() => {}
            }
            // Under the lock, so that nobody comes between the look and the end.
            let mut measuring = self.measuring.lock().unwrap_or_else(PoisonError::into_inner);
            if self.samples.receiver_count() == 0 {
                self.samples.send_replace(None);
                *measuring = false;
                return;
            }
        }
    }

    async fn sample(&self) {
        let mut sampler = Sampler::new(self.sampler.clone());
        let known = self.capabilities.initialized();
        let mut detection = std::pin::pin!(self.capabilities.get_or_init(|| detect(&self.probe)));
        if known {
            sampler.follow(detection.as_mut().await);
        }
        let mut detecting = !known;
        sampler.sample(0).await;
        sleep(FIRST_LOOKS).await;
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let running = u32::try_from(self.running.borrow().len()).unwrap_or(u32::MAX);
                    self.samples.send_replace(Some(Arc::new(sampler.sample(running).await)));
                }
                // What takes a while to find joins later; the rest is shown meanwhile.
                capabilities = &mut detection, if detecting => {
                    sampler.follow(capabilities);
                    detecting = false;
                }
            }
        }
    }
}

/// `/metrics`.
pub fn router(metrics: Arc<Metrics>) -> Router {
    Router::new().route("/metrics", get(live)).with_state(metrics)
}

async fn live(
    State(metrics): State<Arc<Metrics>>,
    Extension(caller): Extension<Caller>,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>> {
    caller.need(Level::View)?;
    let mut samples = metrics.look();
    // What was measured for others a moment ago is shown at once.
    samples.mark_changed();
    let mut pings = interval(Duration::from_secs(PING_INTERVAL_S));
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    Ok(Sse::new(stream::unfold((samples, pings), |(mut samples, mut pings)| async move {
        let event = next(&mut samples, &mut pings).await?;
        Some((Ok(event), (samples, pings)))
    })))
}

async fn next(samples: &mut watch::Receiver<Option<Arc<Sample>>>, pings: &mut Interval) -> Option<Event> {
    loop {
        tokio::select! {
            changed = samples.changed() => {
                changed.ok()?;
                if let Some(sample) = samples.borrow_and_update().clone() {
                    return Some(event("sample", &*sample));
                }
            }
            _ = pings.tick() => return Some(event("ping", &StreamPing { server_time: Moment::now().wall_ms })),
        }
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).json_data(data).unwrap_or_default()
}
