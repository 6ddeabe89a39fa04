//! By a path on a disk: what is elsewhere, on a share or a device, is not opened at all.
//!
//! What is decided about is the open handle, not the path: what it really is and where it really lies. So nothing can
//! be put in between.

use std::{
    fs::File,
    io,
    path::{Component, Path, PathBuf, Prefix},
};

use foreman_protocol::Policy;
use same_file::Handle;

use super::{OpenError, only_as_file, unreadable};
use crate::policy;

/// See [`super::Rules::now`].
pub(in crate::logs) struct Now {
    policy: Policy,
    rules: super::Rules,
    /// What is never shown, under its other names too.
    blocked: Vec<Handle>,
}

impl Now {
    pub(super) fn new(policy: Policy, rules: &super::Rules) -> Self {
        let own = std::fs::read_dir(&rules.private).into_iter().flatten().flatten().map(|file| file.path());
        let blocked = policy.blocked_paths.iter().map(PathBuf::from).chain(own);
        let blocked = blocked.filter_map(|path| Handle::from_path(path).ok()).collect();
        Self { policy, rules: rules.clone(), blocked }
    }

    pub(in crate::logs) fn open(&self, path: &Path) -> Result<File, OpenError> {
        let told = |error: io::Error| unreadable(path, &error);
        let file = handle(path).map_err(told)?;
        if !file.metadata().map_err(told)?.is_file() {
            let message = format!("{} is no file; only a file has lines to read.", path.display());
            return Err(OpenError::Invalid { field: "source", message });
        }
        let same = Handle::from_file(file.try_clone().map_err(told)?).map_err(told)?;
        let real = place(&same, path).map_err(told)?;
        self.admit(&real, &same)?;
        Ok(file)
    }

    fn admit(&self, real: &Path, same: &Handle) -> Result<(), OpenError> {
        let refused = |setting, message| Err(OpenError::Refused { setting, message });
        let private = dunce::canonicalize(&self.rules.private).unwrap_or_else(|_| self.rules.private.clone());
        if real.starts_with(&private) {
            let message = format!("{} belongs to the agent itself and is never shown.", real.display());
            return refused("BLOCKED_PATHS", message);
        }
        if self.blocked.contains(same) {
            let message =
                format!("{} is another name of what this device blocks: BLOCKED_PATHS.", real.display());
            return refused("BLOCKED_PATHS", message);
        }
        if let Err(refusal) = policy::admit(&self.policy, real) {
            return refused("ALLOWED_PATHS", refusal.to_string());
        }
        let of_the_system = || dunce::canonicalize(&self.rules.system).is_ok_and(|at| real.starts_with(at));
        if self.policy.allow_file_read || of_the_system() {
            return Ok(());
        }
        Err(only_as_file(real, &self.rules.system))
    }
}

/// A file of a drive. Opening the name of a share would already tell its machine who asks.
fn handle(path: &Path) -> io::Result<File> {
    let on_drive = matches!(
        path.components().next(),
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::Disk(_) | Prefix::VerbatimDisk(_))
    );
    if !on_drive || !path.is_absolute() {
        return Err(io::ErrorKind::NotFound.into());
    }
    File::open(path)
}

/// A link may lead to another drive, or to a share, which is refused like one that was named. The path has to lead to
/// the same file twice, so that nothing was put in between.
fn place(same: &Handle, asked: &Path) -> io::Result<PathBuf> {
    let real = dunce::canonicalize(asked)?;
    if Handle::from_file(handle(&real)?)? != *same {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(real)
}
