//! The supervisor's end of the output files: appends segments, and never holds more than its limit.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::folder::private_file;

/// The most one segment holds; a segment is the unit that is let go.
const SEGMENT: u64 = 4 << 20;

pub(super) struct Spool {
    dir: PathBuf,
    limit: u64,
    segment: u64,
    current: Option<(File, u64)>,
    total: u64,
    held: u64,
}

impl Spool {
    /// A spool in an empty directory.
    pub(super) fn new(dir: &Path, limit: u64) -> Self {
        // Small limits get small segments, or nothing could be let go before the limit is reached.
        let segment = SEGMENT.min(limit / 4).max(1);
        Self { dir: dir.to_owned(), limit, segment, current: None, total: 0, held: 0 }
    }

    /// Bytes of output ever kept.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    pub(super) const fn has_room(&self) -> bool {
        self.held < self.limit
    }

    /// Looks what is left on disk, after somebody took some.
    pub(super) fn recount(&mut self) -> io::Result<()> {
        let mut held = 0;
        for entry in fs::read_dir(&self.dir)? {
            held += entry?.metadata().map_or(0, |metadata| metadata.len());
        }
        self.held = held;
        Ok(())
    }

    /// Keeps as much as fits and says how much that was; less than all when the limit or the disk is full.
    pub(super) fn append(&mut self, bytes: &[u8]) -> usize {
        let mut kept = 0;
        while kept < bytes.len() && self.has_room() {
            match self.append_once(&bytes[kept..]) {
                Ok(0) => break,
                Ok(count) => kept += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        kept
    }

    /// For when the disk takes nothing more: begins the next segment, so that the one before can be let go whole
    /// and its space used. `false` when there is nothing to let go, or not even space for an empty file.
    pub(super) fn seal(&mut self) -> bool {
        if self.current.as_ref().is_none_or(|(_, length)| *length == 0) {
            return false;
        }
        match private_file(&self.dir.join(segment_name(self.total))) {
            Ok(file) => {
                self.current = Some((file, 0));
                true
            }
            Err(_) => false,
        }
    }

    fn append_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.current.as_ref().is_none_or(|(_, length)| *length >= self.segment) {
            let file = private_file(&self.dir.join(segment_name(self.total)))?;
            self.current = Some((file, 0));
        }
        let Some((file, length)) = self.current.as_mut() else { return Ok(0) };
        let room = (self.segment - *length).min(self.limit - self.held);
        let most = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let count = file.write(&bytes[..most])?;
        *length += count as u64;
        self.total += count as u64;
        self.held += count as u64;
        Ok(count)
    }
}

pub(super) fn segment_name(start: u64) -> String {
    format!("{start:020}")
}

#[cfg(test)]
mod tests {
    use super::{
        super::output::{OutputReader, Piece},
        *,
    };

    fn read_all(reader: &mut OutputReader, mut offset: u64) -> Vec<u8> {
        let mut read = Vec::new();
        loop {
            match reader.read(offset, 1000).unwrap() {
                Piece::Bytes(bytes) => {
                    offset += bytes.len() as u64;
                    read.extend(bytes);
                }
                Piece::Gap { .. } => panic!("nothing was let go"),
                Piece::NothingYet => return read,
            }
        }
    }

    #[test]
    fn what_goes_in_comes_out_in_order_across_segments() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path(), 4096);
        let bytes: Vec<u8> = (0..3000u32).map(|n| n as u8).collect();
        for piece in bytes.chunks(700) {
            assert_eq!(spool.append(piece), piece.len());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        let mut reader = OutputReader::new(dir.path());
        assert_eq!(read_all(&mut reader, 0), bytes);
        assert_eq!(read_all(&mut reader, 1500), &bytes[1500..]);
    }

    #[test]
    fn a_sealed_segment_can_be_let_go_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path(), 4096);
        assert!(!spool.seal(), "nothing to let go yet");
        assert_eq!(spool.append(&[7; 100]), 100);
        let mut reader = OutputReader::new(dir.path());
        assert_eq!(reader.let_go(100).unwrap(), 0, "it may still grow");
        assert!(spool.seal());
        assert!(!spool.seal(), "once is enough");
        assert_eq!(reader.read(100, 10).unwrap(), Piece::NothingYet);
        assert_eq!(reader.let_go(100).unwrap(), 1);
        assert_eq!(spool.append(&[8; 50]), 50);
        assert_eq!(reader.read(100, 1000).unwrap(), Piece::Bytes(vec![8; 50]));
    }

    #[test]
    fn a_full_spool_takes_no_more_until_something_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(dir.path(), 1024);
        assert_eq!(spool.append(&[7; 2000]), 1024);
        assert!(!spool.has_room());
        let mut reader = OutputReader::new(dir.path());
        assert_eq!(reader.let_go(600).unwrap(), 2);
        spool.recount().unwrap();
        assert_eq!(spool.append(&[8; 2000]), 512);
        assert_eq!(spool.total(), 1536);
        assert_eq!(reader.read(100, 1000).unwrap(), Piece::Gap { to: 512 });
        assert_eq!(reader.read(1024, 1000).unwrap(), Piece::Bytes(vec![8; 256]));
    }
}
