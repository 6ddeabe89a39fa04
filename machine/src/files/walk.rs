//! From a path to a handle, without ever leaving what is allowed.
//!
//! Each directory is opened from the handle of the one before it and never through a link; a link is read and its
//! target walked under the same rules. So the real path is known by construction, and somebody who swaps a
//! directory for a link in between only makes the walk look again. Nothing that the rules forbid is opened or even
//! looked for: whether it exists is not told.

use std::{
    ffi::{OsStr, OsString},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

use foreman_protocol::ProblemReason;
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat},
    io::Errno,
};

use super::{FilesError, Result, Rules};

const MAX_LINKS: u32 = 40;
/// Steps of one walk; a path of 4,096 bytes has at most half as many, each link may add as many.
const MAX_STEPS: u32 = 8_192;
const MAX_PATH: usize = 4_096;

#[cfg(target_os = "linux")]
const PASS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const PASS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What to do with a link at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// A place in the tree: a name in an open directory.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) parent: OwnedFd,
    /// `.` for the top of the tree.
    pub(super) name: OsString,
    /// Absolute, without links.
    pub(super) path: PathBuf,
    /// What is there; nothing, when it may be made.
    pub(super) found: Option<Stat>,
}

impl Spot {
    /// What is there.
    pub(super) fn stat(&self) -> Result<&Stat> {
        self.found.as_ref().ok_or(FilesError::NotFound)
    }

    /// Whether the directory is where the walk found it, asked right before something is changed in it: it may have
    /// been moved to where nothing may be changed.
    pub(super) fn still(&self) -> Result<()> {
        match place(&self.parent) {
            Some(at) if Some(at.as_path()) != self.path.parent() => Err(FilesError::Changed),
            _ => Ok(()),
        }
    }
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode as _)
}

#[allow(clippy::unnecessary_cast, reason = "the width of these differs between systems")]
pub(super) const fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// A path as a caller gives it.
pub(super) fn parse(path: &str) -> Result<&Path> {
    let invalid = |why: &str| Err(FilesError::Invalid { field: "path", why: why.to_owned() });
    if path.contains('\0') {
        return invalid("A path cannot hold a zero byte.");
    }
    if path.len() >= MAX_PATH {
        return invalid("This path is too long.");
    }
    if !path.starts_with('/') {
        return invalid("A path on a device is absolute: it begins with a slash.");
    }
    Ok(Path::new(path))
}

struct Walk<'a> {
    rules: &'a Rules,
    at: OwnedFd,
    here: PathBuf,
    /// Backwards: the next part is the last.
    todo: Vec<OsString>,
    /// A slash at the end means what a link leads to.
    last: Last,
    links: u32,
    steps: u32,
}

impl Rules {
    /// Walks to a path. The last part may be missing.
    pub(super) fn walk(&self, path: &Path, last: Last) -> Result<Spot> {
        let path = path.as_os_str();
        let slash = path.as_bytes().ends_with(b"/") || path.as_bytes().ends_with(b"/.");
        let last = if slash { Last::Follow } else { last };
        let mut walk =
            Walk { rules: self, at: top()?, here: "/".into(), todo: Vec::new(), last, links: 0, steps: 0 };
        walk.push(&self.begin(Path::new(path)));
        let spot = walk.run()?;
        match spot.found.as_ref().map(kind) {
            Some(FileType::Directory) | None => Ok(spot),
            Some(_) if slash => Err(Errno::NOTDIR.into()),
            Some(_) => Ok(spot),
        }
    }

