//! Small things the agent must not forget, one file of JSON each, in its own directory.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    marker::PhantomData,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

use serde::{Serialize, de::DeserializeOwned};

/// A folder of records. Their names are checked by who makes them: letters, digits and dashes.
#[derive(Debug)]
pub(super) struct Records<T> {
    folder: PathBuf,
    kind: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Records<T> {
    pub(super) const fn at(folder: PathBuf) -> Self {
        Self { folder, kind: PhantomData }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_extension("json")
    }

    /// Whole or not at all, also when the power fails.
    pub(super) fn save(&self, name: &str, record: &T) -> io::Result<()> {
        make_private(&self.folder)?;
        let (path, new) = (self.path(name), self.folder.join(name).with_extension("new"));
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        })();
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// Nothing when there is none, or one that cannot be understood.
    pub(super) fn load(&self, name: &str) -> Option<T> {
        let bytes = fs::read(self.path(name)).ok()?;
        serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::warn!(name, %error, "a record about a file cannot be read"))
            .ok()
    }

    pub(super) fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.path(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(name, %error, "a record about a file cannot be removed");
        }
    }

    pub(super) fn all(&self) -> Vec<T> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                self.load(name.strip_suffix(".json")?)
            })
            .collect()
    }
}

/// A directory that only the agent's user may enter.
pub(super) fn make_private(folder: &std::path::Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(folder)
}
