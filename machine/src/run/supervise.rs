//! The supervisor: a process for one task that needs nobody. Plain threads and files, no runtime where that goes, so
//! it is small.

#[cfg(unix)]
mod unix;
mod watch;
#[cfg(windows)]
mod windows;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    Ending, Exit, Moment, RunSpec, Started,
    folder::{CONTROL, EXIT, OUTPUT, SPEC, STARTED, private_file},
    notices,
    spool::Spool,
};
use crate::at::write_all_at;
#[cfg(unix)]
use unix::{Begun, Launcher, Listener};
use watch::Watch;
#[cfg(windows)]
use windows::{Begun, Launcher, Listener};

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
    let begun =
        Launcher::hear(folder).map_err(|source| SuperviseError::Io { what: "cannot begin", source })?;
    // Nobody needed it.
    let Some((mut launcher, folder)) = begun else { return Ok(()) };
    match prepare(&folder, &mut launcher) {
        Ok(prepared) => {
            run(&folder, prepared, launcher).map_err(|source| SuperviseError::Io { what: "running", source })
        }
        Err(error) => {
            match &error {
                SuperviseError::Claimed => launcher.tell(&[notices::TAKEN]),
                error => launcher.tell(format!("{}{error}", char::from(notices::FAILED)).as_bytes()),
            }
            Err(error)
        }
    }
}

/// A claimed task, not yet started.
struct Prepared {
    spec: RunSpec,
    listener: Listener,
    exit: ReservedExit,
}

/// Everything up to the claim; nothing has happened when it fails.
fn prepare(folder: &Path, launcher: &mut Launcher) -> Result<Prepared, SuperviseError> {
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
    match claim(launcher) {
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

/// The claim and the way to this supervisor are one thing, made in one step: who finds the name and cannot connect
/// knows that the supervisor is dead.
fn claim(launcher: &mut Launcher) -> Result<Listener, SuperviseError> {
    let what = "cannot claim the task";
    // The name is relative because the path of a socket must fit in 108 bytes.
    let own_name = PathBuf::from(format!("{CONTROL}.{}", std::process::id()));
    // Left by one of the same number that died at this very place.
    let _ = fs::remove_file(&own_name);
    let listener = launcher.listen(&own_name).map_err(|source| SuperviseError::Io { what, source })?;
    let linked = fs::hard_link(&own_name, CONTROL);
    let _ = fs::remove_file(&own_name);
    match linked {
        Ok(()) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(SuperviseError::Claimed),
        Err(source) => Err(SuperviseError::Io { what, source }),
    }
}

fn run(folder: &Path, prepared: Prepared, launcher: Launcher) -> Result<(), io::Error> {
    let Prepared { spec, listener, exit: reserved } = prepared;
    let spec = &spec;
    let mut watch = Watch::new(launcher, listener, Spool::new(Path::new(OUTPUT), spec.limits.spool))?;
    let exit = match start(&watch, spec) {
        Err(why) => {
            let ending = Ending::CouldNotStart(why);
            Exit { ending, stopped: None, output_total: 0, ended: Moment::now(), remark: None }
        }
        Ok(begun) => {
            let (pid, task) = begun.into_task(spec, folder)?;
            let started = Started { pid, at: Moment::now() };
            // On a full disk the start goes unrecorded, and the task goes on.
            let _ = private_file(Path::new(STARTED))
                .and_then(|mut file| file.write_all(&serde_json::to_vec(&started)?));
            watch.tell(notices::STARTED);
            watch.follow(spec, task)
        }
    };
    let _ = fs::remove_file(SPEC);
    let file = reserved.write(&exit)?;
    watch.leave(folder);
    watch.tell(notices::ENDED);
    make_durable(&file);
    Ok(())
}

/// Starts the command, both outputs into one pipe so that their order is kept.
fn start(watch: &Watch, spec: &RunSpec) -> Result<Begun, String> {
    if !spec.cwd.is_dir() {
        return Err(format!("The directory {} does not exist on this device.", spec.cwd.display()));
    }
    let pipe = || -> io::Result<_> {
        let (reader, writer) = io::pipe()?;
        Ok((reader, writer.try_clone()?, writer))
    };
    let (reader, out, err) = pipe().map_err(|error| format!("No pipe for its output: {error}."))?;
    let begun = watch.begin(spec, reader, out, err)?;
    // Removed at once: it may hold secrets, and the claim says that it is not needed again.
    let _ = fs::remove_file(SPEC);
    Ok(begun)
}

fn why_not(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("`{program}` was not found on this device."),
        io::ErrorKind::PermissionDenied => format!("The agent's user may not execute `{program}`."),
        _ => format!("`{program}` could not be started: {error}."),
    }
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
            match write_all_at(&self.file, &json, 0).and_then(|()| fs::rename(&self.name, EXIT)) {
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
