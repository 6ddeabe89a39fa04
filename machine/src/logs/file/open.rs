//! Opens a log file so that no link, pipe or device leads anywhere else than the device's rules allow.
//!
//! What is decided about is the open handle, not the path: first a handle that can do nothing, then what it really
//! is and where it really lies, and only then a way to read it. So nothing can be put in between.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
};

use foreman_protocol::Policy;

use super::super::OpenError;
use crate::policy;

#[cfg(unix)]
use unix::{handle, place, reopen};
#[cfg(windows)]
use windows::{handle, place, reopen};

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
        let private = dunce::canonicalize(&self.private).unwrap_or_else(|_| self.private.clone());
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
