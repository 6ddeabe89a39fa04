//! The server and the agent that came with this app: files beside it, or all in one that an AppImage carries. There they
//! weigh two thirds packed together, as they share most of what is in them, and are unpacked once into the app's folder.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{NAMES, file_name, private_folder};

/// Beside the app's program, in an AppImage.
const PACKED: &str = "foreman-programs.tar.xz";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bundled {
    /// They can be started where they are.
    Folder(PathBuf),
    Packed(PathBuf),
}

impl Bundled {
    /// Beside this program, or where `FOREMAN_PROGRAMS` says; nothing when the app came alone.
    pub fn find() -> Option<Self> {
        let named = std::env::var_os("FOREMAN_PROGRAMS").map(PathBuf::from);
        Self::within(&named.or_else(|| std::env::current_exe().ok()?.parent().map(Path::to_owned))?)
    }

    fn within(folder: &Path) -> Option<Self> {
        let packed = folder.join(PACKED);
        if folder.join(program("server")).exists() {
            return Some(Self::Folder(folder.to_owned()));
        }
        (cfg!(target_os = "linux") && packed.exists()).then_some(Self::Packed(packed))
    }

    /// A folder to start them from while the app runs. Blocks while they are unpacked below `to`, the first time.
    ///
    /// # Errors
    /// When what came is broken, or `to` cannot be written.
    pub fn ready(&self, to: &Path) -> io::Result<PathBuf> {
        match self {
            Self::Folder(folder) => Ok(folder.clone()),
            Self::Packed(_) => Ok(to.join(self.place(to)?)),
        }
    }

    /// Puts them below `to`, where they stay when what the app came in is gone; gives the name of their folder there. What is
    /// there already is left alone, because it may run.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub fn place(&self, to: &Path) -> io::Result<String> {
        let stamp = self.stamp()?;
        let place = to.join(&stamp);
        if place.exists() {
            return Ok(stamp);
        }
        private_folder(to).map_err(|failure| io::Error::other(failure.message))?;
        let half = to.join(format!("{stamp}.half"));
        match fs::remove_dir_all(&half) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&half)?,
        }
        self.fill(&half)?;
        // Else a machine that loses power could have them under their name, and empty.
        for name in NAMES {
            fs::File::open(half.join(program(name)))?.sync_all()?;
        }
        fs::rename(&half, &place)?;
        Ok(stamp)
    }

    fn fill(&self, half: &Path) -> io::Result<()> {
        match self {
            Self::Folder(folder) => NAMES
                .iter()
                .map(|name| program(name))
                .try_for_each(|name| fs::copy(folder.join(&name), half.join(&name)).map(drop)),
            Self::Packed(file) => unpack(file, half),
        }
    }

    /// What tells programs of one app from those of another: its version, their sizes and ages.
    ///
    /// # Errors
    /// When they are not where they were found.
    pub fn stamp(&self) -> io::Result<String> {
        let files = match self {
            Self::Folder(folder) => NAMES.map(|name| folder.join(program(name))).to_vec(),
            Self::Packed(file) => vec![file.clone()],
        };
        let mut stamp = env!("CARGO_PKG_VERSION").to_owned();
        for file in files {
            let found = fs::metadata(file)?;
            let age = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let _ = write!(stamp, "-{:x}-{age:x}", found.len());
        }
        Ok(stamp)
    }
}

fn program(name: &str) -> String {
    file_name(&format!("foreman-{name}"))
}

#[cfg(target_os = "linux")]
fn unpack(file: &Path, to: &Path) -> io::Result<()> {
    let packed = lzma_rust2::XzReader::new(io::BufReader::new(fs::File::open(file)?), true);
    tar::Archive::new(packed).unpack(to)?;
    match NAMES.iter().map(|name| program(name)).find(|name| !to.join(name).exists()) {
        Some(name) => Err(io::Error::other(format!("{name} is missing in {}", file.display()))),
        None => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn unpack(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of an app with its programs in it, and one below which they are put.
    fn came() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (app, to) = (folder.path().join("app"), folder.path().join("programs"));
        fs::create_dir(&app).unwrap();
        for name in NAMES {
            fs::write(app.join(program(name)), name).unwrap();
        }
        (folder, app, to)
    }

    #[test]
    fn programs_are_copied_once_and_told_from_others() {
        let (_folder, app, to) = came();
        let bundled = Bundled::within(&app).unwrap();
        assert_eq!(bundled.ready(&to).unwrap(), app, "they are started where they are");
        let first = bundled.place(&to).unwrap();
        assert!(first.starts_with(env!("CARGO_PKG_VERSION")));
        let server = to.join(&first).join(program("server"));
        let before = fs::metadata(&server).unwrap().modified().unwrap();
        assert_eq!(bundled.place(&to).unwrap(), first);
        assert_eq!(fs::metadata(&server).unwrap().modified().unwrap(), before, "what runs is left alone");

        fs::write(app.join(program("agent")), "a newer agent").unwrap();
        assert_ne!(bundled.place(&to).unwrap(), first);
        assert_eq!(fs::read(&server).unwrap(), b"server", "the ones before stay");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn packed_programs_are_unpacked_whole_or_not_at_all() {
        use std::{os::unix::fs::PermissionsExt, process::Command};

        let (_folder, app, to) = came();
        fs::set_permissions(app.join("foreman-server"), fs::Permissions::from_mode(0o755)).unwrap();
        let pack = |names: &[&str]| {
            let tar = Command::new("tar")
                .args(["--create", "--xz", "--file", PACKED])
                .args(names)
                .current_dir(&app)
                .status();
            assert!(tar.unwrap().success());
        };
        pack(&["foreman-server"]);
        fs::rename(app.join("foreman-server"), app.join("elsewhere")).unwrap();
        let bundled = Bundled::within(&app).unwrap();
        assert!(bundled.ready(&to).unwrap_err().to_string().starts_with("foreman-agent is missing"));
        assert!(!to.join(bundled.stamp().unwrap()).exists());

        fs::rename(app.join("elsewhere"), app.join("foreman-server")).unwrap();
        pack(&["foreman-server", "foreman-agent"]);
        fs::remove_file(app.join("foreman-server")).unwrap();
        let ready = bundled.ready(&to).unwrap();
        assert_eq!(fs::metadata(ready.join("foreman-server")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read(ready.join("foreman-agent")).unwrap(), b"agent");
        assert_eq!(bundled.ready(&to).unwrap(), ready);

        fs::write(app.join(PACKED), b"no archive").unwrap();
        assert!(bundled.ready(&to).is_err());
    }
}
