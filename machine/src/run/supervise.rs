//! The supervisor: a process for one task that needs nobody. Plain threads and files, no runtime, so it is small.

mod watch;

use std::{
    ffi::OsString,
    fs,
    io::{self, PipeReader, Read, Write},
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStringExt,
            fs::FileExt,
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
    Ending, Exit, Moment, RunSpec, Started,
    cgroup::TaskGroup,
    folder::{CONTROL, EXIT, OUTPUT, SPEC, STARTED, private_file},
    notices, reaper,
    spool::Spool,
};
use watch::{Running, Watch};

/// Why a supervisor started nothing.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error("this task is or was run by another supervisor")]
    Claimed,
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
}

/// More than any `exit.json` needs.
const EXIT_SPACE: usize = 4096;

/// Runs the task in `folder` to its end; without one it waits to be told on standard input. Must be the
/// only thing its process does: it leaves the session, moves into the folder and waits for every child. Standard
/// input is the socket of whoever launched it.
///
/// # Errors
/// When nothing was started: see [`SuperviseError`]. A command that could not be started is no error, that is
/// how the task ended.
pub fn supervise(folder: Option<&Path>) -> Result<(), SuperviseError> {
    // Refused when it is the leader of one already, which is as good.
    let _ = nix::unistd::setsid();
    let mut launcher = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from).ok();
    let told;
    let folder = match folder {
        Some(folder) => folder,
        None => match launcher.as_mut().and_then(wait_for_folder) {
            // Nobody needed it.
            None => return Ok(()),
            Some(path) => {
                told = path;
                told.as_path()
            }
        },
    };
    match prepare(folder) {
        Ok(prepared) => {
            run(folder, prepared, launcher).map_err(|source| SuperviseError::Io { what: "running", source })
        }
        Err(error) => {
            if let Some(mut launcher) = launcher {
                let _ = match &error {
                    SuperviseError::Claimed => launcher.write_all(&[notices::TAKEN]),
                    error => write!(launcher, "{}{error}", char::from(notices::FAILED)),
                };
            }
            Err(error)
        }
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

/// A claimed task, not yet started.
struct Prepared {
    spec: RunSpec,
    listener: UnixListener,
    exit: ReservedExit,
}

/// Everything up to the claim; nothing has happened when it fails.
fn prepare(folder: &Path) -> Result<Prepared, SuperviseError> {
    let io = |what| move |source| SuperviseError::Io { what, source };
    std::env::set_current_dir(folder).map_err(io("cannot use the task's folder"))?;
    let spec = match fs::read(SPEC) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && Path::new(CONTROL).exists() => {
            return Err(SuperviseError::Claimed);
        }
        spec => spec.map_err(io("cannot read what to run"))?,
    };
    let spec = serde_json::from_slice(&spec).map_err(|error| io("cannot read what to run")(error.into()))?;
    let exit = ReservedExit::new().map_err(io("cannot write in the task's folder"))?;
    match claim() {
        Ok(listener) => Ok(Prepared { spec, listener, exit }),
        Err(error) => {
            exit.discard();
            // Whoever has the task has read it; it may have been put back for this one.
            if matches!(error, SuperviseError::Claimed) {
                let _ = fs::remove_file(SPEC);
            }
            Err(error)
        }
    }
}

/// The claim and the listening socket are one thing, made in one step: who finds the name and cannot connect
/// knows that the supervisor is dead.
fn claim() -> Result<UnixListener, SuperviseError> {
    let what = "cannot claim the task";
    // The name is relative because the path of a socket must fit in 108 bytes.
    let own_name = PathBuf::from(format!("{CONTROL}.{}", std::process::id()));
    // Left by one of the same number that died at this very place.
    let _ = fs::remove_file(&own_name);
    let listener = UnixListener::bind(&own_name).map_err(|source| SuperviseError::Io { what, source })?;
    let linked = fs::hard_link(&own_name, CONTROL);
    let _ = fs::remove_file(&own_name);
    match linked {
        Ok(()) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(SuperviseError::Claimed),
        Err(source) => Err(SuperviseError::Io { what, source }),
    }
}

