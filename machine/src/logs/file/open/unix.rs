//! By handles, which say where they lead.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// A handle that names the file and touches nothing: opening a device can already do something.
#[cfg(target_os = "linux")]
pub(super) fn handle(path: &Path) -> io::Result<File> {
    use nix::{
        fcntl::{OFlag, open},
        sys::stat::Mode,
    };
    Ok(File::from(open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?))
}

#[cfg(target_os = "linux")]
fn own_link(handle: &File) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

#[cfg(target_os = "linux")]
pub(super) fn place(handle: &File, _asked: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    if handle.metadata()?.nlink() == 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    std::fs::read_link(own_link(handle))
}

#[cfg(target_os = "linux")]
pub(super) fn reopen(handle: File) -> io::Result<File> {
    File::open(own_link(&handle))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn handle(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    std::fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

#[cfg(target_os = "macos")]
pub(super) fn place(handle: &File, _asked: &Path) -> io::Result<PathBuf> {
    let mut real = PathBuf::new();
    nix::fcntl::fcntl(handle, nix::fcntl::FcntlArg::F_GETPATH(&mut real))?;
    Ok(real)
}

/// Where the system does not say where a handle lies, the path has to lead to the same file twice.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn place(handle: &File, asked: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let real = asked.canonicalize()?;
    let (there, here) = (std::fs::symlink_metadata(&real)?, handle.metadata()?);
    if (there.dev(), there.ino()) != (here.dev(), here.ino()) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(real)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn reopen(handle: File) -> io::Result<File> {
    Ok(handle)
}
