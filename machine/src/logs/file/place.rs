//! A place in a file that can be found again: which file it is, how it begins, how far it was read.
//!
//! A number of an inode alone is not enough: it is used again after a deletion, and it stays when a file is emptied
//! and written anew. How the file begins tells those apart, and finds a copy.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    fmt,
    fs::{File, Metadata},
    io,
    str::FromStr,
};

use sha2::{Digest as _, Sha256};

use crate::at::read_at;
#[cfg(unix)]
use unix::numbers;
#[cfg(windows)]
use windows::numbers;

/// So many first bytes are compared.
const BEGINNING: usize = 256;

/// Which file, whatever it is called now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    pub dev: u64,
    pub ino: u64,
}

impl FileId {
    pub(super) fn of(facts: &Metadata) -> Self {
        let (dev, ino) = numbers(facts);
        Self { dev, ino }
    }
}

/// How a file begins: its first bytes, as many as there were, up to a limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginning {
    bytes: Vec<u8>,
    /// Of all bytes once the limit is reached.
    hash: Option<u64>,
}

impl Beginning {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let mut beginning = Self { bytes: read(file, BEGINNING)?, hash: None };
        beginning.hash = (beginning.bytes.len() == BEGINNING).then(|| hash(&beginning.bytes));
        Ok(beginning)
    }

    /// Bytes that were read at an offset; they may be the next ones of the beginning.
    pub(super) fn seen(&mut self, at: u64, bytes: &[u8]) {
        let known = self.bytes.len();
        let Some(skip) = usize::try_from(at).ok().and_then(|at| known.checked_sub(at)) else { return };
        if known < BEGINNING && skip < bytes.len() {
            let more = &bytes[skip..];
            self.bytes.extend_from_slice(&more[..more.len().min(BEGINNING - known)]);
            self.hash = (self.bytes.len() == BEGINNING).then(|| hash(&self.bytes));
        }
    }

    /// Whether the file still begins like this.
    pub(super) fn holds(&self, file: &File) -> io::Result<bool> {
        Ok(read(file, self.bytes.len())? == self.bytes)
    }

    /// A place for later, which says nothing of bytes behind it.
    pub(super) fn place(&self, file: FileId, offset: u64) -> Place {
        self.compared(file, offset, self.bytes.len().min(usize::try_from(offset).unwrap_or(BEGINNING)))
    }

    /// A place with all that is known of the file, read or not.
    pub(super) fn known(&self, file: FileId, offset: u64) -> Place {
        self.compared(file, offset, self.bytes.len())
    }

    fn compared(&self, file: FileId, offset: u64, length: usize) -> Place {
        let hash = self.hash.filter(|_| length == BEGINNING).unwrap_or_else(|| hash(&self.bytes[..length]));
        Place { file, offset, length, hash }
    }
}

/// A place in a file, as it is given to readers as cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub file: FileId,
    /// Of the first byte that was not read.
    pub offset: u64,
    /// Of the beginning that is compared.
    pub length: usize,
    hash: u64,
}

impl Place {
    /// Whether this file has, up to the offset, what was read then.
    pub(super) fn lies_in(&self, file: &File) -> io::Result<bool> {
        if !reaches(file, self.offset)? {
            return Ok(false);
        }
        let beginning = read(file, self.length)?;
        Ok(beginning.len() == self.length && hash(&beginning) == self.hash)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, length, hash } = self;
        write!(f, "f:{:x}:{:x}:{offset}:{length}:{hash:016x}", file.dev, file.ino)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["f", dev, ino, offset, length, hash] = parts[..] else { return Err(()) };
        let hex = |digits| u64::from_str_radix(digits, 16).map_err(|_| ());
        let length = length.parse().ok().filter(|length| *length <= BEGINNING).ok_or(())?;
        let offset = offset.parse().map_err(|_| ())?;
        Ok(Self { file: FileId { dev: hex(dev)?, ino: hex(ino)? }, offset, length, hash: hex(hash)? })
    }
}

/// Whether a file has bytes up to an offset. Some file systems say of a file that it is empty and have bytes in it all
/// the same, so where its length says no it is read.
pub(super) fn reaches(file: &File, offset: u64) -> io::Result<bool> {
    if file.metadata()?.len() >= offset {
        return Ok(true);
    }
    loop {
        match read_at(file, &mut [0], offset - 1) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return Ok(read? > 0),
        }
    }
}

fn read(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match read_at(file, &mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_reads_back(dev: u64, ino: u64, offset: u64, length in 0..=BEGINNING, hash: u64) {
            let place = Place { file: FileId { dev, ino }, offset, length, hash };
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }

        #[test]
        fn other_text_is_no_place(text in "[f:0-9a-z]{0,40}") {
            let _ = Place::from_str(&text);
        }
    }
}
