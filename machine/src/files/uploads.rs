//! Files on their way to the device: in pieces, over any number of connections and starts of the agent.
//!
//! The data gathers in a hidden file in the directory where it belongs, so that the end is one rename: there is the
//! old file or the new one and never half of one. What is acknowledged is on the disk and noted in the agent's own
//! directory; what came after it is cut off when the upload goes on. A second connection takes an upload over from
//! one that hangs.

mod going;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foreman_protocol::{Millis, Policy, ProblemReason, StartUpload, Upload, UploadId};
use rustix::fs::{FileType, Mode, OFlags, fchmod, fstat, fstatvfs, openat, unlinkat};
use serde::{Deserialize, Serialize};

use super::{
    Files, FilesError, Result, Rules,
    entry::{etag, path_text},
    now_ms,
    records::Records,
    walk::{Last, Spot, id, kind, parse},
};
use going::Going;

/// Bytes of one upload.
pub const MAX_UPLOAD: u64 = 1 << 40;
/// Uploads that are not finished.
const MAX_OPEN: usize = 64;
/// How long one may take, and how long a finished one is remembered.
const KEPT: Millis = 24 * 60 * 60 * 1_000;

/// What is noted of an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    id: UploadId,
    /// Real, as it was when the upload began.
    path: PathBuf,
    size: u64,
    replace: bool,
    /// What must be there when it ends, if anything must.
    if_match: Option<String>,
    /// Bytes that are on the disk for certain.
    received: u64,
    done: bool,
    /// The file where it gathers, and its permissions when it is done.
    device: u64,
    inode: u64,
    mode: u32,
    started_at: Millis,
}

impl Record {
    fn temporary(&self) -> String {
        format!(".foreman-upload-{}", self.id)
    }

    fn told(&self) -> Upload {
        Upload {
            id: self.id,
            path: self.path.to_string_lossy().into_owned(),
            size: self.size,
            received: self.received,
            done: self.done,
        }
    }
}

/// Every upload this agent knows.
#[derive(Debug)]
pub(super) struct Uploads {
    records: Records<Record>,
    known: Mutex<HashMap<UploadId, Arc<Mutex<Going>>>>,
}

impl Uploads {
    pub(super) fn at(folder: PathBuf) -> Self {
        let records = Records::at(folder);
        let known = records.all().into_iter().map(|record: Record| {
            let id = record.id;
            (id, Arc::new(Mutex::new(Going::again(record))))
        });
        Self { known: Mutex::new(known.collect()), records }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<UploadId, Arc<Mutex<Going>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: UploadId) -> Result<Arc<Mutex<Going>>> {
        self.known().get(&id).cloned().ok_or(FilesError::NotFound)
    }

    fn forget(&self, id: UploadId) {
        self.known().remove(&id);
        self.records.remove(&id.to_string());
    }
}

fn lock(going: &Mutex<Going>) -> MutexGuard<'_, Going> {
    going.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection's part in an upload.
#[derive(Debug)]
pub struct Piece {
    going: Arc<Mutex<Going>>,
    /// Which connection's turn this is.
    turn: u64,
}

impl Piece {
    /// Takes bytes; they count when the piece has ended.
    ///
    /// # Errors
    /// [`FilesError::Full`] when the disk is; what was written stays. [`FilesError::Conflict`] when another
    /// connection goes on with the upload.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        lock(&self.going).write(self.turn, bytes)
    }
}

