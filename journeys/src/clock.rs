//! A clock for child processes that a test sets: libfaketime, Debian's package `faketime`.

use std::path::{Path, PathBuf};

use crate::{skipped::skipped, stack::Folder};

pub struct Clock {
    offset: PathBuf,
}

impl Clock {
    /// # Panics
    /// When the folder cannot be written to.
    #[must_use]
    pub fn new(folder: &Folder, name: &str) -> Self {
        let clock = Self { offset: folder.join(name) };
        clock.set("+0d");
        clock
    }

    /// As `+1d` or `-3h`. Written beside and moved, so that it is never half there.
    ///
    /// # Panics
    /// When the folder cannot be written to.
    pub fn set(&self, offset: &str) {
        let draft = self.offset.with_extension("draft");
        std::fs::write(&draft, format!("{offset}\n")).expect("our folder");
        std::fs::rename(draft, &self.offset).expect("our folder");
    }

    /// Only the wall clock: the one that people and time servers set. `None`, said loudly, where clocks cannot be
    /// faked.
    #[must_use]
    pub fn environment(&self) -> Option<Vec<(&'static str, String)>> {
        let libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
        let library = libraries.iter().map(|arch| format!("/usr/lib/{arch}/faketime/libfaketimeMT.so.1"));
        let Some(library) = library.into_iter().find(|path| Path::new(path).exists()) else {
            skipped("clocks cannot be faked here; apt-get install faketime");
            return None;
        };
        Some(vec![
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", self.offset.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ])
    }
}
