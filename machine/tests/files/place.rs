//! A tree with something to see, something to hide and the agent's own directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use foreman_machine::files::{Files, FilesError, ListOptions, Rules};
use foreman_protocol::Policy;
use tempfile::TempDir;

use crate::skipped::skipped;

pub const SECRET: &str = "what nobody may read";

pub struct Place {
    _folder: TempDir,
    pub top: PathBuf,
    pub policy: Policy,
    pub files: Files,
}

impl Place {
    /// `work` is allowed but for `work/secret`; `outside` and `work-evil` are not; `work/state` is the agent's.
    pub fn new() -> Self {
        Self::beneath(tempfile::tempdir().unwrap())
    }

    pub fn beneath(folder: TempDir) -> Self {
        let top = folder.path().canonicalize().unwrap();
        for name in ["work/deep/er", "work/secret", "work/state", "work-evil", "outside/x"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        for name in
            ["work/secret/key", "work/state/identity.json", "work-evil/key", "outside/key", "outside/x/key"]
        {
            fs::write(top.join(name), SECRET).unwrap();
        }
        fs::write(top.join("work/readme.md"), "# Hello\n").unwrap();
        fs::write(top.join("work/deep/er/leaf.txt"), "leaf").unwrap();
        let text = |name: &str| top.join(name).to_string_lossy().into_owned();
        let policy = Policy {
            allow_file_read: true,
            allow_file_write: true,
            allowed_paths: vec![text("work")],
            blocked_paths: vec![text("work/secret"), text("work/later")],
            ..Policy::default()
        };
        let files = Files::new(top.join("work/state"));
        Self { _folder: folder, top, policy, files }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    /// `name` beneath the top, as a caller says it; what begins with a slash stays as it is.
    pub fn text(&self, name: &str) -> String {
        if name.starts_with('/') { name.to_owned() } else { format!("{}/{name}", self.top.display()) }
    }

    pub fn rules(&self) -> Rules {
        self.files.reading(&self.policy).unwrap()
    }

    pub fn read(&self, name: &str) -> Result<String, FilesError> {
        let opened = self.rules().open(&self.text(name))?;
        Ok(String::from_utf8(opened.read_at(0, 1 << 20)?).unwrap())
    }

    pub fn names(&self, name: &str) -> Result<Vec<String>, FilesError> {
        let options = ListOptions { limit: 1_000, cursor: None, hidden: true };
        let page = self.rules().list(&self.text(name), &options)?;
        Ok(page.items.into_iter().map(|entry| entry.name).collect())
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn link(&self, target: impl AsRef<Path>, name: &str) {
        std::os::unix::fs::symlink(target, self.path(name)).unwrap();
    }
}

/// A file system of its own that is soon full; only root can have one.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    pub fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        skipped("a small disk can only be tried where a tmpfs may be mounted (as root)");
        None
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn text(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
