//! The device's policy as its file says it now. The file's stamp is looked at each time, so that a change on the
//! device holds at once; the file itself is read when its stamp is another.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use foreman_machine::policy;
use foreman_protocol::Policy;

use crate::state::{Stamp, stamp};

/// A file that was changed so shortly before it was read may change once more and keep its stamp: file systems count
/// time in ticks, the longest of 2 s.
const SETTLED: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub(super) struct PolicyFile {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Policy)>>,
}

impl PolicyFile {
    pub fn at(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// # Errors
    /// When the file cannot be read or understood; see [`policy::load`].
    pub fn now(&self) -> anyhow::Result<Policy> {
        // Before the file is read: what changes in between has another one.
        let stamp = stamp(&self.path);
        if let Some((read, policy)) = &*self.read()
            && stamp.as_ref() == Some(read)
        {
            return Ok(policy.clone());
        }
        let policy = policy::load(&self.path)?;
        let settled = |(modified, ..): &Stamp| {
            SystemTime::now().duration_since(*modified).is_ok_and(|age| age >= SETTLED)
        };
        *self.read() = stamp.filter(settled).map(|stamp| (stamp, policy.clone()));
        Ok(policy)
    }

    fn read(&self) -> MutexGuard<'_, Option<(Stamp, Policy)>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn allows(file: &PolicyFile) -> bool {
        file.now().unwrap().allow_bash
    }

    fn changed_at(path: &Path, time: SystemTime) {
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn a_change_holds_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.env");
        let file = PolicyFile::at(path.clone());
        assert!(!allows(&file), "nothing is allowed without a file");
        // As long as the one before, and within one tick of the clock.
        for round in 0..50 {
            for (text, allowed) in [("ALLOW_BASH=1\n", true), ("ALLOW_BASH=0\n", false)] {
                fs::write(&path, text).unwrap();
                assert_eq!(allows(&file), allowed, "in round {round}");
            }
        }
        changed_at(&path, SystemTime::now() - 2 * SETTLED);
        assert!(!allows(&file));
        fs::write(&path, "ALLOW_BASH=1\n").unwrap();
        assert!(allows(&file), "what was long so does not count any more");
        fs::remove_file(&path).unwrap();
        assert!(!allows(&file));
        fs::write(&path, "ALLOW_BASH=perhaps\n").unwrap();
        file.now().unwrap_err();
    }

    #[test]
    fn a_file_that_stays_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.env");
        let file = PolicyFile::at(path.clone());
        let long_ago = SystemTime::now() - 2 * SETTLED;
        for (text, expected) in [("ALLOW_BASH=1\n", true), ("ALLOW_BASH=0\n", true)] {
            fs::write(&path, text).unwrap();
            changed_at(&path, long_ago);
            assert_eq!(allows(&file), expected, "nothing tells the second from the first");
        }
        changed_at(&path, SystemTime::now() - SETTLED);
        assert!(!allows(&file));
    }
}
