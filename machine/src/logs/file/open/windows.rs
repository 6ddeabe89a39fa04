//! By a path on a disk: what is elsewhere, on a share or a device, is not opened at all.

use std::{
    fs::File,
    io,
    path::{Component, Path, PathBuf, Prefix},
};

use same_file::Handle;

/// A file of a drive. Opening the name of a share would already tell its machine who asks.
pub(super) fn handle(path: &Path) -> io::Result<File> {
    let on_drive = matches!(
        path.components().next(),
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::Disk(_) | Prefix::VerbatimDisk(_))
    );
    if !on_drive || !path.is_absolute() {
        return Err(io::ErrorKind::NotFound.into());
    }
    File::open(path)
}

/// A link may lead to another drive, or to a share, which is refused like one that was named. The path has to lead to
/// the same file twice, so that nothing was put in between.
pub(super) fn place(handle: &File, asked: &Path) -> io::Result<PathBuf> {
    let real = dunce::canonicalize(asked)?;
    let again = Handle::from_file(self::handle(&real)?)?;
    if again != Handle::from_file(handle.try_clone()?)? {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(real)
}

pub(super) fn reopen(handle: File) -> io::Result<File> {
    Ok(handle)
}
