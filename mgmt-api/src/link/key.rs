//! The server's own link key: what a device's grant for its server is made out to.
//!
//! Made at the first start and kept in a file that only this server's account reads. Replicas share one file
//! (`--link-key-file`), or each device would trust only the replica it joined at. Lost, nothing else is: devices
//! have to be connected again to be reached from the dashboard.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, bail};
use foreman_link::grant::{LinkSecret, decode_key, encode_key};

/// Its name in the data folder.
pub const FILE: &str = "link.key";

/// Reads the key, or makes one where there is none.
pub fn load(path: &Path) -> anyhow::Result<LinkSecret> {
    match fs::read_to_string(path) {
        Ok(text) => read(path, &text),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(path).with_context(|| format!("cannot write the link key {}", path.display()))?;
            // Whoever was first: two replicas may start at once.
            let text = fs::read_to_string(path);
            read(path, &text.with_context(|| format!("cannot read the link key {}", path.display()))?)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read the link key {}", path.display())),
    }
}

fn read(path: &Path, text: &str) -> anyhow::Result<LinkSecret> {
    match decode_key(text.trim()) {
        Ok(bytes) => Ok(LinkSecret::from_bytes(&bytes)),
        Err(_) => bail!(
            "{} is not a link key. Put back the file from a backup; or delete it to get a new key, and connect \
             the devices again that the dashboard is to reach.",
            path.display()
        ),
    }
}

/// Whole or not at all, and never over one that is there.
fn make(path: &Path) -> anyhow::Result<()> {
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    writeln!(file, "{}", encode_key(&LinkSecret::generate().to_bytes()))?;
    file.sync_all()?;
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let made = load(&path).unwrap().public();
        assert_eq!(load(&path).unwrap().public(), made);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_spoiled_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, "nonsense").unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("not a link key"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "nonsense");
    }
}
