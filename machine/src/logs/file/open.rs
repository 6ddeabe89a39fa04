//! Opens a log file where the device's rules allow it, and nothing else.
//!
//! A file is read as a log under the rules of files: no link, pipe or device leads anywhere else than they allow, and
//! what is blocked is so under its other names too. The right to read logs alone is one to those of the system.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use foreman_protocol::{LogReason, Policy};

use super::super::{OpenError, Why};
use crate::policy;

#[cfg(unix)]
pub(in crate::logs) use unix::Now;
#[cfg(windows)]
pub(in crate::logs) use windows::Now;

/// Which files may be read as logs.
#[derive(Debug, Clone)]
pub(in crate::logs) struct Rules {
    /// The policy's file: looked at for each opening, so that a change holds at once.
    pub policy: PathBuf,
    /// The agent's own directory, with its keys: never, whatever the policy says.
    pub private: PathBuf,
    /// Where the system keeps logs: what lies elsewhere is a file like any other.
    pub system: PathBuf,
}

impl Rules {
    pub(in crate::logs) fn open(&self, path: &Path) -> Result<File, OpenError> {
        self.now()?.open(path)
    }

    /// The rules as the policy's file has them now.
    pub(in crate::logs) fn now(&self) -> Result<Now, OpenError> {
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
        Ok(Now::new(policy, self))
    }
}

/// The right to read logs is not one to read everything.
fn only_as_file(path: &Path, system: &Path) -> OpenError {
    let (path, system) = (path.display(), system.display());
    OpenError::Refused {
        setting: "ALLOW_FILE_READ",
        message: format!(
            "{path} is not in {system}, so reading it takes the right to read files too: ALLOW_FILE_READ is off. \
             Only the device can change that, in its policy.env."
        ),
    }
}

pub(in crate::logs) fn unreadable(path: &Path, error: &io::Error) -> OpenError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            OpenError::NotFound(format!("There is no file {path} on this device."))
        }
        io::ErrorKind::PermissionDenied => OpenError::Unavailable(Why::new(
            LogReason::NoRight,
            format!("The agent's user may not read {path}."),
        )),
        _ => OpenError::Unavailable(
            Why::said(error).within(|error| format!("{path} cannot be read: {error}.")),
        ),
    }
}
