//! Deleting puts things aside, and they can be brought back.
//!
//! The desktop's trash is not used: a server has none, and its libraries work by name. What is deleted moves, in one
//! step and on handles, to the agent's own directory when that is on the same file system, else to a private
//! directory at the top of what the agent may use there. It stays for 30 days.

use std::{
    ffi::OsString,
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use foreman_protocol::{FileEntry, Millis, Policy, ProblemReason, Trashed};
use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, fstat, mkdirat, openat, renameat_with, statat},
    io::Errno,
    process::geteuid,
};
use serde::{Deserialize, Serialize};

use super::{
    Files, FilesError, Result, Rules,
    change::place,
    now_ms,
    records::make_private,
    walk::{Last, Spot, id, kind, parse},
};

const KEPT: Millis = 30 * 24 * 60 * 60 * 1_000;
/// Where the agent's own directory is on another file system.
const FOLDER: &str = ".foreman-trash";
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// One thing in the trash.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    id: String,
    /// Where it was.
    path: PathBuf,
    /// The directory where it is now, under its id as its name.
    place: PathBuf,
    device: u64,
    inode: u64,
    at: Millis,
}

impl Files {
    /// Puts something into the trash, a link itself and not what it leads to.
    ///
    /// # Errors
    /// As everywhere; [`FilesError::Conflict`] for what the policy hangs on, and where there is no place for a trash.
    pub fn trash(&self, policy: &Policy, path: &str, by: &str) -> Result<Trashed> {
        let rules = self.writing(policy)?;
        let spot = rules.walk(parse(path)?, Last::Keep)?;
        spot.stat()?;
        rules.may_go(&spot.path)?;
        spot.still()?;
        let trashed = self.put_away(&rules, &spot, &spot.path)?;
        self.changed("trash", &spot.path, by);
        Ok(trashed)
    }

    /// Brings something back to where it was.
    ///
    /// # Errors
    /// [`FilesError::NotFound`] when it is not in the trash (any more), [`FilesError::Conflict`] when something else
    /// has taken its place.
    pub fn restore(&self, policy: &Policy, id: &str, by: &str) -> Result<FileEntry> {
        let rules = self.writing(policy)?;
        let spot = self.bring_back(&rules, id)?;
        self.changed("restore", &spot.path, by);
        rules.now(&spot)
    }

    /// `path` is where it belongs; that is not where it is while it is being replaced.
    pub(super) fn put_away(&self, rules: &Rules, spot: &Spot, path: &Path) -> Result<Trashed> {
        let (device, inode) = id(spot.stat()?);
        let name = format!("{:x}-{inode:x}-{:x}", now_ms(), self.next());
        for (place, folder) in self.places(rules, device, path) {
            let record = Record {
                id: name.clone(),
                path: path.to_owned(),
                place: folder,
                device,
                inode,
                at: now_ms(),
            };
            self.trash.save(&name, &record)?;
            match renameat_with(&spot.parent, &spot.name, &place, &name, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(Trashed { id: name, path: path.to_string_lossy().into_owned() }),
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS) => self.trash.remove(&name),
                Err(error) => {
                    self.trash.remove(&name);
                    return Err(error.into());
                }
            }
        }
        Err(FilesError::conflict(
            ProblemReason::NoTrash,
            "There is no place for a trash on this file system that the agent's user may write. Nothing was deleted.",
        ))
    }

    /// Directories on the same file system to put things, the best first.
    fn places<'a>(
        &'a self,
        rules: &'a Rules,
        device: u64,
        path: &'a Path,
    ) -> impl Iterator<Item = (OwnedFd, PathBuf)> + 'a {
        let own = std::iter::once_with(|| {
            let folder = self.state.join("trash").join("items");
            make_private(&folder).ok()?;
            Some((openat(CWD, &folder, DIRECTORY, Mode::empty()).ok()?, folder))
        });
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        let others = above.into_iter().map(move |directory| {
            rules.admit(directory).ok()?;
            let (handle, real) = rules.directory(directory).ok()?;
            let _ = mkdirat(&handle, FOLDER, Mode::RWXU);
            Some((openat(&handle, FOLDER, DIRECTORY, Mode::empty()).ok()?, real.join(FOLDER)))
        });
        own.chain(others).flatten().filter(move |(handle, _)| {
            fstat(handle).is_ok_and(|found| {
                id(&found).0 == device && found.st_uid == geteuid().as_raw() && found.st_mode & 0o077 == 0
            })
        })
    }

    /// Gives back where it is again.
    pub(super) fn bring_back(&self, rules: &Rules, id: &str) -> Result<Spot> {
        let known = id.len() <= 100 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let record = known.then(|| self.trash.load(id)).flatten().ok_or(FilesError::NotFound)?;
        let to = rules.walk(&record.path, Last::Keep)?;
        rules.may_go(&to.path)?;
        to.still()?;
        let item = self.item(&record).inspect_err(|_| self.trash.remove(id))?;
        place(&item, &to).map_err(|error| match error {
            Errno::EXIST => FilesError::conflict(
                ProblemReason::PlaceTaken,
                format!(
                    "Something else is at {} by now. The deleted one stays in the trash.",
                    to.path.display()
                ),
            ),
            other => other.into(),
        })?;
        self.trash.remove(id);
        Ok(to)
    }

    /// The very thing a record is about.
    fn item(&self, record: &Record) -> Result<Spot> {
        let parent = openat(CWD, &record.place, DIRECTORY, Mode::empty())?;
        let name = OsString::from(&record.id);
        let found = statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if id(&found) != (record.device, record.inode) {
            return Err(FilesError::NotFound);
        }
        Ok(Spot { parent, path: record.place.join(&name), name, found: Some(found) })
    }

    /// Lets go what has been in the trash for long enough.
    pub(super) fn empty_trash(&self, now: Millis) {
        for record in self.trash.all().into_iter().filter(|record| now - record.at > KEPT) {
            if let Ok(item) = self.item(&record) {
                let directory = item.found.as_ref().is_some_and(|found| kind(found) == FileType::Directory);
                // Through the handle, so that it is this one whatever became of the path.
                let path = handle_path(&item);
                let gone = if directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
                if let Err(error) = gone {
                    tracing::warn!(path = %item.path.display(), %error, "something in the trash cannot be removed");
                    continue;
                }
            }
            self.trash.remove(&record.id);
        }
    }
}

#[cfg(target_os = "linux")]
fn handle_path(item: &Spot) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", item.parent.as_raw_fd())).join(&item.name)
}

#[cfg(not(target_os = "linux"))]
fn handle_path(item: &Spot) -> PathBuf {
    item.path.clone()
}
