//! Where Windows keeps things, and how.

use std::{
    fs::Metadata,
    io,
    os::windows::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// In the local profile, which Windows keeps for this user, the system and administrators. `None` without one.
pub(super) fn default_dir() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let local = std::env::var_os("LOCALAPPDATA").map(PathBuf::from).filter(absolute);
    let local =
        local.or_else(|| std::env::home_dir().filter(absolute).map(|home| home.join(r"AppData\Local")))?;
    Some(local.join("Foreman").join("agent"))
}

/// Nothing to do: a directory cannot be opened for that, and its changes are in the file system's own journal.
pub(super) fn sync_directory(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// When the file was made, because the number that Windows gives a file cannot be asked of its name.
pub(super) fn number(metadata: &Metadata) -> u64 {
    metadata.creation_time()
}

/// When its content was.
pub(super) fn changed(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}