    /// Opens a directory at the end of a path, links followed.
    pub(super) fn directory(&self, path: &Path) -> Result<(OwnedFd, PathBuf)> {
        let spot = self.walk(path, Last::Follow)?;
        if kind(spot.stat()?) != FileType::Directory {
            return Err(FilesError::conflict(ProblemReason::NotADirectory, "This is not a directory."));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = openat(&spot.parent, &spot.name, flags, Mode::empty())?;
        self.admit_handle(&handle)?;
        Ok((handle, spot.path))
    }

    /// Whether what is open may be: it is not a blocked thing by another name, and was not moved to where it may
    /// not be seen while the walk was under way.
    pub(super) fn admit_handle(&self, handle: &OwnedFd) -> Result<()> {
        let (device, inode) = id(&fstat(handle)?);
        self.admit_id(device, inode)?;
        match place(handle) {
            Some(path) => self.admit(&path),
            None => Ok(()),
        }
    }
}

fn top() -> Result<OwnedFd> {
    Ok(openat(CWD, "/", PASS, Mode::empty())?)
}

/// Where the kernel says an open file is now; nothing where it does not say.
#[cfg(target_os = "linux")]
fn place(handle: &OwnedFd) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", handle.as_raw_fd())).ok()?;
    path.is_absolute().then_some(path)
}

#[cfg(not(target_os = "linux"))]
fn place(_: &OwnedFd) -> Option<PathBuf> {
    None
}

impl Walk<'_> {
    fn push(&mut self, path: &Path) {
        let parts = path.components().rev().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        });
        self.todo.extend(parts);
    }

    fn run(mut self) -> Result<Spot> {
        self.rules.pass(&self.here)?;
        while let Some(name) = self.todo.pop() {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(FilesError::Invalid { field: "path", why: "This path is too long.".into() });
            }
            if name == ".." {
                self.up()?;
                continue;
            }
            let next = self.here.join(&name);
            self.rules.pass(&next)?;
            if let Some(spot) = self.step(name, next)? {
                return Ok(spot);
            }
        }
        self.rules.admit(&self.here)?;
        let found = Some(fstat(&self.at)?);
        Ok(Spot { parent: self.at, name: ".".into(), path: self.here, found })
    }

    /// To the directory above, from the top again: a handle's own `..` leads to where it was moved to.
    fn up(&mut self) -> Result<()> {
        self.here.pop();
        let above = std::mem::replace(&mut self.here, "/".into());
        self.at = top()?;
        self.push(&above);
        Ok(())
    }

    fn step(&mut self, name: OsString, next: PathBuf) -> Result<Option<Spot>> {
        let ends = self.todo.is_empty();
        let found = match statat(&self.at, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Some(found),
            Err(Errno::NOENT) if ends => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(found) = &found {
            let (device, inode) = id(found);
            self.rules.admit_id(device, inode)?;
        }
        match found.as_ref().map(kind) {
            Some(FileType::Symlink) if !ends || self.last == Last::Follow => {
                self.follow(&name)?;
                Ok(None)
            }
            _ if ends => {
                self.rules.admit(&next)?;
                let parent = std::mem::replace(&mut self.at, top()?);
                Ok(Some(Spot { parent, name, path: next, found }))
            }
            Some(FileType::Directory) => {
                self.enter(name, next)?;
                Ok(None)
            }
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn follow(&mut self, name: &OsStr) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(FilesError::conflict(
                ProblemReason::LinkCircle,
                "Too many links lead on from here; perhaps in a circle.",
            ));
        }
        let target = match readlinkat(&self.at, name, Vec::new()) {
            Ok(target) => target,
            // It was swapped for something else just now: look again.
            Err(Errno::INVAL) => {
                self.todo.push(name.to_owned());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
        if target.is_absolute() {
            self.here = "/".into();
            self.at = top()?;
        }
        self.push(&self.rules.begin(target));
        Ok(())
    }

    fn enter(&mut self, name: OsString, next: PathBuf) -> Result<()> {
        match openat(&self.at, &name, PASS, Mode::empty()) {
            Ok(handle) => {
                let (device, inode) = id(&fstat(&handle)?);
                self.rules.admit_id(device, inode)?;
                self.at = handle;
                self.here = next;
                Ok(())
            }
            // It was a directory a moment ago: look again.
            Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => {
                self.todo.push(name);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
