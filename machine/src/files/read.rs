//! Opens a file for reading: a regular one and nothing else, since opening a pipe or a device alone already does
//! something.

use std::{fs::File, os::fd::OwnedFd, path::PathBuf};

use foreman_protocol::{Millis, ProblemReason};
use rustix::{
    buffer::spare_capacity,
    fs::{FileType, Mode, OFlags, Stat, fstat, openat},
    io::Errno,
};

use super::{
    FilesError, Result, Rules,
    entry::{etag, mime, modified_at, size},
    walk::{Last, Spot, kind, parse},
};

/// A file that is open, and what was true of it then.
#[derive(Debug)]
pub struct Opened {
    pub file: File,
    /// Where it really is.
    pub path: PathBuf,
    pub name: String,
    pub size: u64,
    pub modified_at: Millis,
    pub etag: String,
    pub mime: String,
}

impl Rules {
    /// Opens a file, links followed.
    ///
    /// # Errors
    /// As everywhere; [`FilesError::NoFile`] for what is no regular file.
    pub fn open(&self, path: &str) -> Result<Opened> {
        let spot = self.walk(parse(path)?, Last::Follow)?;
        let (file, stat) = open_regular(self, &spot)?;
        let mut head = Vec::with_capacity(4_096);
        rustix::io::pread(&file, spare_capacity(&mut head), 0)?;
        Ok(Opened {
            name: spot.name.to_string_lossy().into_owned(),
            size: size(&stat),
            modified_at: modified_at(&stat),
            etag: etag(&stat),
            mime: mime(&spot.path, &head),
            path: spot.path,
            file: file.into(),
        })
    }

    /// Opens a file as [`Self::open`] does, and says nothing of it.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn open_file(&self, path: &str) -> Result<File> {
        let spot = self.walk(parse(path)?, Last::Follow)?;
        Ok(open_regular(self, &spot)?.0.into())
    }

    /// Whether a path leads out of what is allowed.
    pub(crate) fn leads_out(&self, path: &str) -> bool {
        let walked = parse(path).and_then(|path| self.walk(path, Last::Follow));
        matches!(walked, Err(FilesError::Outside))
    }
}

impl Opened {
    /// Up to `length` bytes from `offset`; fewer at the end, none behind it.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let before = bytes.len();
            rustix::io::pread(&self.file, spare_capacity(&mut bytes), offset + before as u64)?;
            if bytes.len() == before {
                break;
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Up to `length` bytes from `offset` if they are in memory, so that nothing waits for a disk. `None` when they are
    /// not, at the end, and where the system cannot tell.
    #[must_use]
    pub fn read_now(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = now(&self.file, offset, &mut bytes)?;
        bytes.truncate(read);
        (read > 0).then_some(bytes)
    }
}

#[cfg(target_os = "linux")]
fn now(file: &File, offset: u64, bytes: &mut [u8]) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};

    preadv2(file, &mut [std::io::IoSliceMut::new(bytes)], offset, ReadWriteFlags::NOWAIT).ok()
}

#[cfg(not(target_os = "linux"))]
const fn now(_: &File, _: u64, _: &mut [u8]) -> Option<usize> {
    None
}

/// Opens what the walk found, if it is a regular file that holds what it says.
pub(super) fn open_regular(rules: &Rules, spot: &Spot) -> Result<(OwnedFd, Stat)> {
    let found = spot.stat()?;
    refuse_special(found)?;
    let file = reopen(spot)?;
    let stat = fstat(&file)?;
    refuse_special(&stat)?;
    rules.admit_handle(&file)?;
    if made_up(&file) {
        return Err(FilesError::NoFile(
            ProblemReason::NotAFile,
            "This is a window into the system and no file; it is not read from afar.",
        ));
    }
    Ok((file, stat))
}

pub(super) fn refuse_special(stat: &Stat) -> Result<()> {
    match kind(stat) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(FilesError::NoFile(ProblemReason::IsADirectory, "This is a directory.")),
        _ => Err(FilesError::NoFile(
            ProblemReason::NotAFile,
            "This is a pipe, a socket or a device and no file; it is not read from afar.",
        )),
    }
}

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// First a handle that only says what it is, then the very same thing for reading.
#[cfg(target_os = "linux")]
fn reopen(spot: &Spot) -> Result<OwnedFd> {
    use std::os::fd::AsRawFd;

    use rustix::fs::CWD;

    let handle =
        openat(&spot.parent, &spot.name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    refuse_special(&fstat(&handle)?)?;
    let same = format!("/proc/self/fd/{}", handle.as_raw_fd());
    match openat(CWD, same, READ.difference(OFlags::NOFOLLOW), Mode::empty()) {
        Ok(file) => Ok(file),
        // Without /proc: by name once more, which at worst opens a pipe and reads nothing from it.
        Err(Errno::NOENT) => Ok(openat(&spot.parent, &spot.name, READ, Mode::empty())?),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reopen(spot: &Spot) -> Result<OwnedFd> {
    Ok(openat(&spot.parent, &spot.name, READ, Mode::empty())?)
}

/// Files that the kernel makes up: memory of processes (the agent's keys among it), traces without an end,
/// switches. They say that they are regular.
#[cfg(target_os = "linux")]
pub(super) fn made_up(file: &impl std::os::fd::AsFd) -> bool {
    const MADE_UP: [u64; 15] = [
        0x9fa0,      // proc
        0x6265_6572, // sysfs
        0x6462_6720, // debugfs
        0x7472_6163, // tracefs
        0x7363_6673, // securityfs
        0x6265_6570, // configfs
        0xcafe_4a11, // bpf
        0xde5e_81e4, // efivarfs
        0x6367_7270, // cgroup2
        0x0027_e0eb, // cgroup
        0xf97c_ff8c, // selinuxfs
        0x4249_4e4d, // binfmt_misc
        0x6573_5543, // fusectl
        0x6165_676c, // pstore
        0x0765_5821, // resctrl
    ];
    // Signed on some systems, and then only the low half counts.
    #[allow(
        clippy::cast_sign_loss,
        clippy::unnecessary_cast,
        reason = "the kernel's number, whatever its type"
    )]
    rustix::fs::fstatfs(file).is_ok_and(|found| MADE_UP.contains(&(found.f_type as u64 & 0xffff_ffff)))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn made_up(_: &impl std::os::fd::AsFd) -> bool {
    false
}
