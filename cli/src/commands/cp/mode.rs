//! Who may do what with a file that was copied here.

use std::{io, path::Path};

/// As on the device.
#[cfg(unix)]
pub(super) async fn set(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    tokio::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o777)).await
}

/// As in the directory it is in: Windows has no such bits.
#[cfg(windows)]
pub(super) async fn set(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}
