//! A pseudo-terminal of the kernel, read and written without a thread between.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsRawFd, RawFd},
        unix::process::ExitStatusExt as _,
    },
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, anyhow};
use filedescriptor::FileDescriptor;
use nix::{
    sys::signal::{Signal as SignalName, kill},
    unistd::Pid,
};
use portable_pty::{CommandBuilder, MasterPty, native_pty_system};
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use super::{Left, PIECE, Taken, size};

/// So many full pieces without a pause are much output.
const MUCH: usize = 4;
/// Pieces that were read ahead and wait.
const AHEAD: usize = 1;
/// Less than this in one piece is little output, bytes: what the kernel hands over at a time.
const LITTLE: usize = 4096;
/// Without output for so long a program pauses.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// How often the thread that reads ahead gives its turn away before there is no output: some 50 µs where nobody else wants to run.
const TURNS: usize = 50;

/// The end that shows what is printed and takes what is typed. Dropping it hangs up.
pub(in super::super) struct Pty {
    file: File,
    /// Only for the size.
    master: Mutex<Box<dyn MasterPty + Send>>,
}

/// What [`start`] leaves to be done inside the runtime.
pub(in super::super) struct Started {
    child: std::process::Child,
    file: File,
    master: Box<dyn MasterPty + Send>,
}

/// The process that leads the session.
pub(in super::super) struct Child(std::process::Child);

/// Hears that some child of this process may have ended. To be made before the child is.
pub(in super::super) struct Children(Signal);

/// Starts a program as the leader of a session of its own on a new pseudo-terminal. Blocks while it starts.
pub(in super::super) fn start(
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
    let child =
        child.downcast::<std::process::Child>().map_err(|_| anyhow!("the program is not a process"))?;
    Ok(Started { child: *child, file, master: pair.master })
}

impl Started {
    /// Must be called inside the runtime that will read.
    pub(in super::super) fn into_pty(self) -> io::Result<(Arc<Pty>, Output, Child)> {
        let pty = Arc::new(Pty { file: self.file, master: Mutex::new(self.master) });
        let source = Source::wait(&pty)?;
        let output =
            Output { pty: Arc::clone(&pty), piece: Vec::with_capacity(PIECE), full_in_a_row: 0, source };
        Ok((pty, output, Child(self.child)))
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe; a file owns its descriptor, which is what that asks for"
)]
fn waiting<F: AsRawFd>(file: F, interest: Interest) -> io::Result<AsyncFd<F>> {
    AsyncFd::with_interest(file, interest)
}

impl Child {
    /// How it ended; `None` while it runs.
    pub(in super::super) fn try_wait(&mut self) -> io::Result<Option<Left>> {
        Ok(self.0.try_wait()?.map(left))
    }

    /// Asks it to end everything. `false` when it has ended.
    pub(in super::super) fn ask_to_end(&mut self) -> bool {
        // While this is borrowed nobody else waits for it, so the number is still its own.
        let (Ok(None), Ok(pid)) = (self.0.try_wait(), i32::try_from(self.0.id())) else { return false };
        let _ = kill(Pid::from_raw(pid), SignalName::SIGTERM);
        true
    }
}

impl Children {
    pub(in super::super) fn new() -> io::Result<Self> {
        signal(SignalKind::child()).map(Self)
    }

    pub(in super::super) async fn changed(&mut self) -> Option<()> {
        self.0.recv().await
    }
}

fn left(status: ExitStatus) -> Left {
    let name = |number| {
        SignalName::try_from(number)
            .map_or_else(|_| format!("SIG{number}"), |signal| signal.as_str().to_owned())
    };
    Left { exit_code: status.code(), signal: status.signal().map(name) }
}

impl Pty {
    /// Types when there is room again. `typing` is tried until it finds some.
    pub(in super::super) async fn when_writable<T>(
        &self,
        typing: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        let room = waiting(self.file.try_clone()?, Interest::WRITABLE)?;
        loop {
            let mut ready = room.writable().await?;
            // Tried as part of the wait, so that it is waited again when there is no room after all.
            if let Ok(typed) = ready.try_io(|_| typing()) {
                return typed;
            }
        }
    }

    /// Types as much as there is room for.
    pub(in super::super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        (&self.file).write(data)
    }

    pub(in super::super) fn resize(&self, cols: u16, rows: u16) -> anyhow::Result<()> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner).resize(size(cols, rows))
    }
}

