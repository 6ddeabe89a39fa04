//! The state of the repository around a path, as the `git` program tells it.
//!
//! A repository's own configuration can name programs that git runs. So it runs as the repository's owner when the
//! agent is root, and for nobody else's repository otherwise; hooks, watchers, filters and fetching are off, a
//! repository that lies inside another one as its files is none, and nothing in the repository is written.

mod porcelain;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{self, Read},
    os::unix::{ffi::OsStringExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use foreman_protocol::{GitStatus, ProblemReason};
use rustix::{fs::fstat, process::geteuid};

use super::{FilesError, Result, Rules, walk::parse};

/// Entries of one answer.
pub(super) const MAX_ENTRIES: usize = 2_000;
/// Bytes that are read of what git says.
const MAX_OUTPUT: u64 = 8 << 20;
const MAX_TIME: Duration = Duration::from_secs(15);

impl Rules {
    /// The state of the repository that holds a directory.
    ///
    /// # Errors
    /// [`FilesError::NotFound`] when there is none that may be seen, or no `git` on this device.
    pub fn git_status(&self, path: &str) -> Result<GitStatus> {
        let place = Place::at(self, parse(path)?)?;
        let until = Instant::now() + MAX_TIME;
        let found = place.ask(&["rev-parse", "--show-toplevel", "--absolute-git-dir"], until)?;
        let found = String::from_utf8(found.bytes).map_err(|_| FilesError::NotFound)?;
        let mut lines = found.lines();
        let (Some(root), Some(directory)) = (lines.next(), lines.next()) else {
            return Err(FilesError::NotFound);
        };
        // What git found by itself must be something that could have been looked at.
        let (_, root) = self.directory(Path::new(root))?;
        self.directory(Path::new(directory))?;
        let settings = place.ask(&["config", "--list", "--name-only", "-z"], until)?;
        if settings.cut {
            return Err(FilesError::NotFound);
        }
        let status = ["status", "--porcelain=v2", "--branch", "-z", "--ignore-submodules=dirty"];
        let told = place.ask_with(&status, &without_filters(&settings.bytes), until)?;
        let mut status = porcelain::read(&root, &told.bytes, |path| self.admit(path).is_ok());
        status.truncated |= told.cut;
        Ok(status)
    }
}

/// Settings that keep every filter named by `settings` from running: git runs those to see whether a file changed.
/// What is to be filtered may then look changed.
fn without_filters(settings: &[u8]) -> Vec<(OsString, &'static str)> {
    let filters: BTreeSet<&[u8]> = settings
        .split(|byte| *byte == 0)
        .filter_map(|name| name.strip_prefix(b"filter."))
        .filter_map(|name| Some(&name[..name.iter().rposition(|byte| *byte == b'.')?]))
        .collect();
    let off = |filter: &[u8], what: &[u8]| OsString::from_vec([b"filter.", filter, b".", what].concat());
    filters
        .into_iter()
        .flat_map(|filter| {
            [(off(filter, b"clean"), ""), (off(filter, b"process"), ""), (off(filter, b"required"), "false")]
        })
        .collect()
}

/// Where git is asked, and as whom.
struct Place {
    /// The directory, by a handle where the system has names for those.
    directory: PathBuf,
    _handle: std::os::fd::OwnedFd,
    /// Git looks for a repository no further up than these.
    ceilings: OsString,
    /// The directory's owner, when the agent may become them.
    owner: Option<(u32, u32)>,
}

struct Told {
    bytes: Vec<u8>,
    /// There was more.
    cut: bool,
}

impl Place {
    fn at(rules: &Rules, path: &Path) -> Result<Self> {
        let (handle, path) = match rules.directory(path) {
            Err(FilesError::Conflict(..)) => rules.directory(path.parent().unwrap_or(path))?,
            answer => answer?,
        };
        let above = rules.roots.iter().filter_map(|root| root.real.parent());
        let ceilings = std::env::join_paths(above).map_err(|_| FilesError::NotFound)?;
        let stat = fstat(&handle)?;
        let root = geteuid().is_root();
        let owner = (root && stat.st_uid != 0).then_some((stat.st_uid, stat.st_gid));
        // Somebody else may not use the agent's handles; then by name, with no right but their own.
        let directory = handle_path(&handle).filter(|_| owner.is_none()).unwrap_or(path);
        Ok(Self { directory, _handle: handle, ceilings, owner })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        let kept = ["PATH", "HOME", "XDG_CONFIG_HOME"].map(|name| (name, std::env::var_os(name)));
        command.env_clear().envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))));
        if let Some((user, group)) = self.owner {
            // Their own configuration is not read: which home is theirs is not for certain.
            command.uid(user).gid(group).env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME");
        }
        command
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CEILING_DIRECTORIES", &self.ceilings)
            // Looking fetches nothing: the way to another repository is a program too.
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("LC_ALL", "C")
            .args([
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "core.quotePath=false",
                "-c",
                "safe.bareRepository=explicit",
            ])
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        command
    }

    /// What git says; [`FilesError::NotFound`] when it says that there is nothing.
    fn ask(&self, arguments: &[&str], until: Instant) -> Result<Told> {
        self.ask_with(arguments, &[], until)
    }

    /// The same with settings that count more than the repository's.
    fn ask_with(&self, arguments: &[&str], settings: &[(OsString, &str)], until: Instant) -> Result<Told> {
        let mut command = self.command(arguments);
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (index, (name, value)) in settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), name);
            command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        let child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FilesError::NotFound,
            _ => error.into(),
        })?;
        let mut running = Running(child);
        let Some(output) = running.0.stdout.take() else { return Err(FilesError::NotFound) };
        let (said, hears) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = output.take(MAX_OUTPUT).read_to_end(&mut bytes);
            let _ = said.send(read.map(|_| bytes));
        });
        let late = || {
            FilesError::conflict(
                ProblemReason::GitSlow,
                "Git took too long to answer. Try again, or look in a smaller repository.",
            )
        };
        let bytes =
            hears.recv_timeout(until.saturating_duration_since(Instant::now())).map_err(|_| late())??;
        let cut = bytes.len() as u64 == MAX_OUTPUT;
        if cut || running.0.wait()?.success() {
            return Ok(Told { bytes, cut });
        }
        Err(FilesError::NotFound)
    }
}

/// A process that ends with whoever waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            if let Some(group) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = self.0.wait();
        }
    }
}

#[cfg(target_os = "linux")]
fn handle_path(handle: &std::os::fd::OwnedFd) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let path = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
    path.exists().then_some(path)
}

#[cfg(not(target_os = "linux"))]
fn handle_path(_: &std::os::fd::OwnedFd) -> Option<PathBuf> {
    None
}
