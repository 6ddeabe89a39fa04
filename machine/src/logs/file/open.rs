//! Opens a log file so that no link, pipe or device leads anywhere else than the device's rules allow.
//!
//! What is decided about is the open handle, not the path: first a handle that can do nothing, then what it really
//! is and where it really lies, and only then a way to read it. So nothing can be put in between.

use std::{
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
};

use foreman_protocol::Policy;

use super::super::OpenError;
use crate::policy;

/// Which files may be read as logs.
#[derive(Debug, Clone)]
pub(in crate::logs) struct Rules {
    /// The policy's file: looked at for each opening, so that a change holds at once.
    pub policy: PathBuf,
    /// The agent's own directory, with its keys: never, whatever the policy says.
    pub private: PathBuf,
}

impl Rules {
    pub(in crate::logs) fn open(&self, path: &Path) -> Result<File, OpenError> {
        let told = |error: io::Error| unreadable(path, &error);
        let handle = handle(path).map_err(told)?;
        regular(path, &handle.metadata().map_err(told)?)?;
        let real = place(&handle, path).map_err(told)?;
        self.admit(&real)?;
        reopen(handle).map_err(told)
    }

    fn admit(&self, real: &Path) -> Result<(), OpenError> {
        let policy = policy::load(&self.policy).unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "the policy cannot be read, so nothing is allowed");
            Policy::default()
        });
        if !policy.allow_logs {
            return Err(OpenError::Refused {
                setting: "ALLOW_LOGS",
                message: "This device shows no logs: ALLOW_LOGS is off. Only the device can change that, in its policy.env."
                    .to_owned(),
            });
        }
        let private = self.private.canonicalize().unwrap_or_else(|_| self.private.clone());
        if real.starts_with(&private) {
            return Err(OpenError::Refused {
                setting: "BLOCKED_PATHS",
                message: format!("{} belongs to the agent itself and is never shown.", real.display()),
            });
        }
        policy::admit(&policy, real)
            .map_err(|refusal| OpenError::Refused { setting: "ALLOWED_PATHS", message: refusal.to_string() })
    }
}

fn regular(path: &Path, facts: &Metadata) -> Result<(), OpenError> {
    if facts.is_file() {
        return Ok(());
    }
    let kind = if facts.is_dir() { "a directory" } else { "a pipe, a socket or a device" };
    Err(OpenError::Invalid {
        field: "source",
        message: format!("{} is {kind}; only a file has lines to read.", path.display()),
    })
}

pub(in crate::logs) fn unreadable(path: &Path, error: &io::Error) -> OpenError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            OpenError::NotFound(format!("There is no file {path} on this device."))
        }
        io::ErrorKind::PermissionDenied => {
            OpenError::Unavailable(format!("The agent's user may not read {path}."))
        }
        _ => OpenError::Unavailable(format!("{path} cannot be read: {error}.")),
    }
}

/// A handle that names the file and touches nothing: opening a device can already do something.
#[cfg(target_os = "linux")]
fn handle(path: &Path) -> io::Result<File> {
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
fn place(handle: &File, _asked: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    if handle.metadata()?.nlink() == 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    std::fs::read_link(own_link(handle))
}

#[cfg(target_os = "linux")]
fn reopen(handle: File) -> io::Result<File> {
    File::open(own_link(&handle))
}

#[cfg(not(target_os = "linux"))]
fn handle(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY;
    std::fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

#[cfg(target_os = "macos")]
fn place(handle: &File, _asked: &Path) -> io::Result<PathBuf> {
    let mut real = PathBuf::new();
    nix::fcntl::fcntl(handle, nix::fcntl::FcntlArg::F_GETPATH(&mut real))?;
    Ok(real)
}

/// Where the system does not say where a handle lies, the path has to lead to the same file twice.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn place(handle: &File, asked: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let real = asked.canonicalize()?;
    let (there, here) = (std::fs::symlink_metadata(&real)?, handle.metadata()?);
    if (there.dev(), there.ino()) != (here.dev(), here.ino()) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(real)
}

#[cfg(not(target_os = "linux"))]
fn reopen(handle: File) -> io::Result<File> {
    Ok(handle)
}
