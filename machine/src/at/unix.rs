//! `pread` and `pwrite`.

use std::os::unix::fs::FileExt as _;
use std::{fs::File, io};

/// Reads once, as much as there is up to the buffer's size. Zero bytes at the end of the file.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// Writes everything.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}
