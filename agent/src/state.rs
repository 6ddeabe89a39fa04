//! Where the agent keeps what it knows: one private directory.
//!
//! ```text
//! identity.json   which server, which device, and the key that proves it
//! policy.env      what this device allows; only people change it
//! link-key.json   the key that callers of the device link must know
//! trust.json      whose grants count here; only people change it
//! server-grant    what this device signed for its server
//! link-time       how late it was when the link last looked
//! link.json       how the link is reached, as somebody said
//! tailscale       what was offered in the tailnet
//! cloudflared     which `cloudflared` was started last
//! journal.redb    commands seen, tasks and their endings, what was taken back
//! tasks/<id>/     a running task, shared with its supervisor
//! status.json     what the running agent says of itself
//! agent.lock      held by the running agent
//! ```

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context;
use foreman_machine::private;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// The state directory.
#[derive(Debug, Clone)]
pub struct State {
    dir: PathBuf,
}

/// Held as long as this process is the agent of its state directory.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl State {
    #[must_use]
    pub const fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// `/var/lib/foreman-agent` for root, else `foreman-agent` in the user's data directory; on Windows that of the
    /// local profile.
    ///
    /// # Errors
    /// When the user has no home directory.
    pub fn default_dir() -> anyhow::Result<PathBuf> {
        system::default_dir().context("This user has no home directory: name a directory with --state.")
    }

    /// Makes the directory, private to its user.
    ///
    /// # Errors
    /// When that is not possible, with what to do.
    pub fn prepare(&self) -> anyhow::Result<()> {
        private::make_directory(&self.dir).with_context(|| {
            format!(
                "Cannot use the state directory {}. Nothing was changed. Run as a user who may write there, or name \
                 another one with --state",
                self.dir.display()
            )
        })
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    #[must_use]
    pub fn identity(&self) -> PathBuf {
        self.dir.join("identity.json")
    }

    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.dir.join(foreman_machine::policy::POLICY_FILE)
    }

    #[must_use]
    pub fn link_key(&self) -> PathBuf {
        self.dir.join("link-key.json")
    }

    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.dir.join("trust.json")
    }

    #[must_use]
    pub fn server_grant(&self) -> PathBuf {
        self.dir.join("server-grant")
    }

    #[must_use]
    pub fn link_time(&self) -> PathBuf {
        self.dir.join("link-time")
    }

    #[must_use]
    pub fn link_choices(&self) -> PathBuf {
        self.dir.join("link.json")
    }

    #[must_use]
    pub fn cloudflared(&self) -> PathBuf {
        self.dir.join("cloudflared")
    }

    #[must_use]
    pub fn tailscale(&self) -> PathBuf {
        self.dir.join("tailscale")
    }

    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal.redb")
    }

    #[must_use]
    pub fn tasks(&self) -> PathBuf {
        self.dir.join("tasks")
    }

    #[must_use]
    pub fn status(&self) -> PathBuf {
        self.dir.join("status.json")
    }

    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.dir.join("agent.lock")
    }

    /// Becomes the agent of this directory; `None` when another process is.
    ///
    /// # Errors
    /// When it cannot be told.
    pub fn lock(&self) -> anyhow::Result<Option<Lock>> {
        let path = self.lock_file();
        let file = private::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("Cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context(format!("Cannot lock {}", path.display())),
        }
    }
}

/// Replaces a file whole, private to its user: a reader sees the old one or the new one, also after a power
/// failure when `durable`.
///
/// # Errors
/// When the file system refuses; the old file is then untouched.
pub fn replace_file(path: &Path, contents: &[u8], durable: bool) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private::options().write(true).create(true).truncate(true).open(&new)?;
    file.write_all(contents)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&new, path)?;
    if let (true, Some(dir)) = (durable, path.parent()) {
        system::sync_directory(dir)?;
    }
    Ok(())
}

/// Enough of a file to see that somebody changed or replaced it, or its rights: when it was changed last as far as anything
/// tells, its length, and its number.
pub type Stamp = (SystemTime, u64, u64);

/// The stamp of a file; `None` when it is not there.
#[must_use]
pub fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((system::changed(&metadata)?, metadata.len(), system::number(&metadata)))
}

/// Removes a file; one that is gone already is no error.
///
/// # Errors
/// When the file system refuses.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_agent_for_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path().join("state"));
        state.prepare().unwrap();
        let lock = state.lock().unwrap().unwrap();
        assert!(state.lock().unwrap().is_none());
        drop(lock);
        assert!(state.lock().unwrap().is_some());
        let mode = fs::metadata(state.dir()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_replaced_file_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.json");
        replace_file(&path, b"one", true).unwrap();
        replace_file(&path, b"two", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        remove_file(&path).unwrap();
        remove_file(&path).unwrap();
    }
}
