//! The agent's end of the output files: reads from any offset, and lets go what the server has.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{folder::OUTPUT, spool::segment_name};
use crate::at::read_at;

/// What is found at an offset.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Bytes(Vec<u8>),
    /// The bytes before `to` are gone for good; go on there.
    Gap {
        to: u64,
    },
    /// All that is there has been read.
    NothingYet,
}

/// Reads a task's output while it is written.
#[derive(Debug)]
pub struct OutputReader {
    dir: PathBuf,
    /// The segment read last: its start and the open file.
    open: Option<(u64, File)>,
}

impl OutputReader {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), open: None }
    }

    /// The output in a task's folder.
    #[must_use]
    pub fn of(folder: &super::TaskFolder) -> Self {
        Self::new(&folder.path().join(OUTPUT))
    }

    /// At most `most` bytes from `offset` on.
    ///
    /// # Errors
    /// When the file system refuses. A directory that is gone holds nothing.
    pub fn read(&mut self, offset: u64, most: usize) -> io::Result<Piece> {
        if let Some(bytes) = self.read_open(offset, most)? {
            return Ok(Piece::Bytes(bytes));
        }
        let starts = self.starts()?;
        // The segment that holds the offset is the last one that starts at or before it.
        if let Some(start) = starts.iter().rev().find(|start| **start <= offset) {
            self.open = Some((*start, File::open(self.dir.join(segment_name(*start)))?));
            if let Some(bytes) = self.read_open(offset, most)? {
                return Ok(Piece::Bytes(bytes));
            }
        }
        // A later segment is begun only when the one before is complete, so what is missing here is gone.
        Ok(starts.into_iter().find(|start| *start > offset).map_or(Piece::NothingYet, |to| Piece::Gap { to }))
    }

    /// The offset behind the last byte on disk.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn end(&self) -> io::Result<u64> {
        let Some(last) = self.starts()?.pop() else { return Ok(0) };
        Ok(last + fs::metadata(self.dir.join(segment_name(last)))?.len())
    }

    /// Removes the segments that lie wholly before `acknowledged` and says how many; the newest stays, because it
    /// may still grow.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn let_go(&mut self, acknowledged: u64) -> io::Result<usize> {
        let starts = self.starts()?;
        let mut removed = 0;
        for pair in starts.windows(2) {
            if pair[1] > acknowledged {
                break;
            }
            fs::remove_file(self.dir.join(segment_name(pair[0])))?;
            removed += 1;
        }
        Ok(removed)
    }

    fn read_open(&mut self, offset: u64, most: usize) -> io::Result<Option<Vec<u8>>> {
        let Some((start, file)) = self.open.as_ref() else { return Ok(None) };
        let Some(at) = offset.checked_sub(*start) else { return Ok(None) };
        let left = file.metadata()?.len().saturating_sub(at);
        let mut bytes = vec![0; most.min(usize::try_from(left).unwrap_or(most))];
        let mut filled = 0;
        while filled < bytes.len() {
            match read_at(file, &mut bytes[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    fn starts(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut starts = Vec::new();
        for entry in entries {
            if let Some(start) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                starts.push(start);
            }
        }
        starts.sort_unstable();
        Ok(starts)
    }
}
