//! Measures how this machine is doing, cheaply enough for every heartbeat.
//!
//! Only what a [`Sample`] shows is read, never the list of processes, and the reading happens away from the
//! runtime, because a sensor on a slow bus can take its time. GPU tools run as one child each that reports
//! at the pace of the heartbeats: in a process of their own a hanging driver cannot hold the agent, and the
//! vendor's library does not count towards the agent's memory.

mod nvidia;
mod reporter;
mod system;
mod tegra;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use foreman_protocol::{Capabilities, GpuSample, Sample};

use crate::probe::{Places, loaded_models, sample_amd};
use reporter::Reporter;
use system::{Reading, SystemReader};
use tegra::TegraReport;

/// A measurement does not wait longer for the system than this; it then repeats what it knows.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to measure, and how often the slow sources report.
#[derive(Debug, Clone)]
pub struct SamplerOptions {
    /// The disk that is reported is the one holding this directory.
    pub state_dir: PathBuf,
    /// How often the GPU tools report: the pace of heartbeats.
    pub interval: Duration,
    /// Where programs are looked for; `None` is `PATH` and the places vendors install to.
    pub search_path: Option<OsString>,
    /// The root of the file system to look at; `/` outside tests.
    pub root: PathBuf,
}

impl SamplerOptions {
    /// The pace of heartbeats, 10 s.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            interval: Duration::from_secs(10),
            search_path: None,
            root: PathBuf::from("/"),
        }
    }
}

/// Holds what the next measurement needs from the one before. Dropping it ends its child processes.
#[derive(Debug)]
pub struct Sampler {
    options: SamplerOptions,
    system: Arc<Mutex<SystemReader>>,
    latest: Reading,
    nvidia: Option<Reporter<Vec<GpuSample>>>,
    tegra: Option<Reporter<TegraReport>>,
    amd: bool,
    ollama: Option<String>,
}

impl Sampler {
    /// Measures no GPU and no Ollama until [`Sampler::follow`].
    #[must_use]
    pub fn new(options: SamplerOptions) -> Self {
        let system = Arc::new(Mutex::new(SystemReader::new(&options.state_dir)));
        Self {
            options,
            system,
            latest: Reading::default(),
            nvidia: None,
            tegra: None,
            amd: false,
            ollama: None,
        }
    }

    /// Measures what these capabilities name (NVIDIA, Jetson, AMD, Ollama). Call it after each detection,
    /// inside a tokio runtime.
    pub fn follow(&mut self, capabilities: &Capabilities) {
        let places = Places::new(self.options.search_path.as_deref());
        let interval = self.options.interval;
        let jetson = capabilities.board.is_some();
        // On a Jetson, nvidia-smi is absent or answers nothing but [N/A].
        let nvidia = !jetson && capabilities.gpus.iter().any(|gpu| gpu.driver.is_some());
        if !nvidia {
            self.nvidia = None;
        } else if self.nvidia.is_none() {
            self.nvidia = nvidia::report(&places, interval);
        }
        if !jetson {
            self.tegra = None;
        } else if self.tegra.is_none() {
            self.tegra = tegra::report(&places, interval);
        }
        self.amd = !jetson && capabilities.gpus.len() > usize::from(nvidia) && has_amd(capabilities);
        self.ollama = capabilities.ollama.as_ref().map(|ollama| ollama.endpoint.clone());
    }

    /// One measurement. Rates are since the call before, and 0 at the first.
    pub async fn sample(&mut self, running_tasks: u32) -> Sample {
        let (reading, loaded) = tokio::join!(self.read_system(), async {
            match &self.ollama {
                Some(endpoint) => loaded_models(endpoint).await,
                None => Vec::new(),
            }
        });
        if let Some(reading) = reading {
            self.latest = reading;
        }
        let reading = self.latest.clone();
        let tegra = self.tegra.as_ref().and_then(Reporter::latest);
        let mut gpus = self.nvidia.as_ref().and_then(Reporter::latest).unwrap_or_default();
        gpus.extend(tegra.map(|report| report.gpu));
        let shift = u32::try_from(gpus.len()).unwrap_or_default();
        gpus.extend(reading.amd.into_iter().map(|gpu| GpuSample { index: gpu.index + shift, ..gpu }));
        let loaded_models = loaded.iter().map(|(name, _)| name.clone()).collect();
        let contexts: BTreeMap<String, u32> =
            loaded.into_iter().filter_map(|(name, context)| Some((name, context?))).collect();
        let loaded_context = (!contexts.is_empty()).then_some(contexts);
        Sample { gpus, running_tasks, loaded_models, loaded_context, ..reading.sample }
    }

    /// `None` when the system does not answer in time; the reading under way is then left to finish.
    async fn read_system(&self) -> Option<Reading> {
        let system = self.system.clone();
        let root = self.amd.then(|| self.options.root.clone());
        let read = tokio::task::spawn_blocking(move || match system.try_lock() {
            Ok(mut reader) => Some(reader.read(root.as_deref())),
            Err(std::sync::TryLockError::Poisoned(reader)) => {
                Some(PoisonError::into_inner(reader).read(root.as_deref()))
            }
            Err(std::sync::TryLockError::WouldBlock) => None,
        });
        tokio::time::timeout(PATIENCE, read).await.ok()?.ok()?
    }
}

/// AMD's driver names no version of its own, unlike NVIDIA's, and Apple's memory is unified.
fn has_amd(capabilities: &Capabilities) -> bool {
    capabilities.gpus.iter().any(|gpu| gpu.driver.is_none() && !gpu.unified_memory)
}

/// AMD cards, only where there are any.
fn amd(root: Option<&Path>) -> Vec<GpuSample> {
    root.map(sample_amd).unwrap_or_default()
}

/// Gives any text to every parser of this module, for the fuzzer.
#[cfg(fuzzing)]
pub fn read_anything(text: &str) {
    nvidia::parse(text);
    tegra::parse(text);
}
