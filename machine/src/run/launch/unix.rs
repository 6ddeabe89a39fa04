//! By sockets: one half of a pair is the supervisor's standard input, and the one in the folder finds it again.
//!
//! Starting a process is most of what a short task costs. So while tasks keep coming one spare supervisor is kept
//! started ahead, waiting to be told its folder; without tasks there is none.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, net::UnixStream as StdUnixStream},
    },
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{net::UnixStream, process::Command};

use super::{
    super::{TaskFolder, folder::CONTROL, notices},
    News, collect, hide, news,
};

/// How long a spare supervisor is kept after the last task was started.
const SPARE_KEPT: Duration = Duration::from_secs(60);

/// Starts supervisors.
#[derive(Debug)]
pub struct Launcher {
    program: PathBuf,
    args: Vec<OsString>,
    hidden_env: &'static str,
    spare: Arc<Mutex<Spare>>,
}

/// A supervisor that waits for its folder, until this end of its socket is dropped.
#[derive(Debug, Default)]
enum Spare {
    #[default]
    None,
    /// Being started. In a burst of tasks only one is.
    Coming,
    Waiting {
        socket: StdUnixStream,
        since: Instant,
    },
}

/// A living supervisor, as long as this says so. Dropping it leaves the task alone.
#[derive(Debug)]
pub struct Supervised {
    socket: UnixStream,
}

impl Spare {
    fn take(&mut self) -> Option<StdUnixStream> {
        match std::mem::take(self) {
            Spare::Waiting { socket, .. } => Some(socket),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Launcher {
    /// Supervisors are `program` with `args` and the folder behind them, or with `args` alone when the folder comes
    /// by standard input. Tasks do not inherit the environment variables whose names start with `hidden_env`.
    #[must_use]
    pub fn new(program: PathBuf, args: Vec<OsString>, hidden_env: &'static str) -> Self {
        Self { program, args, hidden_env, spare: Arc::default() }
    }

    /// Starts a supervisor for a folder. Must be called inside a tokio runtime, which then also collects the
    /// supervisor when it is done.
    ///
    /// # Errors
    /// When the system starts no process; nothing was claimed then.
    pub fn launch(&self, folder: &TaskFolder) -> io::Result<Supervised> {
        let socket = match self.tell_spare(folder) {
            Some(socket) => socket,
            None => {
                let (mut command, socket) = self.command()?;
                collect(command.arg(folder.path()).spawn()?);
                socket
            }
        };
        Ok(Supervised { socket: UnixStream::from_std(socket)? })
    }

    /// Gives the folder to the spare supervisor, if there is one and it lives.
    fn tell_spare(&self, folder: &TaskFolder) -> Option<StdUnixStream> {
        let mut socket = lock(&self.spare).take()?;
        let path = folder.path().as_os_str().as_bytes();
        let length = u16::try_from(path.len()).ok()?;
        socket.write_all(&[&length.to_be_bytes(), path].concat()).ok()?;
        Some(socket)
    }

    /// Starts the next spare unless there is one, and lets it go when it was not needed for a while. To be called when
    /// a task has ended, not when one has just been launched: it would take the processor from it.
    pub fn keep_spare(&self) {
        if !matches!(*lock(&self.spare), Spare::None) {
            return;
        }
        let Ok((mut command, socket)) = self.command() else { return };
        *lock(&self.spare) = Spare::Coming;
        let spare = Arc::clone(&self.spare);
        tokio::spawn(async move {
            // In a thread: the next news must not wait for a process to start.
            let started = tokio::task::spawn_blocking(move || command.spawn()).await;
            let Ok(Ok(child)) = started else {
                *lock(&spare) = Spare::None;
                return;
            };
            collect(child);
            let born = Instant::now();
            *lock(&spare) = Spare::Waiting { socket, since: born };
            tokio::time::sleep(SPARE_KEPT).await;
            let mut spare = lock(&spare);
            if matches!(*spare, Spare::Waiting { since, .. } if since == born) {
                *spare = Spare::None;
            }
        });
    }

    /// A supervisor without its folder, and our end of its socket.
    fn command(&self) -> io::Result<(Command, StdUnixStream)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdout(Stdio::null()).stderr(Stdio::null());
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        hide(&mut command, self.hidden_env);
        Ok((command, ours))
    }
}

fn lock(spare: &Mutex<Spare>) -> MutexGuard<'_, Spare> {
    spare.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds the supervisor of a folder again; `None` when it lives no more.
///
/// # Errors
/// When it cannot be told.
pub fn adopt(folder: &TaskFolder) -> io::Result<Option<Supervised>> {
    match connect(folder) {
        Ok(socket) => {
            socket.set_nonblocking(true)?;
            Ok(Some(Supervised { socket: UnixStream::from_std(socket)? }))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Through the open folder, because the path of a socket must fit in 108 bytes.
#[cfg(target_os = "linux")]
fn connect(folder: &TaskFolder) -> io::Result<StdUnixStream> {
    use std::os::fd::AsRawFd;
    let dir = std::fs::File::open(folder.path())?;
    StdUnixStream::connect(format!("/proc/self/fd/{}/{CONTROL}", dir.as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
fn connect(folder: &TaskFolder) -> io::Result<StdUnixStream> {
    StdUnixStream::connect(folder.path().join(CONTROL))
}

impl Supervised {
    /// Waits for the next news. May be cancelled: nothing is lost. Several notices come as one.
    pub async fn next(&self) -> News {
        loop {
            if self.socket.readable().await.is_err() {
                return News::Gone;
            }
            let mut bytes = [0; 256];
            match self.socket.try_read(&mut bytes) {
                Ok(0) => return News::Gone,
                Ok(count) => return news(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return News::Gone,
            }
        }
    }

    /// Asks for the end of the whole tree. A supervisor that is gone has nothing left to stop.
    pub fn stop(&self) {
        let _ = self.socket.try_write(&[notices::STOP]);
    }

    /// Says that output was let go.
    pub fn made_room(&self) {
        let _ = self.socket.try_write(&[notices::ROOM]);
    }
}
