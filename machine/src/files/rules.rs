//! What the policy means for paths on this machine now: real paths and identities instead of what was written.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use foreman_protocol::ProblemReason;

use super::{FilesError, Result};

/// The policy's paths, resolved. Made for each request, so that a change of the policy holds at once.
#[derive(Debug, Clone)]
pub struct Rules {
    pub(super) roots: Vec<Root>,
    blocked: Vec<Blocked>,
    /// What gives the rules their meaning: moving one of these away, or one around them, would change what is
    /// allowed.
    pins: Vec<PathBuf>,
}

/// A directory beneath which files may be seen.
#[derive(Debug, Clone)]
pub(super) struct Root {
    /// As the policy says it, for paths that begin like this.
    pub(super) written: PathBuf,
    pub(super) real: PathBuf,
}

#[derive(Debug, Clone)]
struct Blocked {
    real: PathBuf,
    /// Device and inode, when it exists: it is blocked under its other names too.
    id: Option<(u64, u64)>,
    own: bool,
}

impl Blocked {
    const fn refusal(&self) -> FilesError {
        if self.own { FilesError::Own } else { FilesError::Blocked }
    }
}

/// Where a path of the policy leads.
struct Traced {
    real: PathBuf,
    /// The links on the way.
    links: Vec<PathBuf>,
}

impl Rules {
    /// `allowed` empty means every path, as in the policy. `own` is the agent's own directory.
    pub(crate) fn new(allowed: &[String], blocked: &[String], own: &Path) -> Self {
        let everything = ["/".to_owned()];
        let allowed = if allowed.is_empty() { &everything[..] } else { allowed };
        let mut rules = Self { roots: Vec::new(), blocked: Vec::new(), pins: Vec::new() };
        for path in allowed.iter().map(Path::new) {
            let Traced { real, links } = trace(path);
            rules.pins.extend(links);
            rules.pins.push(real.clone());
            rules.roots.push(Root { written: path.components().collect(), real });
        }
        for path in blocked.iter().map(Path::new) {
            rules.block(path, false);
        }
        rules.block(own, true);
        // The keys lie right in it, and none of them is shown under a second name either.
        let files = fs::read_dir(own).into_iter().flatten().flatten();
        rules.blocked.extend(files.filter_map(|file| {
            let found = file.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(Blocked { real: file.path(), id: Some((found.dev(), found.ino())), own: true })
        }));
        rules
    }

    /// The same rules for what lies in this directory, and nothing else.
    #[must_use]
    pub(crate) fn within(&self, folder: &Path) -> Self {
        let Traced { real, .. } = trace(folder);
        let narrowed = self.roots.iter().filter_map(|root| {
            if real.starts_with(&root.real) {
                return Some(Root { written: folder.components().collect(), real: real.clone() });
            }
            root.real.starts_with(&real).then(|| root.clone())
        });
        Self { roots: narrowed.collect(), ..self.clone() }
    }

    fn block(&mut self, path: &Path, own: bool) {
        let Traced { real, links } = trace(path);
        let id = fs::symlink_metadata(&real).ok().map(|found| (found.dev(), found.ino()));
        // A rule that names a link means the link as well as what it leads to.
        if let Some(link) = links.first().filter(|link| link.file_name() == path.file_name()) {
            self.blocked.push(Blocked { real: link.clone(), id: None, own });
        }
        self.pins.extend(links);
        self.pins.push(real.clone());
        self.blocked.push(Blocked { real, id, own });
    }

    /// Whether a real path lies beneath an allowed root and beneath nothing blocked.
    ///
    /// # Errors
    /// Which rule says no.
    pub fn admit(&self, real: &Path) -> Result<()> {
        if let Some(blocked) = self.blocked.iter().find(|blocked| real.starts_with(&blocked.real)) {
            return Err(blocked.refusal());
        }
        if self.roots.iter().any(|root| real.starts_with(&root.real)) {
            return Ok(());
        }
        Err(FilesError::Outside)
    }

    /// Whether a walk may go through here: allowed, or on the way to what is.
    pub(super) fn pass(&self, real: &Path) -> Result<()> {
        match self.admit(real) {
            Err(FilesError::Outside) if self.roots.iter().any(|root| root.real.starts_with(real)) => Ok(()),
            answer => answer,
        }
    }

    /// Whether what was opened is a blocked thing under another name.
    pub(super) fn admit_id(&self, device: u64, inode: u64) -> Result<()> {
        match self.blocked.iter().find(|blocked| blocked.id == Some((device, inode))) {
            Some(blocked) => Err(blocked.refusal()),
            None => Ok(()),
        }
    }

    /// Whether something right in this directory is blocked.
    pub(super) fn blocks_in(&self, directory: &Path) -> bool {
        self.blocked.iter().any(|blocked| blocked.real.parent() == Some(directory))
    }

    /// Whether this may be moved, replaced or thrown away: not when a rule hangs on it.
    pub(super) fn may_go(&self, real: &Path) -> Result<()> {
        self.admit(real)?;
        if self.pins.iter().any(|pin| pin.starts_with(real)) {
            return Err(FilesError::conflict(
                ProblemReason::HeldByPolicy,
                "This device's policy names this place or something in it, so it stays where it is. Nothing was changed.",
            ));
        }
        Ok(())
    }

    /// A path as somebody gave it, with the policy's own way of writing a root replaced by the real one.
    pub(super) fn begin(&self, path: &Path) -> PathBuf {
        self.roots
            .iter()
            .filter_map(|root| Some((root, path.strip_prefix(&root.written).ok()?)))
            .max_by_key(|(root, _)| root.written.as_os_str().len())
            .map_or_else(|| path.to_owned(), |(root, rest)| root.real.join(rest))
    }
}

/// Resolves a path of the policy, missing parts included. The policy is the device's own, so by name is enough.
fn trace(path: &Path) -> Traced {
    let mut links = Vec::new();
    let mut real = PathBuf::from("/");
    let mut todo: VecDeque<OsString> = parts(path);
    while let Some(part) = todo.pop_front() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        match fs::read_link(&next) {
            Ok(target) if links.len() < 40 => {
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                let mut rest = parts(&target);
                rest.append(&mut todo);
                todo = rest;
                links.push(next);
            }
            _ => real = next,
        }
    }
    Traced { real, links }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect()
}
