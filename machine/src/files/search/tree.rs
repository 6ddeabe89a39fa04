//! The walk over a tree by several threads, as ripgrep walks: by name, no link followed, what the rules forbid left
//! out. A name it gives is not to be trusted by itself; [`Beneath`] opens it.

use std::{
    fs::{self, File},
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use foreman_protocol::ProblemReason;
use ignore::{DirEntry, WalkBuilder, WalkState, overrides::OverrideBuilder};
use rustix::fs::fstat;

use crate::files::{
    FilesError, Result, Rules,
    read::{made_up, open_regular},
    walk::{Last, id},
};

/// More threads than this only wait for the disk.
const MAX_THREADS: usize = 8;

/// Files with rules of what to leave out, which the walk reads.
const IGNORE_FILES: [&str; 2] = [".gitignore", ".ignore"];

type Visit<'v> = Box<dyn FnMut(std::result::Result<DirEntry, ignore::Error>) -> WalkState + Send + 'v>;

/// A directory to walk over.
pub(in crate::files) struct Tree<'a> {
    rules: &'a Rules,
    path: PathBuf,
    builder: WalkBuilder,
}

impl<'a> Tree<'a> {
    /// `path` is a real path. `glob` as in [`super::Search`].
    pub(in crate::files) fn new(
        rules: &'a Rules,
        path: &Path,
        glob: Option<&str>,
        hidden: bool,
    ) -> Result<Self> {
        let (handle, path) = rules.directory(path)?;
        let stat = fstat(&handle)?;
        let device = id(&stat).0;
        if made_up(&handle) || !orderly(&path) {
            return Err(FilesError::conflict(
                ProblemReason::NotSearchable,
                "This directory cannot be searched.",
            ));
        }
        let mut builder = WalkBuilder::new(&path);
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        builder.threads(threads).hidden(!hidden).follow_links(false);
        if let Some(glob) = glob {
            builder.overrides(overrides(&path, glob)?);
        }
        let filter = Arc::new(rules.clone());
        builder.filter_entry(move |entry| admitted(&filter, device, entry));
        Ok(Self { rules, path, builder })
    }

    /// Visits everything, each thread with a visitor of its own.
    pub(in crate::files) fn walk<'v>(&self, visitor: impl Fn() -> Visit<'v>) {
        self.builder.build_parallel().run(visitor);
    }

    pub(in crate::files) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::files) fn beneath(&self) -> Result<Beneath<'a>> {
        let (handle, path) = self.rules.directory(&self.path)?;
        Ok(Beneath { rules: self.rules, handle, path })
    }
}

fn overrides(path: &Path, glob: &str) -> Result<ignore::overrides::Override> {
    let invalid = |error: ignore::Error| FilesError::Invalid {
        field: "glob",
        why: format!("This pattern of names cannot be used: {error}"),
    };
    let mut builder = OverrideBuilder::new(path);
    for glob in glob.split_whitespace() {
        builder.add(glob).map_err(invalid)?;
    }
    builder.build().map_err(invalid)
}

/// Whether to look at an entry, and into it.
fn admitted(rules: &Rules, device: u64, entry: &DirEntry) -> bool {
    if rules.admit(entry.path()).is_err() {
        return false;
    }
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
        return true;
    }
    let Ok(found) = fs::symlink_metadata(entry.path()) else { return false };
    if rules.admit_id(found.dev(), found.ino()).is_err() || !orderly(entry.path()) {
        return false;
    }
    // Another file system begins here: perhaps one that the kernel makes up.
    found.dev() == device || File::open(entry.path()).is_ok_and(|handle| !made_up(&handle))
}

/// Whether the files with rules in a directory are files: the walk would wait for ever for a pipe.
fn orderly(path: &Path) -> bool {
    IGNORE_FILES.iter().all(|name| fs::metadata(path.join(name)).map_or(true, |found| found.is_file()))
}

/// A directory beneath which files are opened.
pub(in crate::files) struct Beneath<'a> {
    rules: &'a Rules,
    handle: OwnedFd,
    path: PathBuf,
}

impl Beneath<'_> {
    /// Opens a regular file with no link on the way, so that the path is the real one.
    pub(in crate::files) fn open(&self, path: &Path) -> Result<File> {
        self.rules.admit(path)?;
        let inner = path.strip_prefix(&self.path).map_err(|_| FilesError::Outside)?;
        match open_beneath(&self.handle, inner)? {
            Some(file) => {
                let stat = fstat(&file)?;
                let (device, inode) = id(&stat);
                self.rules.admit_id(device, inode)?;
                crate::files::read::refuse_special(&stat)?;
                Ok(file.into())
            }
            None => {
                let spot = self.rules.walk(path, Last::Keep)?;
                if spot.path != path {
                    return Err(FilesError::NotFound);
                }
                Ok(open_regular(self.rules, &spot)?.0.into())
            }
        }
    }
}

/// In one step where the kernel can; nothing where it cannot.
#[cfg(target_os = "linux")]
fn open_beneath(directory: &OwnedFd, path: &Path) -> Result<Option<OwnedFd>> {
    use rustix::{
        fs::{Mode, OFlags, ResolveFlags, openat2},
        io::Errno,
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(directory, path, flags, Mode::empty(), resolve) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(_: &OwnedFd, _: &Path) -> Result<Option<OwnedFd>> {
    Ok(None)
}
