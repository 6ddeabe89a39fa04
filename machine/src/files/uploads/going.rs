//! One upload and the file where it gathers.

use std::{fs::File, os::unix::fs::FileExt};

use foreman_protocol::ProblemReason;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, fstat, openat, statat, unlinkat};

use super::{Record, id};
use crate::files::{
    FilesError, Result, Rules,
    records::Records,
    walk::{Last, Spot, kind},
};

#[derive(Debug)]
pub(super) struct Going {
    pub(super) record: Record,
    /// Open from the first piece on.
    file: Option<File>,
    /// Bytes in the file, on the disk or not yet.
    written: u64,
    /// Whose turn it is.
    turn: u64,
}

impl Going {
    /// As it was noted.
    pub(super) const fn again(record: Record) -> Self {
        let written = record.received;
        Self { record, file: None, written, turn: 0 }
    }

    pub(super) fn my_turn(&self, turn: u64) -> Result<()> {
        if self.turn == turn {
            return Ok(());
        }
        Err(FilesError::conflict(
            ProblemReason::UploadElsewhere,
            "Another connection goes on with this upload. What came is kept.",
        ))
    }

    /// A new turn, if it begins where this stands.
    pub(super) fn take_over(&mut self, rules: &Rules, offset: u64) -> Result<u64> {
        if offset != self.record.received {
            return Err(FilesError::Offset { expected: self.record.received });
        }
        if self.file.is_none() && !self.record.done {
            self.open(rules)?;
        }
        self.turn += 1;
        Ok(self.turn)
    }

    /// The file again, without what came after the last acknowledgement.
    fn open(&mut self, rules: &Rules) -> Result<()> {
        let spot = self.gathered(rules)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&spot.parent, &spot.name, flags, Mode::empty())?;
        let stat = fstat(&file)?;
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        if id(&stat) != (self.record.device, self.record.inode) || length < self.record.received {
            return Err(lost());
        }
        let file = File::from(file);
        file.set_len(self.record.received)?;
        self.written = self.record.received;
        self.file = Some(file);
        Ok(())
    }

    /// Where it gathers.
    pub(super) fn gathered(&self, rules: &Rules) -> Result<Spot> {
        let spot = rules.walk(&self.record.path.with_file_name(self.record.temporary()), Last::Keep)?;
        let found = spot.found.as_ref().ok_or_else(lost)?;
        if kind(found) != FileType::RegularFile || id(found) != (self.record.device, self.record.inode) {
            return Err(lost());
        }
        Ok(spot)
    }

    pub(super) fn write(&mut self, turn: u64, bytes: &[u8]) -> Result<()> {
        self.my_turn(turn)?;
        let Some(file) = &self.file else { return Ok(()) };
        if self.written + bytes.len() as u64 > self.record.size {
            return Err(FilesError::Invalid {
                field: "body",
                why: format!("This is more than the {} bytes that were announced.", self.record.size),
            });
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match file.write_at(rest, self.written) {
                Ok(length) => {
                    self.written += length as u64;
                    rest = &rest[length..];
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes sure of everything that was written.
    pub(super) fn secure(&mut self, records: &Records<Record>) -> Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| self.written > self.record.received) else {
            return Ok(());
        };
        file.sync_data()?;
        let record = Record { received: self.written, ..self.record.clone() };
        records.save(&record.id.to_string(), &record)?;
        self.record = record;
        Ok(())
    }

    /// The permissions it keeps, before anybody sees it under its name.
    pub(super) fn publish(&self, mode: u32) -> Result<()> {
        let Some(file) = &self.file else { return Err(lost()) };
        fchmod(file, Mode::from_raw_mode(mode))?;
        Ok(file.sync_all()?)
    }

    /// It is in its place.
    pub(super) fn finish(&mut self, from: &Spot, records: &Records<Record>) {
        self.record.done = true;
        self.file = None;
        let made_sure = openat(&from.parent, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .and_then(|directory| rustix::fs::fsync(&directory));
        if let Err(error) = made_sure {
            tracing::warn!(path = %self.record.path.display(), %error, "a directory cannot be synced");
        }
        if let Err(error) = records.save(&self.record.id.to_string(), &self.record) {
            tracing::warn!(id = %self.record.id, %error, "the end of an upload cannot be noted");
        }
    }

    /// Removes what came. What is not the very file that this upload made stays.
    pub(super) fn remove(&mut self, rules: &Rules) {
        self.turn += 1;
        self.file = None;
        let Ok(spot) = self.gathered(rules) else { return };
        let same = statat(&spot.parent, &spot.name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|found| id(&found) == (self.record.device, self.record.inode));
        if same && let Err(error) = unlinkat(&spot.parent, &spot.name, AtFlags::empty()) {
            tracing::warn!(path = %spot.path.display(), %error, "what came of an upload cannot be removed");
        }
    }
}

fn lost() -> FilesError {
    FilesError::conflict(
        ProblemReason::UploadLost,
        "What came of this upload is gone from the device. Begin it again.",
    )
}
