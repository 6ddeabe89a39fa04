//! The agent's side of a supervisor: starts one, finds one again, hears it and speaks to it.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::PathBuf,
    process::Stdio,
};

use tokio::{net::UnixStream, process::Command};

use super::{TaskFolder, folder::CONTROL, notices};

/// How to start a supervisor: the program and the arguments that come before the folder.
#[derive(Debug, Clone)]
pub struct Launcher {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// Environment variables that tasks must not inherit, by the start of their names.
    pub hidden_env: &'static str,
}

/// What a supervisor tells.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// It has started or there is output: look into the folder.
    Activity,
    /// The ending is written down.
    Ended,
    /// Another supervisor has this task: [`adopt`] finds it.
    Taken,
    /// Nothing was started, for this reason.
    NotStarted(String),
    /// The supervisor is gone. When there is no ending in the folder, nobody knows it.
    Gone,
}

/// A living supervisor, as long as this says so. Dropping it leaves the task alone.
#[derive(Debug)]
pub struct Supervised {
    socket: UnixStream,
}

impl Launcher {
    /// Starts a supervisor for a folder. Must be called inside a tokio runtime, which then also collects the
    /// supervisor when it is done.
    ///
    /// # Errors
    /// When the system starts no process; nothing was claimed then.
    pub fn launch(&self, folder: &TaskFolder) -> io::Result<Supervised> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.stdin(Stdio::from(OwnedFd::from(theirs)));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with(self.hidden_env)) {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn()?;
        tokio::spawn(async move { child.wait().await });
        Ok(Supervised { socket: UnixStream::from_std(ours)? })
    }
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
    let dir = File::open(folder.path())?;
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

fn news(bytes: &[u8]) -> News {
    if let Some(reason) = bytes.strip_prefix(&[notices::FAILED]) {
        return News::NotStarted(String::from_utf8_lossy(reason).into_owned());
    }
    if bytes.contains(&notices::TAKEN) {
        return News::Taken;
    }
    if bytes.contains(&notices::ENDED) { News::Ended } else { News::Activity }
}