fn run(folder: &Path, prepared: Prepared, launcher: Option<UnixStream>) -> Result<(), io::Error> {
    let Prepared { spec, listener, exit: reserved } = prepared;
    let spec = &spec;
    let mut watch = Watch::new(listener, launcher, Spool::new(Path::new(OUTPUT), spec.limits.spool))?;
    become_reaper();
    limit_open_files(spec.limits.open_files);
    let exit = match start(spec) {
        Err(why) => {
            let ending = Ending::CouldNotStart(why);
            Exit { ending, stopped: None, output_total: 0, ended: Moment::now(), remark: None }
        }
        Ok((pid, pipe)) => {
            block_signals();
            let group = spec.cgroup.as_deref().and_then(|parent| {
                let name = folder.file_name()?.to_str()?;
                TaskGroup::around(parent, name, pid)
            });
            let (bell, ring) = UnixStream::pair()?;
            let reaped = reaper::start(pid, ring)?;
            let started = Started { pid: pid.as_raw().unsigned_abs(), at: Moment::now() };
            // On a full disk the start goes unrecorded, and the task goes on.
            let _ = private_file(Path::new(STARTED))
                .and_then(|mut file| file.write_all(&serde_json::to_vec(&started)?));
            watch.tell(notices::STARTED);
            watch.follow(Running { spec, pid, pipe: Some(pipe), bell: Some(bell), reaped, group })
        }
    };
    let _ = fs::remove_file(SPEC);
    let file = reserved.write(&exit)?;
    watch.tell(notices::ENDED);
    make_durable(&file);
    Ok(())
}

/// Starts the command in a process group of its own, both outputs into one pipe so that their order is kept.
fn start(spec: &RunSpec) -> Result<(Pid, PipeReader), String> {
    if !spec.cwd.is_dir() {
        return Err(format!("The directory {} does not exist on this device.", spec.cwd.display()));
    }
    let pipe = || -> io::Result<_> {
        let (reader, writer) = io::pipe()?;
        Ok((reader, writer.try_clone()?, writer))
    };
    let (reader, out, err) = pipe().map_err(|error| format!("No pipe for its output: {error}."))?;
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
    // Removed at once: it may hold secrets, and the claim says that it is not needed again.
    let _ = fs::remove_file(SPEC);
    let pid = i32::try_from(child.id()).map_err(|_| "The system gave it an odd process id.".to_owned())?;
    Ok((Pid::from_raw(pid), reader))
}

fn why_not(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("`{program}` was not found on this device."),
        io::ErrorKind::PermissionDenied => format!("The agent's user may not execute `{program}`."),
        _ => format!("`{program}` could not be started: {error}."),
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

/// The place of `exit.json`, taken in advance so that a full disk cannot keep the ending from being written down.
/// Its name is this supervisor's own until it is moved there.
struct ReservedExit {
    file: fs::File,
    name: PathBuf,
}

impl ReservedExit {
    fn new() -> io::Result<Self> {
        let name = PathBuf::from(format!("exit.{}", std::process::id()));
        let mut file = private_file(&name)?;
        file.write_all(&[b' '; EXIT_SPACE])?;
        Ok(Self { file, name })
    }

    fn discard(self) {
        let _ = fs::remove_file(&self.name);
    }

    /// Written over the reserved space and moved into place whole. Still tried again when the disk is full, because
    /// some file systems need new space to write over old.
    fn write(self, exit: &Exit) -> io::Result<fs::File> {
        let mut json = serde_json::to_vec(exit)?;
        // White space behind JSON means nothing.
        json.resize(json.len().max(EXIT_SPACE), b' ');
        loop {
            match self.file.write_all_at(&json, 0).and_then(|()| fs::rename(&self.name, EXIT)) {
                Ok(()) => return Ok(self.file),
                Err(error) if watch::is_full(&error) => std::thread::sleep(watch::FULL_RETRY),
                Err(error) => return Err(error),
            }
        }
    }
}

/// After the agent was told, because it need not wait for that: an ending that a power failure takes back is
/// either acknowledged by the server already or reported as lost.
fn make_durable(exit: &fs::File) {
    let _ = exit.sync_all();
    let _ = fs::File::open(".").and_then(|dir| dir.sync_all());
}
