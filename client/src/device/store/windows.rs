//! Private by where it is: in the user's profile, which Windows keeps for that user, the system and administrators.

use std::{fs, io, path::Path};

use tempfile::{Builder, NamedTempFile};

/// A new file with the rights of its folder, which is made when it is missing.
pub(super) fn private_file_in(folder: &Path) -> io::Result<NamedTempFile> {
    fs::create_dir_all(folder)?;
    Builder::new().tempfile_in(folder)
}
