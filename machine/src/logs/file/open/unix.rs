//! By the walk that files are opened with.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use foreman_protocol::{Policy, ProblemReason};
use rustix::io::Errno;

use super::{super::super::Why, OpenError, only_as_file, unreadable};
use crate::files::{self, FilesError};

/// See [`super::Rules::now`].
pub(in crate::logs) struct Now {
    allowed: files::Rules,
    /// What is left of it where no files may be read, and the directory it is left to.
    system: Option<(files::Rules, PathBuf)>,
}

impl Now {
    pub(super) fn new(policy: Policy, rules: &super::Rules) -> Self {
        let allowed = files::Rules::new(&policy.allowed_paths, &policy.blocked_paths, &rules.private);
        let system = (!policy.allow_file_read).then(|| (allowed.within(&rules.system), rules.system.clone()));
        Self { allowed, system }
    }

    pub(in crate::logs) fn open(&self, path: &Path) -> Result<File, OpenError> {
        let Some(text) = path.to_str() else { return Err(unreadable(path, &io::ErrorKind::NotFound.into())) };
        let Some((within, system)) = &self.system else {
            return self.allowed.open_file(text).map_err(|error| told(path, error));
        };
        within.open_file(text).map_err(|error| match error {
            FilesError::Outside if !self.allowed.leads_out(text) => only_as_file(path, system),
            error => told(path, error),
        })
    }
}

fn told(path: &Path, error: FilesError) -> OpenError {
    let message = error.to_string();
    if let Some(setting) = error.setting() {
        return OpenError::Refused { setting, message };
    }
    match error {
        FilesError::NotFound => unreadable(path, &io::ErrorKind::NotFound.into()),
        FilesError::NoRight => unreadable(path, &io::ErrorKind::PermissionDenied.into()),
        FilesError::Conflict(ProblemReason::LinkCircle, _) => unreadable(path, &Errno::LOOP.into()),
        FilesError::NoFile(..) | FilesError::Invalid { .. } => {
            OpenError::Invalid { field: "source", message }
        }
        _ => OpenError::Unavailable(
            Why::said(message).within(|why| format!("{} cannot be read: {why}", path.display())),
        ),
    }
}
