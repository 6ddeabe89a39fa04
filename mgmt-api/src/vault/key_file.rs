//! Unattended unlock with a file of the operator's, made when there is none. Servers that share a database share it.

use std::path::Path;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::{sealed::Key, unattended::BYTES};

/// The key in the file; made, readable by its owner only, when there is none.
///
/// # Errors
/// When it can be neither read nor made, or is not such a key: one sentence.
pub fn load(file: &Path) -> anyhow::Result<Key> {
    let bytes = match std::fs::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(file),
        bytes => bytes,
    };
    let bytes = Zeroizing::new(
        bytes.with_context(|| format!("the vault's key file {} cannot be read or made", file.display()))?,
    );
    let Some(key) = Key::from_bytes(&bytes) else {
        bail!("{} is not a key file of {BYTES} bytes. Put the right file back.", file.display());
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
            tracing::warn!(file = %file.display(), "the vault's key file can be read by others than its owner");
        }
    }
    Ok(key)
}

/// Only one of two servers can make the name, and it never shows a file half written.
fn make(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Write;
    let beside = file.with_extension(format!("new-{}", uuid::Uuid::now_v7()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(&beside)?;
    let mut fresh = Zeroizing::new([0; BYTES]);
    rand::fill(fresh.as_mut_slice());
    opened.write_all(fresh.as_slice())?;
    opened.sync_all()?;
    let linked = std::fs::hard_link(&beside, file);
    let _ = std::fs::remove_file(&beside);
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::read(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_made_once_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vault.key");
        let sealed = load(&file).unwrap().seal(&["x"], b"secret").unwrap();
        assert_eq!(load(&file).unwrap().open(&["x"], &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&file, b"short").unwrap();
        assert!(load(&file).is_err());
    }
}
