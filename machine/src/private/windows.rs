//! By where they are: what is made takes over who may do what from the directory above it, and the agent keeps its
//! things in its user's profile, which Windows keeps for that user, the system and administrators.

use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    path::Path,
};

/// Makes a directory, and those above it that are missing. Who may read it is as above it.
///
/// # Errors
/// When the file system refuses.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

/// How a file is opened: one that is made has the rights of its directory.
#[must_use]
pub fn options() -> OpenOptions {
    OpenOptions::new()
}
