//! A pseudo-console of Windows. Its pipes know no waiting together, so each has a thread.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use portable_pty::{ChildKiller, CommandBuilder, MasterPty, native_pty_system};
use tokio::sync::{mpsc, watch};

use super::{Left, PIECE, Taken, size};

/// Pieces of output that were read and not yet taken.
const WAITING_OUTPUT: usize = 4;
/// Pieces of input that were typed and not yet written.
const WAITING_INPUT: usize = 8;
/// Read at once.
const READ: usize = 32 * 1024;

/// Some terminal's program has ended.
static ENDED: LazyLock<watch::Sender<()>> = LazyLock::new(|| watch::Sender::new(()));

/// The end that shows what is printed and takes what is typed. Dropping it closes the console.
pub(in super::super) struct Pty {
    output: tokio::sync::Mutex<Pieces>,
    input: mpsc::Sender<Vec<u8>>,
    master: Mutex<Box<dyn MasterPty + Send>>,
}

/// What a terminal prints, piece by piece.
pub(in super::super) struct Output {
    pty: Arc<Pty>,
    piece: Vec<u8>,
}

struct Pieces {
    pieces: mpsc::Receiver<Vec<u8>>,
    /// Received and not yet taken.
    rest: Vec<u8>,
}

/// The process that holds the terminal.
pub(in super::super) struct Child {
    killer: Box<dyn ChildKiller + Send + Sync>,
    left: Arc<OnceLock<i32>>,
}

/// Hears that some terminal's program may have ended. To be made before the child is.
pub(in super::super) struct Children(watch::Receiver<()>);

/// What [`start`] leaves to be done inside the runtime.
pub(in super::super) struct Started {
    pty: Pty,
    child: Child,
}

/// Starts a program on a new pseudo-console. Blocks while it starts.
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
    let (reader, writer) = (pair.master.try_clone_reader()?, pair.master.take_writer()?);
    let mut child = pair.slave.spawn_command(command)?;
    let left = Arc::new(OnceLock::new());
    let (killer, told) = (child.clone_killer(), Arc::clone(&left));
    thread("terminal-end", move || {
        let code = child.wait().map_or(-1, |status| status.exit_code().cast_signed());
        let _ = told.set(code);
        ENDED.send_replace(());
    })?;
    let (read, pieces) = mpsc::channel(WAITING_OUTPUT);
    thread("terminal-output", move || read_all(reader, &read))?;
    let (input, typed) = mpsc::channel(WAITING_INPUT);
    thread("terminal-input", move || write_all(writer, typed))?;
    let output = tokio::sync::Mutex::new(Pieces { pieces, rest: Vec::new() });
    Ok(Started { pty: Pty { output, input, master: Mutex::new(pair.master) }, child: Child { killer, left } })
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

fn read_all(mut reader: impl Read, read: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; READ];
    while let Ok(count) = reader.read(&mut buffer)
        && count > 0
    {
        // Read on when nobody wants it any more: a console with output left does not close.
        let _ = read.blocking_send(buffer[..count].to_vec());
    }
}

fn write_all(mut writer: impl Write, mut typed: mpsc::Receiver<Vec<u8>>) {
    while let Some(piece) = typed.blocking_recv()
        && writer.write_all(&piece).and_then(|()| writer.flush()).is_ok()
    {}
}

impl Started {
    /// As on systems where there is something left to do.
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
    pub(in super::super) fn into_pty(self) -> io::Result<(Arc<Pty>, Output, Child)> {
        let pty = Arc::new(self.pty);
        let output = Output { pty: Arc::clone(&pty), piece: Vec::with_capacity(PIECE) };
        Ok((pty, output, self.child))
    }
}

impl Child {
    /// How it ended; `None` while it runs.
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
    pub(in super::super) fn try_wait(&mut self) -> io::Result<Option<Left>> {
        Ok(self.left.get().map(|code| Left { exit_code: Some(*code), signal: None }))
    }

    /// Ends it, and with it the job that everything in the terminal belongs to. `false` when it has ended.
    pub(in super::super) fn ask_to_end(&mut self) -> bool {
        if self.left.get().is_some() {
            return false;
        }
        let _ = self.killer.kill();
        true
    }
}

impl Children {
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
    pub(in super::super) fn new() -> io::Result<Self> {
        Ok(Self(ENDED.subscribe()))
    }

    pub(in super::super) async fn changed(&mut self) -> Option<()> {
        self.0.changed().await.ok()
    }
}

impl Output {
    /// Waits for output and takes all that is there, up to a full piece. May be cancelled, nothing is lost.
    pub(in super::super) async fn take(&mut self) -> Taken<'_> {
        let mut output = self.pty.output.lock().await;
        if output.rest.is_empty() {
            match output.pieces.recv().await {
                Some(piece) => output.rest = piece,
                None => return Taken { piece: &[], over: true },
            }
        }
        self.piece.clear();
        loop {
            let next = output.rest.len().min(PIECE - self.piece.len());
            self.piece.extend(output.rest.drain(..next));
            if self.piece.len() == PIECE {
                break;
            }
            let Ok(piece) = output.pieces.try_recv() else { break };
            output.rest = piece;
        }
        Taken { piece: &self.piece, over: false }
    }
}

impl Pty {
    /// Types when there is room again. `typing` is tried until it finds some.
    pub(in super::super) async fn when_writable<T>(
        &self,
        typing: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            if self.input.reserve().await.is_err() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            match typing() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                typed => return typed,
            }
        }
    }

    /// Types all of it, or nothing while there is no room.
    pub(in super::super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        match self.input.try_send(data.to_vec()) {
            Ok(()) => Ok(data.len()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(io::ErrorKind::WouldBlock.into()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    pub(in super::super) fn resize(&self, cols: u16, rows: u16) -> anyhow::Result<()> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner).resize(size(cols, rows))
    }
}
