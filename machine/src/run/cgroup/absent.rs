//! Only Linux has control groups.

use std::path::PathBuf;

/// Always `None`.
#[must_use]
pub fn delegated_cgroup() -> Option<PathBuf> {
    None
}
