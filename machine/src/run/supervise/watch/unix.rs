//! One `poll` for everything: sockets, the output's pipe, and the bell of the thread that waits for processes.

use std::{
    io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::mpsc::Receiver,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
    unistd::Pid,
};

use super::{
    super::{
        super::{Reaped, RunSpec, cgroup::TaskGroup, notices, tree},
        Begun, unix,
    },
    Heard, MOST_PEERS, Output,
};

/// What the loop needs of a started command.
pub(in super::super) struct Task {
    pub(in super::super) pid: Pid,
    /// `None` once closed.
    pub(in super::super) pipe: Option<PipeReader>,
    /// Rings when `reaped` has news; `None` when it has no more.
    pub(in super::super) bell: Option<UnixStream>,
    pub(in super::super) reaped: Receiver<Reaped>,
    pub(in super::super) group: Option<TaskGroup>,
}

impl Task {
    pub(super) fn ask_to_end(&mut self, main_alive: bool) {
        tree::signal(self.pid, main_alive, Signal::SIGTERM);
    }

    pub(super) fn kill(&mut self, main_alive: bool) {
        tree::signal(self.pid, main_alive, Signal::SIGKILL);
        if let Some(group) = &self.group {
            group.kill();
        }
    }

    pub(super) fn output_is_open(&self) -> bool {
        self.pipe.is_some()
    }

    fn hear_reaper(&mut self, heard: &mut Heard) {
        // As many bytes as messages, or fewer when some were read together; none when there will be no more.
        if self.bell.as_mut().is_none_or(|bell| matches!(bell.read(&mut [0; 16]), Ok(0))) {
            self.bell = None;
        }
        heard.reaped.extend(self.reaped.try_iter());
    }

    fn take_output(&mut self, buffer: &mut [u8]) -> Output {
        let Some(pipe) = self.pipe.as_mut() else { return Output::Closed };
        match pipe.read(buffer) {
            Ok(count) if count > 0 => Output::Bytes(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => Output::Bytes(0),
            Ok(_) | Err(_) => {
                self.pipe = None;
                Output::Closed
            }
        }
    }
}

/// Whoever speaks to this supervisor.
pub(in super::super) struct Ears {
    listener: UnixListener,
    peers: Vec<UnixStream>,
}

impl Ears {
    pub(in super::super) fn new(listener: UnixListener, launcher: Option<UnixStream>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let peers = launcher.into_iter().filter(|peer| peer.set_nonblocking(true).is_ok()).collect();
        Ok(Self { listener, peers })
    }

    #[allow(clippy::unused_self, reason = "elsewhere it takes a runtime, which is here")]
    pub(super) fn begin(
        &self,
        spec: &RunSpec,
        reader: PipeReader,
        out: PipeWriter,
        err: PipeWriter,
    ) -> Result<Begun, String> {
        unix::begin(spec, reader, out, err)
    }

    /// A full socket has unread bytes that say the same.
    pub(super) fn tell(&mut self, notice: u8) {
        self.peers.retain_mut(|peer| match peer.write(&[notice]) {
            Ok(_) => true,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        });
    }

    /// A directory may be removed from under whoever stands in it.
    #[allow(clippy::unused_self, reason = "elsewhere there is something to do")]
    pub(super) fn leave(&mut self, _folder: &Path) {}

    /// Sleeps until something happens. Output is read when there is a buffer. `None` when nothing can be told.
    pub(super) fn listen(
        &mut self,
        task: &mut Task,
        buffer: &mut [u8],
        timeout: Option<Duration>,
    ) -> Option<Heard> {
        let reads = task.pipe.as_ref().filter(|_| !buffer.is_empty());
        let mut fds: Vec<PollFd<'_>> = vec![readable(self.listener.as_fd())];
        fds.extend(self.peers.iter().map(|peer| readable(peer.as_fd())));
        fds.extend(task.bell.iter().map(|bell| readable(bell.as_fd())));
        fds.extend(reads.map(|pipe| readable(pipe.as_fd())));
        let timeout = timeout
            .map_or(PollTimeout::NONE, |timeout| PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX));
        poll(&mut fds, timeout).ok()?;
        let ready: Vec<bool> =
            fds.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        let output_ready = reads.is_some() && ready.last() == Some(&true);
        let peers = self.peers.len();
        let mut heard = Heard { any: ready.contains(&true), ..Heard::default() };
        if task.bell.is_some() && ready[1 + peers] {
            task.hear_reaper(&mut heard);
        }
        self.hear_peers(&ready[1..1 + peers], &mut heard);
        if ready[0] {
            self.welcome();
        }
        if output_ready {
            heard.output = task.take_output(buffer);
        }
        Some(heard)
    }

    fn hear_peers(&mut self, ready: &[bool], heard: &mut Heard) {
        let mut ready = ready.iter();
        self.peers.retain_mut(|peer| {
            if ready.next() != Some(&true) {
                return true;
            }
            let mut bytes = [0; 64];
            match peer.read(&mut bytes) {
                Ok(0) => false,
                Ok(count) => {
                    heard.room |= bytes[..count].contains(&notices::ROOM);
                    heard.stop |= bytes[..count].contains(&notices::STOP);
                    true
                }
                Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        });
    }

    fn welcome(&mut self) {
        while let Ok((peer, _)) = self.listener.accept() {
            if self.peers.len() < MOST_PEERS && peer.set_nonblocking(true).is_ok() {
                self.peers.push(peer);
            }
        }
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}
