//! Private by the mode.

use std::{
    fs::{DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

use tempfile::{Builder, NamedTempFile};

/// A new file for its user alone, in a folder that is made when it is missing.
pub(super) fn private_file_in(folder: &Path) -> io::Result<NamedTempFile> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(folder)
}
