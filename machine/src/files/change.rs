//! Moving, renaming, making directories. Each is one step of the file system on open handles, so that there is never
//! half of it.

use std::path::Path;

use foreman_protocol::{FileEntry, MoveFile, Policy, ProblemReason};
use rustix::{
    fs::{FileType, Mode, RenameFlags, mkdirat, renameat, renameat_with, statat},
    io::Errno,
};

use super::{
    Files, FilesError, Result, Rules,
    entry::{etag, path_text},
    walk::{Last, Spot, kind, parse},
};

/// Something changed, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `write`, `rename`, `trash`, `mkdir`, `restore`.
    pub action: &'static str,
    pub path: String,
    /// Who did it.
    pub by: String,
}

impl Files {
    /// Makes one directory in one that exists.
    ///
    /// # Errors
    /// As everywhere; [`FilesError::Conflict`] when something of that name is there.
    pub fn make_directory(&self, policy: &Policy, path: &str, by: &str) -> Result<FileEntry> {
        let rules = self.writing(policy)?;
        let spot = rules.walk(parse(path)?, Last::Keep)?;
        spot.still()?;
        mkdirat(&spot.parent, &spot.name, Mode::from_raw_mode(0o777))?;
        self.changed("mkdir", &spot.path, by);
        rules.now(&spot)
    }

    /// Moves or renames, a link itself and not what it leads to.
    ///
    /// # Errors
    /// As everywhere; [`FilesError::Conflict`] when something is at the new place and is not to be replaced.
    pub fn rename(&self, policy: &Policy, wanted: &MoveFile, by: &str) -> Result<FileEntry> {
        let rules = self.writing(policy)?;
        let from = rules.walk(parse(&wanted.from)?, Last::Keep)?;
        from.stat()?;
        rules.may_go(&from.path)?;
        let to = rules.walk(parse(&wanted.to)?, Last::Keep)?;
        rules.may_go(&to.path)?;
        if to.path != from.path {
            from.still()?;
            to.still()?;
            self.put(&rules, &from, &to, wanted.replace)?;
            self.changed("rename", &to.path, by);
        }
        rules.now(&to)
    }

    /// Brings what is at `from` to `to`. What was there goes to the trash when it is to be replaced.
    pub(super) fn put(&self, rules: &Rules, from: &Spot, to: &Spot, replace: bool) -> Result<()> {
        match place(from, to) {
            Err(Errno::EXIST) if replace => {}
            Err(error) => return Err(not_moved(error)),
            Ok(()) => return Ok(()),
        }
        if !exchange(from, to)? {
            // This file system cannot exchange: one after the other, back again when the second fails.
            let trashed = self.put_away(rules, to, &to.path)?;
            return place(from, to).map_err(|error| {
                let _ = self.bring_back(rules, &trashed.id);
                not_moved(error)
            });
        }
        // What was at the new place is now at the old one.
        let found = statat(&from.parent, &from.name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).ok();
        let old = Spot {
            parent: from.parent.try_clone()?,
            name: from.name.clone(),
            path: from.path.clone(),
            found,
        };
        if let Err(error) = self.put_away(rules, &old, &to.path) {
            exchange(from, to)?;
            return Err(error);
        }
        Ok(())
    }

    pub(super) fn changed(&self, action: &'static str, path: &Path, by: &str) {
        if let Some(tell) = &self.listener {
            tell(Change { action, path: path.to_string_lossy().into_owned(), by: by.to_owned() });
        }
    }
}

impl Rules {
    /// What is at a place now.
    pub(super) fn now(&self, spot: &Spot) -> Result<FileEntry> {
        let stat = statat(&spot.parent, &spot.name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        let mut entry = self.entry(&spot.parent, &spot.name, &spot.path, &stat);
        if kind(&stat) == FileType::RegularFile {
            entry.etag = Some(etag(&stat));
        }
        path_text(&spot.path)?;
        Ok(entry)
    }
}

/// Only where nothing is.
pub(super) fn place(from: &Spot, to: &Spot) -> std::result::Result<(), Errno> {
    match renameat_with(&from.parent, &from.name, &to.parent, &to.name, RenameFlags::NOREPLACE) {
        // A file system that cannot promise it: looking first is the best there is.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if to.found.is_none() => {
            renameat(&from.parent, &from.name, &to.parent, &to.name)
        }
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if to.found.is_some() => Err(Errno::EXIST),
        answer => answer,
    }
}

/// False when the file system cannot.
fn exchange(from: &Spot, to: &Spot) -> Result<bool> {
    match renameat_with(&from.parent, &from.name, &to.parent, &to.name, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(not_moved(error)),
    }
}

fn not_moved(error: Errno) -> FilesError {
    match error {
        Errno::XDEV => FilesError::conflict(
            ProblemReason::OtherFileSystem,
            "The new place is on another file system, so this cannot be moved there in one step. Nothing was changed.",
        ),
        Errno::INVAL => FilesError::conflict(
            ProblemReason::IntoItself,
            "A directory cannot be moved into itself. Nothing was changed.",
        ),
        Errno::BUSY => FilesError::conflict(
            ProblemReason::InUse,
            "The device's system is using this place. Nothing was changed.",
        ),
        other => other.into(),
    }
}