impl Files {
    /// Begins an upload. An empty file is there at once.
    ///
    /// # Errors
    /// As everywhere; [`FilesError::Conflict`] when there is a file already that is not to be replaced,
    /// [`FilesError::Changed`] when `if_match` does not fit, [`FilesError::Full`] when there is no room for it.
    pub fn start_upload(
        &self,
        policy: &Policy,
        wanted: &StartUpload,
        if_match: Option<&str>,
        by: &str,
    ) -> Result<Upload> {
        let rules = self.writing(policy)?;
        if wanted.size > MAX_UPLOAD {
            return Err(FilesError::TooLarge { limit: MAX_UPLOAD });
        }
        if wanted.path.ends_with('/') {
            return Err(FilesError::Invalid {
                field: "path",
                why: "This names a directory and no file.".into(),
            });
        }
        self.clean_up();
        let spot = rules.walk(parse(&wanted.path)?, Last::Follow)?;
        path_text(&spot.path)?;
        may_become(&rules, &spot, wanted.replace, if_match)?;
        self.room(&spot, wanted.size)?;
        let record = self.begin(&spot, wanted, if_match)?;
        let going = Arc::new(Mutex::new(Going::again(record.clone())));
        self.uploads.known().insert(record.id, going);
        if record.size == 0 {
            let piece = self.continue_upload(policy, record.id, 0)?;
            return self.finish_piece(policy, &piece, by);
        }
        Ok(record.told())
    }

    fn room(&self, spot: &Spot, size: u64) -> Result<()> {
        // One that is locked is just being written.
        let under_way = |going: &Arc<Mutex<Going>>| going.try_lock().map_or(true, |going| !going.record.done);
        let open = self.uploads.known().values().filter(|going| under_way(going)).count();
        if open >= MAX_OPEN {
            return Err(FilesError::Limit(
                ProblemReason::UploadsUnderWay,
                format!("{open} uploads are under way on this device; finish or end one of them first."),
            ));
        }
        let system = fstatvfs(&spot.parent)?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        if size > free {
            return Err(FilesError::Full(format!(
                "This needs {size} bytes and the device's disk has {free} left. Nothing was stored."
            )));
        }
        Ok(())
    }

    /// Makes the file where it gathers.
    fn begin(&self, spot: &Spot, wanted: &StartUpload, if_match: Option<&str>) -> Result<Record> {
        let mut record = Record {
            id: UploadId::fresh(),
            path: spot.path.clone(),
            size: wanted.size,
            replace: wanted.replace,
            if_match: if_match.map(str::to_owned),
            received: 0,
            done: false,
            device: 0,
            inode: 0,
            mode: 0,
            started_at: now_ms(),
        };
        spot.still()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Made as any program would make it, to learn which permissions that gives; private while it grows.
        let file = openat(&spot.parent, record.temporary(), flags, Mode::from_raw_mode(0o666))?;
        let noted = (|| {
            let stat = fstat(&file)?;
            (record.device, record.inode) = id(&stat);
            record.mode = spot.found.as_ref().unwrap_or(&stat).st_mode & 0o777;
            fchmod(&file, Mode::from_raw_mode(0o600))?;
            Ok(self.uploads.records.save(&record.id.to_string(), &record)?)
        })();
        if let Err(error) = noted {
            let _ = unlinkat(&spot.parent, record.temporary(), rustix::fs::AtFlags::empty());
            return Err(error);
        }
        Ok(record)
    }

    /// How far an upload is.
    ///
    /// # Errors
    /// [`FilesError::NotFound`] when it is not known (any more).
    pub fn upload(&self, policy: &Policy, id: UploadId) -> Result<Upload> {
        let rules = self.writing(policy)?;
        let going = self.uploads.get(id)?;
        let mut going = lock(&going);
        rules.admit(&going.record.path)?;
        going.secure(&self.uploads.records)?;
        Ok(going.record.told())
    }

    /// Goes on with an upload; whoever did so before has lost their turn.
    ///
    /// # Errors
    /// [`FilesError::Offset`] with where it stands when `offset` is somewhere else.
    pub fn continue_upload(&self, policy: &Policy, id: UploadId, offset: u64) -> Result<Piece> {
        let rules = self.writing(policy)?;
        let going = self.uploads.get(id)?;
        let turn = {
            let mut going = lock(&going);
            rules.admit(&going.record.path)?;
            going.secure(&self.uploads.records)?;
            going.take_over(&rules, offset)?
        };
        Ok(Piece { going, turn })
    }

