//! A page of a directory: every name is read, only those of the page are looked at more closely. So a directory of
//! 100,000 costs hardly more than its names.

use std::{
    cmp::Ordering,
    ffi::OsStr,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use foreman_protocol::{FileEntry, Page};
use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::{
    FilesError, Result, Rules, natural,
    walk::{kind, parse},
};

/// The most entries in one page.
pub const MAX_LIST: usize = 10_000;

#[derive(Debug, Clone)]
pub struct ListOptions {
    pub limit: usize,
    /// From the page before: the name to go on after, so entries that come and go shift nothing.
    pub cursor: Option<String>,
    /// Names that begin with a dot too.
    pub hidden: bool,
}

/// Directories first, then by name.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    directory: bool,
    name: Box<[u8]>,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        other.directory.cmp(&self.directory).then_with(|| natural::compare(&self.name, &other.name))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Key {
    fn cursor(&self) -> String {
        let kind = if self.directory { b'd' } else { b'f' };
        URL_SAFE_NO_PAD.encode([&[kind], &self.name[..]].concat())
    }

    fn from_cursor(cursor: &str) -> Result<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
        match bytes.split_first() {
            Some((b'd', name)) => Ok(Self { directory: true, name: name.into() }),
            Some((b'f', name)) => Ok(Self { directory: false, name: name.into() }),
            _ => Err(FilesError::Invalid {
                field: "cursor",
                why: "This is no place to go on from; begin at the first page.".into(),
            }),
        }
    }
}

impl Rules {
    /// A page of a directory.
    ///
    /// # Errors
    /// As everywhere; [`FilesError::Conflict`] for what is no directory.
    pub fn list(&self, path: &str, options: &ListOptions) -> Result<Page<FileEntry>> {
        let after = options.cursor.as_deref().map(Key::from_cursor).transpose()?;
        let (directory, path) = self.directory(parse(path)?)?;
        let mut keys = names(&directory, options.hidden)?;
        keys.retain(|key| after.as_ref().is_none_or(|after| key > after));
        self.hide_blocked(&path, &mut keys);
        let limit = options.limit.clamp(1, MAX_LIST);
        let more = keys.len() > limit;
        if more {
            keys.select_nth_unstable(limit);
            keys.truncate(limit);
        }
        keys.sort_unstable();
        let next = keys.last().filter(|_| more).map(Key::cursor);
        let items = keys.iter().filter_map(|key| self.listed(&directory, &path, key)).collect();
        Ok(Page { items, next })
    }

    /// Nothing, when it went away in the meantime.
    fn listed(&self, directory: &OwnedFd, path: &Path, key: &Key) -> Option<FileEntry> {
        let name = OsStr::from_bytes(&key.name);
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(self.entry(directory, name, &path.join(name), &stat))
    }

    fn hide_blocked(&self, path: &Path, keys: &mut Vec<Key>) {
        if self.blocks_in(path) {
            keys.retain(|key| self.admit(&path.join(OsStr::from_bytes(&key.name))).is_ok());
        }
    }
}

fn names(directory: &OwnedFd, hidden: bool) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    for found in Dir::read_from(directory)? {
        let found = found?;
        let name = found.file_name().to_bytes();
        if name == b"." || name == b".." || (!hidden && name.starts_with(b".")) {
            continue;
        }
        let kind = match found.file_type() {
            FileType::Unknown => statat(directory, found.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| kind(&stat)),
            known => known,
        };
        keys.push(Key { directory: kind == FileType::Directory, name: name.into() });
    }
    Ok(keys)
}