/// What a terminal prints, piece by piece.
///
/// The kernel hands it over in small pieces and sleeps between them, and whoever reads sleeps with it. So much output is
/// read by a thread of its own, while what came before is on its way. Little is read where it is waited for: an echo
/// must not wake one thread more.
pub(in super::super) struct Output {
    pty: Arc<Pty>,
    piece: Vec<u8>,
    full_in_a_row: usize,
    source: Source,
}

enum Source {
    Waited(AsyncFd<End>),
    /// Nobody else is told of what is there meanwhile: the kernel would wake us for each of its small pieces.
    Ahead(mpsc::Receiver<Vec<u8>>),
}

/// Waits for output only: each byte the program takes makes room, and word of that would wake us for nothing.
struct End(Arc<Pty>);

impl AsRawFd for End {
    fn as_raw_fd(&self) -> RawFd {
        self.0.file.as_raw_fd()
    }
}

impl Output {
    /// Waits for output and takes all that is there, up to a full piece. May be cancelled, nothing is lost.
    pub(in super::super) async fn take(&mut self) -> Taken<'_> {
        let over = loop {
            match &mut self.source {
                Source::Ahead(ahead) => {
                    if let Some(piece) = ahead.recv().await {
                        self.piece = piece;
                        return Taken { piece: &self.piece, over: false };
                    }
                    let Ok(waited) = Source::wait(&self.pty) else { return Taken { piece: &[], over: true } };
                    self.source = waited;
                }
                Source::Waited(end) => {
                    let Ok(mut ready) = end.readable().await else {
                        return Taken { piece: &[], over: true };
                    };
                    self.piece.clear();
                    let piece = &mut self.piece;
                    let rest = ready.try_io(|end| take(&end.get_ref().0.file, piece));
                    break matches!(rest, Ok(Ok(Rest::None) | Err(_)));
                }
            }
        };
        self.full_in_a_row = if self.piece.len() == PIECE { self.full_in_a_row + 1 } else { 0 };
        if self.full_in_a_row == MUCH {
            self.full_in_a_row = 0;
            self.source = Source::Ahead(read_ahead(Arc::clone(&self.pty)));
        }
        Taken { piece: &self.piece, over }
    }
}

impl Source {
    fn wait(pty: &Arc<Pty>) -> io::Result<Self> {
        waiting(End(Arc::clone(pty)), Interest::READABLE).map(Self::Waited)
    }
}

/// Reads until the program pauses or prints only little.
fn read_ahead(pty: Arc<Pty>) -> mpsc::Receiver<Vec<u8>> {
    let (give, ahead) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        while !give.is_closed() && (there_at_once(&pty.file) || printed_soon(&pty.file)) {
            let mut piece = Vec::with_capacity(PIECE);
            // Whoever waits for the next output finds the same end, or the same error.
            while piece.len() < PIECE
                && there_at_once(&pty.file)
                && rustix::io::read(&pty.file, spare_capacity(&mut piece)).is_ok_and(|read| read > 0)
            {
            }
            let little = piece.len() < LITTLE;
            if piece.is_empty() || give.blocking_send(piece).is_err() || little {
                return;
            }
        }
    });
    ahead
}

/// Whether there is output, or some comes before the program can be said to pause.
fn printed_soon(file: &File) -> bool {
    let mut ends = [PollFd::new(file, PollFlags::IN)];
    poll(&mut ends, Some(&PAUSE)).is_ok_and(|ready| ready == 1) && ends[0].revents() == PollFlags::IN
}

/// Whether there is output now or a moment later. Whoever reads when there is none is put to sleep until the kernel has moved the
/// next of its small pieces, however soon that is; whoever gives their turn away lets it be moved.
fn there_at_once(file: &File) -> bool {
    for _ in 0..TURNS {
        match rustix::io::ioctl_fionread(file) {
            Ok(0) => std::thread::yield_now(),
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
    false
}

enum Rest {
    None,
    Some,
}

/// Everything that is there now, in one piece for the viewers. `WouldBlock` when nothing is left for now.
fn take(file: &File, piece: &mut Vec<u8>) -> io::Result<Rest> {
    while piece.len() < PIECE {
        match rustix::io::read(file, spare_capacity(piece)) {
            // So Linux says that nobody holds the other end any more.
            Ok(0) | Err(Errno::IO) => return Ok(Rest::None),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Rest::Some)
}
