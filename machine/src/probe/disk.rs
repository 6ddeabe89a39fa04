//! The size of the file system that holds a path.

use std::path::Path;

/// Bytes in all and bytes used. A path that does not exist yet counts as its nearest existing parent.
#[cfg(unix)]
pub(crate) fn space(path: &Path) -> Option<(u64, u64)> {
    let info = path.ancestors().find_map(|path| nix::sys::statvfs::statvfs(path).ok())?;
    #[allow(clippy::useless_conversion, reason = "these are 32 bits wide on some systems")]
    let (block, blocks, free): (u64, u64, u64) =
        (info.fragment_size().into(), info.blocks().into(), info.blocks_free().into());
    Some((blocks.saturating_mul(block), blocks.saturating_sub(free).saturating_mul(block)))
}

/// Bytes in all and bytes used, from the disk with the longest mount point above the path.
#[cfg(not(unix))]
pub(crate) fn space(path: &Path) -> Option<(u64, u64)> {
    let disks = sysinfo::Disks::new_with_refreshed_list().ok()?;
    let path = dunce::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let disk = disks
        .iter()
        .filter(|disk| path.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
        .or_else(|| disks.first())?;
    let total = disk.total_space();
    Some((total, total.saturating_sub(disk.available_space())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_yet_has_its_parents_disk() {
        let folder = tempfile::tempdir().unwrap();
        let here = space(folder.path()).unwrap();
        let later = space(&folder.path().join("not/yet")).unwrap();
        assert_eq!(here.0, later.0);
        assert!(here.0 > 0 && here.1 <= here.0);
    }
}
