//! Detects what this machine is and can do: hardware, drivers, toolkits, model servers.
//!
//! Every probe runs at the same time as the others, under a time limit of its own, and is allowed to give
//! nothing: what is missing, hangs or answers nonsense is listed with its reason and never fatal. Each
//! format is read by a pure function, so that it can be tried without the hardware.

mod amd;
mod command;
mod disk;
mod jetson;
mod nvidia;
mod ollama;
mod python;
mod system;
mod toolkits;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use foreman_protocol::{Capabilities, Gpu, SkippedProbe};

pub(crate) use amd::sample as sample_amd;
pub(crate) use command::{Group, Places};
pub(crate) use disk::space as disk_space;
pub(crate) use nvidia::number;
pub(crate) use ollama::loaded_models;
pub use ollama::{endpoint as ollama_endpoint, now as ollama_now};

/// Where the probes look and how long each may take.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// The agent's state directory: its file system is the disk that is reported.
    pub state_dir: PathBuf,
    /// The root of the file system to look at; `/` outside tests.
    pub root: PathBuf,
    /// Where programs are looked for; `None` is `PATH` and the places vendors install to.
    pub search_path: Option<OsString>,
    /// The most time one probe may take.
    pub time_limit: Duration,
    /// Ollama's address, in the form of `OLLAMA_HOST`.
    pub ollama_host: Option<String>,
    /// A checkout of Isaac Lab, as in `ISAACLAB_PATH`.
    pub isaac_lab_path: Option<PathBuf>,
    /// Python environments to look into besides the system's: `VIRTUAL_ENV`, `CONDA_PREFIX`, `~/.local`.
    pub python_prefixes: Vec<PathBuf>,
}

impl ProbeOptions {
    /// This machine, 3 s for each probe, and what the environment says of Ollama, Isaac Lab and Python.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        let directory = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            state_dir: state_dir.to_owned(),
            root: PathBuf::from("/"),
            search_path: None,
            time_limit: Duration::from_secs(3),
            ollama_host: std::env::var("OLLAMA_HOST").ok(),
            isaac_lab_path: directory("ISAACLAB_PATH"),
            python_prefixes: ["VIRTUAL_ENV", "CONDA_PREFIX"]
                .into_iter()
                .filter_map(directory)
                .chain(std::env::home_dir().map(|home| home.join(".local")))
                .collect(),
        }
    }

    fn places(&self) -> Places {
        Places::new(self.search_path.as_deref())
    }
}

/// A probe gave nothing: the reason, in a few words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skip(String);

impl Skip {
    fn not_installed() -> Self {
        Self("not installed".into())
    }

    /// A program's own words, cut to one short line.
    fn said(text: &str) -> Self {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unexpected output");
        Self(line.chars().filter(|c| !c.is_control()).take(200).collect())
    }
}

/// Runs every probe at once. Never fails: what is missing or hangs is listed in `skipped` with its reason.
pub async fn detect(options: &ProbeOptions) -> Capabilities {
    let places = &options.places();
    let root = &options.root;
    let system = system::detect(options).await;
    let memory = system.memory_total;
    let limit = options.time_limit;

    let (nvidia, amd, jetson, cuda, tensorrt, isaac_lab, python, docker, ollama) = tokio::join!(
        limited(limit, nvidia::probe(places, memory)),
        limited(limit, blocking(root, amd::probe)),
        limited(limit, blocking(root, jetson::probe)),
        limited(limit, toolkits::cuda(places, root)),
        limited(limit, toolkits::tensorrt(places, options)),
        limited(limit, toolkits::isaac_lab(options)),
        limited(limit, toolkits::python(places)),
        limited(limit, toolkits::docker(places)),
        limited(limit, ollama::probe(options.ollama_host.as_deref())),
    );

    let mut skipped = Vec::new();
    let mut all = Capabilities { probed_at: now(), ..system };
    all.gpus = keep("nvidia-smi", nvidia, &mut skipped).unwrap_or_default();
    if let Some(jetson) = keep("jetson", jetson, &mut skipped) {
        all.gpus = jetson.gpus(std::mem::take(&mut all.gpus), memory);
        all.board = Some(jetson.board);
        all.l4t = jetson.l4t;
    }
    all.gpus.extend(keep("amdgpu", amd, &mut skipped).unwrap_or_default());
    all.gpus.extend(apple_gpu(&all));
    all.cuda = keep("cuda", cuda, &mut skipped);
    all.tensorrt = keep("tensorrt", tensorrt, &mut skipped);
    all.isaac_lab = keep("isaac-lab", isaac_lab, &mut skipped);
    all.python = keep("python", python, &mut skipped);
    all.docker = keep("docker", docker, &mut skipped);
    all.ollama = keep("ollama", ollama, &mut skipped);
    all.skipped = skipped;
    all
}

/// Apple silicon names its GPU after the chip and shares its memory.
fn apple_gpu(all: &Capabilities) -> Option<Gpu> {
    all.cpu.model.starts_with("Apple ").then(|| Gpu {
        name: all.cpu.model.clone(),
        memory_total: Some(all.memory_total),
        unified_memory: true,
        ..Gpu::default()
    })
}

fn keep<T>(probe: &str, found: Result<T, Skip>, skipped: &mut Vec<SkippedProbe>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(Skip(reason)) => {
            skipped.push(SkippedProbe { probe: probe.to_owned(), reason });
            None
        }
    }
}

/// Ends a probe at its limit. Dropping it kills the process group of whatever it was running.
async fn limited<T>(limit: Duration, probe: impl Future<Output = Result<T, Skip>>) -> Result<T, Skip> {
    match tokio::time::timeout(limit, probe).await {
        Ok(found) => found,
        Err(_) => Err(Skip(format!("took longer than {limit:?}"))),
    }
}

/// Runs a probe that only reads files away from the runtime: a network file system may hang.
async fn blocking<T: Send + 'static>(
    root: &Path,
    probe: impl FnOnce(&Path) -> Result<T, Skip> + Send + 'static,
) -> Result<T, Skip> {
    let root = root.to_owned();
    tokio::task::spawn_blocking(move || probe(&root))
        .await
        .unwrap_or_else(|_| Err(Skip("stopped unexpectedly".into())))
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

/// Gives any text to every parser of this module, for the fuzzer.
#[cfg(fuzzing)]
pub fn read_anything(text: &str) {
    jetson::parse_release(text);
    toolkits::parse_nvcc(text);
    toolkits::parse_cuda_json(text);
    toolkits::parse_cuda_text(text);
    toolkits::parse_dpkg(text);
    toolkits::parse_trtexec(text);
    toolkits::parse_extension(text);
    toolkits::parse_docker(text);
    nvidia::parse(text, 1 << 37);
    ollama::parse_models(text.as_bytes());
}
