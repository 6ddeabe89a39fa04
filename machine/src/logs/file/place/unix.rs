//! By the device and the inode.

use std::{fs::Metadata, os::unix::fs::MetadataExt as _};

pub(super) fn numbers(facts: &Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}
