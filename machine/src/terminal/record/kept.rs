//! The folder of recordings: which are being written, and room for a new one.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;

use super::{MOST, MOST_TOGETHER};
use crate::private;

const EXTENSION: &str = "cast";

/// See the module.
pub(in crate::terminal) struct Recordings {
    folder: PathBuf,
    /// By this process; what another left behind is not written any more.
    writing: Mutex<BTreeSet<PathBuf>>,
}

/// As long as this is there its file stays.
pub(super) struct Writing {
    recordings: Arc<Recordings>,
    path: PathBuf,
}

impl Recordings {
    /// In this folder, which is made when needed.
    pub(in crate::terminal) fn at(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self { folder, writing: Mutex::default() })
    }

    /// A file of its own for each recording, for this user alone.
    pub(super) fn create(self: &Arc<Self>, name: &str) -> anyhow::Result<(Writing, File)> {
        let context = || format!("cannot make a file in {}", self.folder.display());
        private::make_directory(&self.folder).with_context(context)?;
        let mut writing = self.lock();
        make_room(&self.folder, &writing)
            .with_context(|| format!("cannot look at {}", self.folder.display()))?;
        let path = self.folder.join(name);
        let file = private::options().write(true).create_new(true).open(&path).with_context(context)?;
        writing.insert(path.clone());
        Ok((Writing { recordings: Arc::clone(self), path }, file))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.recordings.lock().remove(&self.path);
    }
}

/// Drops the oldest until one more of the largest size fits. Those being written may still grow to it.
fn make_room(folder: &Path, writing: &BTreeSet<PathBuf>) -> io::Result<()> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) || writing.contains(&path) {
            continue;
        }
        let Ok(facts) = fs::symlink_metadata(&path) else { continue };
        kept.push((facts.modified()?, path, facts.len()));
    }
    kept.sort_unstable();
    let mut together = MOST.saturating_mul(writing.len() as u64 + 1);
    together = kept.iter().fold(together, |sum, (_, _, length)| sum.saturating_add(*length));
    for (_, path, length) in kept {
        if together <= MOST_TOGETHER {
            break;
        }
        tracing::info!(path = %path.display(), "the oldest recording goes, so that there is room for a new one");
        fs::remove_file(&path)?;
        together = together.saturating_sub(length);
    }
    Ok(())
}
