//! The folder of one task: the only thing its supervisor and the agent share.
//!
//! ```text
//! spec.json   what to run; gone once started
//! ctl         the claim and the way to a living supervisor
//! started     when, and as which process
//! out/…       output not yet taken, in segments named by the offset of their first byte
//! exit.json   how it ended
//! ```

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Exit, Moment, RunSpec};
use crate::private;

pub(super) const SPEC: &str = "spec.json";
pub(super) const CONTROL: &str = "ctl";
pub(super) const STARTED: &str = "started";
pub(super) const EXIT: &str = "exit.json";
pub(super) const OUTPUT: &str = "out";

/// The contents of `started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    pub pid: u32,
    pub at: Moment,
}

/// One task's folder.
#[derive(Debug, Clone)]
pub struct TaskFolder(PathBuf);

impl TaskFolder {
    /// The folder at this path, whether it exists or not.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes the folder with what is to be run. An unclaimed folder is made anew.
    ///
    /// # Errors
    /// When the file system refuses. A claimed folder is left alone: [`io::ErrorKind::AlreadyExists`].
    pub fn create(path: PathBuf, spec: &RunSpec) -> io::Result<Self> {
        let folder = Self(path);
        if folder.is_claimed() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "this task was started before"));
        }
        private::make_directory(&folder.0)?;
        private::make_directory(&folder.0.join(OUTPUT))?;
        let mut file = private_file(&folder.0.join(SPEC))?;
        file.write_all(&serde_json::to_vec(spec)?)?;
        Ok(folder)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether a supervisor has taken this task, now or ever.
    #[must_use]
    pub fn is_claimed(&self) -> bool {
        fs::symlink_metadata(self.0.join(CONTROL)).is_ok()
    }

    /// When the command was started; `None` when it was not.
    #[must_use]
    pub fn started(&self) -> Option<Started> {
        read(&self.0.join(STARTED))
    }

    /// How the task ended; `None` while it runs, and when nobody was left to write it down.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        read(&self.0.join(EXIT))
    }

    /// Removes everything. What is gone already is no error.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

pub(super) fn private_file(path: &Path) -> io::Result<File> {
    private::options().write(true).create(true).truncate(true).open(path)
}

/// A file that is missing, empty or torn by a power failure says nothing.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
