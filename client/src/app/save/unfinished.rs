//! Files that are on their way, written down: an app that was killed goes on with them, or takes away what is there of
//! them, instead of leaving hidden parts behind.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use foreman_protocol::DeviceId;
use serde::{Deserialize, Serialize};

use crate::{
    StoreError,
    app::{ServerId, servers::write},
};

/// Who is asked for a file, and for what. Nothing secret is in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveSource {
    pub server: ServerId,
    /// Straight to this device; to the server when absent.
    pub device: Option<DeviceId>,
    /// With its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
}

/// What is on the disk of a file that is on its way; at its very beginning that may be nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavePart {
    pub path: PathBuf,
    /// What it is going to be called, as far as that is known.
    pub name: Option<String>,
    /// Bytes from the beginning that outlast a machine that loses its power.
    pub written: u64,
    /// Bytes of all of it, where that is known.
    pub total: Option<u64>,
    /// What the other side calls this state of the file.
    pub mark: Option<String>,
}

/// One file that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedSave {
    /// Nobody where the window itself made what is saved: nothing can go on with that.
    pub source: Option<SaveSource>,
    pub part: SavePart,
    /// A person wanted it to wait.
    pub paused: bool,
}

/// All of them, by the number they have in this run of the app, and the file they are kept in.
#[derive(Debug)]
pub struct UnfinishedSaves {
    path: PathBuf,
    kept: BTreeMap<u32, UnfinishedSave>,
}

impl UnfinishedSaves {
    /// What an earlier run left, numbered anew. A list that cannot be read is an empty one: what it named can be
    /// fetched again.
    #[must_use]
    pub fn load(path: PathBuf) -> Self {
        let left = fs::read(&path).map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from));
        let left: Vec<UnfinishedSave> = left.flatten().unwrap_or_default();
        Self { path, kept: (0..).zip(left).collect() }
    }

    pub fn all(&self) -> impl Iterator<Item = (u32, &UnfinishedSave)> {
        self.kept.iter().map(|(number, save)| (*number, save))
    }

    /// Writes down how far one is.
    ///
    /// # Errors
    /// [`StoreError`]; it is tried again with the next change.
    pub fn put(&mut self, number: u32, save: UnfinishedSave) -> Result<(), StoreError> {
        if self.kept.get(&number) == Some(&save) {
            return Ok(());
        }
        self.kept.insert(number, save);
        self.keep()
    }

    /// It is there, or nothing of it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(&mut self, number: u32) -> Result<(), StoreError> {
        if self.kept.remove(&number).is_none() {
            return Ok(());
        }
        self.keep()
    }

    /// Forgets those of which nothing is on the disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_gone(&mut self) -> Result<(), StoreError> {
        self.kept.retain(|_, save| save.part.path.exists());
        self.keep()
    }

    fn keep(&self) -> Result<(), StoreError> {
        let all: Vec<_> = self.kept.values().collect();
        write(&self.path, &all).map_err(|error| StoreError::Io { path: self.path.clone(), error })
    }
}
