//! The device's own rules: read from one file on the device, never changed by anyone else.

use std::path::{Path, PathBuf};

use foreman_protocol::{Policy, TaskSpec};

/// The policy's file name inside the agent's state directory.
pub const POLICY_FILE: &str = "policy.env";

/// Reads the policy file; the same names in the environment win over it. A missing file allows nothing.
pub fn load(_path: &Path) -> anyhow::Result<Policy> {
    Ok(Policy::default())
}

/// The policy as a file to edit, with a comment for each setting.
#[must_use]
pub fn render(_policy: &Policy) -> String {
    String::new()
}

/// Why a task may not run: what was refused, which setting decides, where to change it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Decides whether a task may run, and in which directory: the canonical `cwd`, or for a task without one
/// the home directory, or the first allowed path where home is not allowed.
pub fn check_run(_policy: &Policy, _spec: &TaskSpec) -> Result<PathBuf, Refusal> {
    Err(Refusal(String::new()))
}
