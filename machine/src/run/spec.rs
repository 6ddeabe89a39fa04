//! What a supervisor is told: the command, ready to run, and its limits.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use foreman_protocol::{TaskCommand, TaskSpec};
use serde::{Deserialize, Serialize};

#[cfg(unix)]
use unix::shell_line;
#[cfg(windows)]
use windows::shell_line;

/// One command as its supervisor runs it. The environment may hold secrets, so its file is private and is
/// removed once the command has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    pub program: String,
    pub args: Vec<String>,
    pub cwd: PathBuf,
    /// Set on top of what the supervisor inherits.
    pub env: BTreeMap<String, String>,
    pub timeout: Option<Duration>,
    pub limits: Limits,
    /// A cgroup v2 directory this task may make its own below; see [`super::delegated_cgroup`].
    pub cgroup: Option<PathBuf>,
}

/// What a task may hold and how long it may take to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of output on disk that nobody has taken yet; the task waits when it is reached.
    pub spool: u64,
    /// Between the request to end and the kill.
    pub stop_grace: Duration,
    /// Open files in each process of the task.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { spool: 64 << 20, stop_grace: Duration::from_secs(10), open_files: 65_536 }
    }
}

impl RunSpec {
    /// The command of a task, to be run in `cwd`. A shell line goes to bash where there is one, else to
    /// sh; on Windows to `cmd`.
    #[must_use]
    pub fn new(task: &TaskSpec, cwd: &Path, limits: Limits, cgroup: Option<PathBuf>) -> Self {
        let (program, args) = match &task.command {
            TaskCommand::Program { program, args } => (program.clone(), args.clone()),
            TaskCommand::Shell { shell } => shell_line(shell),
        };
        let timeout = task.timeout_s.map(Duration::from_secs);
        Self { program, args, cwd: cwd.to_owned(), env: task.env.clone(), timeout, limits, cgroup }
    }
}
