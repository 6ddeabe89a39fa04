//! The pseudo-terminal: the agent's end of it, read and written without a thread between.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    process::Child,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, anyhow};
use filedescriptor::FileDescriptor;
use nix::libc;
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// The end that shows what is printed and takes what is typed. Dropping it hangs up.
pub(super) struct Pty {
    file: AsyncFd<File>,
    /// Only for the size.
    master: Mutex<Box<dyn MasterPty + Send>>,
}

/// What [`start`] leaves to be done inside the runtime.
pub(super) struct Started {
    pub(super) child: Child,
    file: File,
    master: Box<dyn MasterPty + Send>,
}

fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { cols, rows, pixel_width: 0, pixel_height: 0 }
}

/// Starts a program as the leader of a session of its own on a new pseudo-terminal. Blocks while it starts.
pub(super) fn start(
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    (cols, rows): (u16, u16),
) -> anyhow::Result<Started> {
    let pair = native_pty_system().openpty(size(cols, rows))?;
    let mut command = CommandBuilder::from_argv(argv);
    command.env_clear();
    for (name, value) in env {
        command.env(name, value);
    }
    command.cwd("/");
    // A second descriptor, because reading and writing through the library's own would block.
    let raw = pair.master.as_raw_fd().context("the pseudo-terminal has no descriptor")?;
    let mut descriptor = FileDescriptor::dup(&raw)?;
    descriptor.set_non_blocking(true)?;
    let file = descriptor.as_file()?;
    let child: Box<dyn portable_pty::Child> = pair.slave.spawn_command(command)?;
    let child = child.downcast::<Child>().map_err(|_| anyhow!("the program is not a process"))?;
    Ok(Started { child: *child, file, master: pair.master })
}

impl Started {
    /// Must be called inside the runtime that will read.
    #[expect(
        deprecated,
        reason = "its successor is unsafe; a file owns its descriptor, which is what that asks for"
    )]
    pub(super) fn into_pty(self) -> io::Result<(Pty, Child)> {
        let pty = Pty { file: AsyncFd::new(self.file)?, master: Mutex::new(self.master) };
        Ok((pty, self.child))
    }
}

impl Pty {
    pub(super) async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, File>> {
        self.file.readable().await
    }

    pub(super) async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, File>> {
        self.file.writable().await
    }

    /// Zero bytes when nobody holds the other end any more.
    pub(super) fn read(mut file: &File, buffer: &mut [u8]) -> io::Result<usize> {
        match file.read(buffer) {
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(0),
            read => read,
        }
    }

    /// Types as much as there is room for.
    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        let mut file = self.file.get_ref();
        file.write(data)
    }

    pub(super) fn resize(&self, cols: u16, rows: u16) -> anyhow::Result<()> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner).resize(size(cols, rows))
    }
}
