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
    settled: Duration,
    read: Mutex<Option<(Stamp, Policy)>>,
}

impl PolicyFile {
    pub fn at(path: PathBuf) -> Self {
        Self { path, settled: SETTLED, read: Mutex::default() }
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
        let settled = |(changed, ..): &Stamp| {
            SystemTime::now().duration_since(*changed).is_ok_and(|age| age >= self.settled)
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
    use std::fs;

    use super::*;

    fn allows(file: &PolicyFile) -> bool {
        file.now().unwrap().allow_bash
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
        fs::remove_file(&path).unwrap();
        assert!(!allows(&file));
        fs::write(&path, "ALLOW_BASH=perhaps\n").unwrap();
        file.now().unwrap_err();
    }

    #[test]
    fn a_file_that_stays_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.env");
        let file = PolicyFile { settled: Duration::ZERO, ..PolicyFile::at(path.clone()) };
        fs::write(&path, "ALLOW_BASH=1\n").unwrap();
        assert!(allows(&file));
        // Nothing tells what was kept from what the file says, so another answer shows whence this one comes.
        file.read().as_mut().unwrap().1.allow_bash = false;
        assert!(!allows(&file));
        fs::write(&path, "ALLOW_BASH=1 \n").unwrap();
        assert!(allows(&file));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_put_in_its_place_is_seen_whatever_time_it_claims_and_so_are_its_rights() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.env");
        fs::write(&path, "ALLOW_BASH=1\n").unwrap();
        let claimed = fs::metadata(&path).unwrap().modified().unwrap();
        let file = || fs::File::options().write(true).open(&path).unwrap();
        let changes: [&dyn Fn(); 2] = [
            &|| {
                fs::write(&path, "ALLOW_BASH=0\n").unwrap();
                file().set_modified(claimed).unwrap();
            },
            &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap(),
        ];
        for change in changes {
            let before = stamp(&path);
            // The clock of files has ticks of some milliseconds.
            while stamp(&path) == before {
                change();
            }
            assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), claimed);
        }
    }
}
