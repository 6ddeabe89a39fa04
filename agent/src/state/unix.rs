//! Where a Unix keeps things, and how.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// `None` when the user has no home directory.
pub(super) fn default_dir() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/foreman-agent"));
    }
    let absolute = |path: &PathBuf| path.is_absolute();
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(absolute) {
        return Some(data.join("foreman-agent"));
    }
    let home = std::env::home_dir().filter(absolute)?;
    let data = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    Some(home.join(data).join("foreman-agent"))
}

/// So that a new name in it outlives a power failure.
pub(super) fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Another one for a file that takes the place of an old one.
pub(super) fn number(metadata: &Metadata) -> u64 {
    metadata.ino()
}

/// Its rights included, and nobody can set it back.
pub(super) fn changed(metadata: &Metadata) -> Option<SystemTime> {
    let seconds = Duration::from_secs(u64::try_from(metadata.ctime()).ok()?);
    let nanoseconds = Duration::from_nanos(u64::try_from(metadata.ctime_nsec()).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds + nanoseconds)
}
