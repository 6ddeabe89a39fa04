//! Sockets, signals and a process that every descendant of the task belongs to.

use std::{
    ffi::OsString,
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStringExt,
            net::{UnixListener, UnixStream},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{SigSet, Signal},
    },
    unistd::Pid,
};

use super::{
    super::{RunSpec, cgroup::TaskGroup, reaper},
    watch::{Ears, Task},
    why_not,
};

/// Whoever launched this supervisor, on the socket that is its standard input; `None` without one.
pub(super) struct Launcher(Option<UnixStream>);

pub(super) type Listener = UnixListener;

impl Launcher {
    /// Becomes a process of its own and learns the folder; `None` when it is told none.
    pub(super) fn hear(folder: Option<&Path>) -> io::Result<Option<(Self, PathBuf)>> {
        // Refused when it is the leader of one already, which is as good.
        let _ = nix::unistd::setsid();
        let mut launcher = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from).ok();
        let folder = match folder {
            Some(folder) => Some(folder.to_owned()),
            None => launcher.as_mut().and_then(wait_for_folder),
        };
        Ok(folder.map(|folder| (Self(launcher), folder)))
    }

    /// Who does not listen any more need not know.
    pub(super) fn tell(&mut self, bytes: &[u8]) {
        if let Some(launcher) = &mut self.0 {
            let _ = launcher.write_all(bytes);
        }
    }

    pub(super) fn listen(&mut self, name: &Path) -> io::Result<Listener> {
        UnixListener::bind(name)
    }

    pub(super) fn into_ears(self, listener: Listener) -> io::Result<Ears> {
        Ears::new(listener, self.0)
    }
}

/// The path with its length before it, because what follows is for later.
fn wait_for_folder(launcher: &mut UnixStream) -> Option<PathBuf> {
    let mut length = [0; 2];
    launcher.read_exact(&mut length).ok()?;
    let mut path = vec![0; u16::from_be_bytes(length).into()];
    launcher.read_exact(&mut path).ok()?;
    Some(OsString::from_vec(path).into())
}

/// A started command that nobody waits for yet.
pub(super) struct Begun {
    pid: Pid,
    pipe: PipeReader,
}

/// Starts the command in a process group of its own.
pub(super) fn begin(
    spec: &RunSpec,
    reader: PipeReader,
    out: PipeWriter,
    err: PipeWriter,
) -> Result<Begun, String> {
    become_reaper();
    limit_open_files(spec.limits.open_files);
    let child = Command::new(&spec.program)
        .args(&spec.args)
        .envs(&spec.env)
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()
        .map_err(|error| why_not(&spec.program, &error))?;
    let pid = i32::try_from(child.id()).map_err(|_| "The system gave it an odd process id.".to_owned())?;
    Ok(Begun { pid: Pid::from_raw(pid), pipe: reader })
}

impl Begun {
    pub(super) fn into_task(self, spec: &RunSpec, folder: &Path) -> io::Result<(u32, Task)> {
        let Self { pid, pipe } = self;
        block_signals();
        let group = spec.cgroup.as_deref().and_then(|parent| {
            let name = folder.file_name()?.to_str()?;
            TaskGroup::around(parent, name, pid)
        });
        let (bell, ring) = UnixStream::pair()?;
        let reaped = reaper::start(pid, ring)?;
        let task = Task { pid, pipe: Some(pipe), bell: Some(bell), reaped, group };
        Ok((pid.as_raw().unsigned_abs(), task))
    }
}

#[cfg(target_os = "linux")]
fn become_reaper() {
    // Without it a stop would miss processes that left their parent; nothing else depends on it.
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

#[cfg(not(target_os = "linux"))]
fn become_reaper() {}

/// Also limits this process, which needs a dozen.
fn limit_open_files(most: u64) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let limit = most.max(64).min(hard);
        let _ = setrlimit(Resource::RLIMIT_NOFILE, limit, limit);
    }
}

/// When the machine shuts down the supervisor must not die before its task: it ends with it and says how it ended.
/// Only after the start, because a command inherits what is blocked.
fn block_signals() {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    let _ = signals.thread_block();
}