    /// Whether the policy as it is now lets this upload go on. To be asked now and then while bytes come.
    ///
    /// # Errors
    /// What it says against it; what came is kept.
    pub fn may_go_on(&self, policy: &Policy, piece: &Piece) -> Result<()> {
        let rules = self.writing(policy)?;
        let path = lock(&piece.going).record.path.clone();
        rules.admit(&path)
    }

    /// Ends a piece, complete or cut off: what came is now safe. With the last byte the file goes to its place.
    ///
    /// # Errors
    /// As everywhere; what came is kept also when the file cannot go to its place.
    pub fn finish_piece(&self, policy: &Policy, piece: &Piece, by: &str) -> Result<Upload> {
        let rules = self.writing(policy)?;
        let mut going = lock(&piece.going);
        going.my_turn(piece.turn)?;
        going.secure(&self.uploads.records)?;
        if going.record.received == going.record.size && !going.record.done {
            self.complete(&rules, &mut going)?;
            self.changed("write", &going.record.path, by);
        }
        Ok(going.record.told())
    }

    fn complete(&self, rules: &Rules, going: &mut Going) -> Result<()> {
        let record = &going.record;
        let to = rules.walk(&record.path, Last::Keep)?;
        if to.path != record.path {
            return Err(FilesError::Changed);
        }
        may_become(rules, &to, record.replace, record.if_match.as_deref())?;
        let from = going.gathered(rules)?;
        to.still()?;
        let mode = to.found.as_ref().map_or(record.mode, |found| found.st_mode & 0o777);
        going.publish(mode)?;
        self.put(rules, &from, &to, record.replace)?;
        going.finish(&from, &self.uploads.records);
        Ok(())
    }

    /// Ends an upload and lets go what came. A finished one is only forgotten.
    ///
    /// # Errors
    /// [`FilesError::NotFound`] when it is not known.
    pub fn cancel_upload(&self, policy: &Policy, id: UploadId) -> Result<()> {
        let rules = self.writing(policy)?;
        let going = self.uploads.get(id)?;
        rules.admit(&lock(&going).record.path)?;
        lock(&going).remove(&rules);
        self.uploads.forget(id);
        Ok(())
    }

    /// Removes what nobody finished within a day. To be called now and then.
    pub(super) fn clean_uploads(&self, now: Millis) {
        // These files are the agent's own, wherever the policy now says.
        let rules = Rules::new(&[], &[], &self.state);
        let old: Vec<_> = self
            .uploads
            .known()
            .iter()
            .filter(|(_, going)| going.try_lock().is_ok_and(|going| now - going.record.started_at > KEPT))
            .map(|(id, going)| (*id, Arc::clone(going)))
            .collect();
        for (id, going) in old {
            lock(&going).remove(&rules);
            self.uploads.forget(id);
        }
    }
}

/// Whether a file may take this place.
fn may_become(rules: &Rules, spot: &Spot, replace: bool, if_match: Option<&str>) -> Result<()> {
    rules.may_go(&spot.path)?;
    if let Some(parent) = spot.path.parent() {
        rules.admit(parent)?;
    }
    match &spot.found {
        Some(found) if kind(found) != FileType::RegularFile => Err(FilesError::conflict(
            ProblemReason::NotReplaced,
            "What is there is no file and is not replaced by one. Nothing was changed.",
        )),
        Some(found) if if_match.is_some_and(|expected| expected != "*" && expected != etag(found)) => {
            Err(FilesError::Changed)
        }
        None if if_match.is_some() => Err(FilesError::Changed),
        Some(_) if !replace => Err(FilesError::conflict(
            ProblemReason::NameTaken,
            "A file of this name is there already. Nothing was changed.",
        )),
        _ => Ok(()),
    }
}
