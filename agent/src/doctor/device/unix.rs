//! Modes, limits, and the file system.

use std::{fs::Metadata, os::unix::fs::PermissionsExt as _, path::Path};

use foreman_services::Which;
use nix::sys::{
    resource::{Resource, getrlimit},
    statvfs::statvfs,
};

pub(super) const KEY_IS_THERE: &str = "The device's key is there, and only its user can read it";

/// How a user's service outlives the user's last login.
pub(super) const TO_STAY: &str = if cfg!(target_os = "linux") {
    foreman_services::LINGER
} else {
    "sudo foreman-agent install-service makes it one of the machine"
};

/// Where a service says why it stopped.
pub(super) fn why_stopped(which: &Which) -> String {
    let user = if which.user { " --user" } else { "" };
    let instance = which.instance.iter().map(|name| format!("-{name}")).collect::<String>();
    format!("`journalctl{user} -u foreman-agent{instance}` says why it stopped")
}

/// Whether other users can look into it.
pub(super) fn shared(file: &Metadata) -> bool {
    file.permissions().mode() & 0o077 != 0
}

/// Bytes that this user may still write there.
pub(super) fn free_space(path: &Path) -> Option<u64> {
    let info = path.ancestors().find_map(|path| statvfs(path).ok())?;
    #[allow(clippy::useless_conversion, reason = "these are 32 bits wide on some systems")]
    Some(u64::from(info.blocks_available()).saturating_mul(u64::from(info.fragment_size())))
}

pub(super) fn most_open_files() -> Option<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    #[allow(clippy::useless_conversion, reason = "this is 32 bits wide on some systems")]
    Some(u64::from(hard))
}
