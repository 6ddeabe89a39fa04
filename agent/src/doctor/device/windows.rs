//! What Windows tells of a disk.

use std::{fs::Metadata, path::Path};

use foreman_services::Which;
use sysinfo::Disks;

pub(super) const KEY_IS_THERE: &str =
    "The device's key is there; whoever may read the state directory can read it";

/// How a user's service outlives the user's last login; all of Windows do.
pub(super) const TO_STAY: &str = "foreman-agent install-service";

/// Where a service says why it stopped.
pub(super) fn why_stopped(_which: &Which) -> &'static str {
    "the newest file in `logs` of the state directory says why it stopped"
}

/// Who may read a file is as in the directory it is in, and that is not looked at here.
pub(super) fn shared(_file: &Metadata) -> bool {
    false
}

/// Bytes that are free on its drive.
pub(super) fn free_space(path: &Path) -> Option<u64> {
    let disks = Disks::new_with_refreshed_list().ok()?;
    let path = std::path::absolute(path).ok()?;
    let holding = disks.iter().filter(|disk| path.starts_with(disk.mount_point()));
    holding.max_by_key(|disk| disk.mount_point().as_os_str().len()).map(sysinfo::Disk::available_space)
}

/// Windows has no such limit.
pub(super) fn most_open_files() -> Option<u64> {
    None
}
