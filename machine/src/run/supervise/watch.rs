//! The supervisor's loop: takes output, hears the agent, minds the time, and ends the tree when asked.

use std::{
    io::{self, ErrorKind, PipeReader, Read, Write},
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::{UnixListener, UnixStream},
    },
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
    unistd::Pid,
};

use super::super::{
    Ending, Exit, Moment, RunSpec, StopCause, cgroup::TaskGroup, notices, reaper::Reaped, spool::Spool, tree,
};

/// How long output may stay open behind the last process that matters.
const CLOSING: Duration = Duration::from_secs(2);
/// Between two looks whether a full disk has space again; the agent's own letting go is heard at once.
pub(super) const FULL_RETRY: Duration = Duration::from_secs(1);
/// Between two kills of a tree that will not go.
const KILL_AGAIN: Duration = Duration::from_millis(100);
/// After this long killing has failed: another user's processes, or the kernel holds them.
const KILL_LIMIT: Duration = Duration::from_secs(10);
const BUFFER: usize = 64 * 1024;
const MOST_PEERS: usize = 8;

/// What the loop needs of a started command.
pub(super) struct Running<'a> {
    pub(super) spec: &'a RunSpec,
    pub(super) pid: Pid,
    /// `None` once closed.
    pub(super) pipe: Option<PipeReader>,
    /// Rings when `reaped` has news; `None` when it has no more.
    pub(super) bell: Option<UnixStream>,
    pub(super) reaped: Receiver<Reaped>,
    pub(super) group: Option<TaskGroup>,
}

/// The supervisor's side that does not depend on the command.
pub(super) struct Watch {
    listener: UnixListener,
    peers: Vec<UnixStream>,
    spool: Spool,
    buffer: Box<[u8]>,
    /// Read from the pipe and not yet on disk.
    pending: Range<usize>,
}

struct Stopping {
    cause: StopCause,
    since: Instant,
    killing_since: Option<Instant>,
}

#[derive(Default)]
struct Progress {
    main: Option<(Ending, Moment)>,
    main_ended: Option<Instant>,
    all_gone: Option<Instant>,
    stopping: Option<Stopping>,
    /// The stop came while the main process was still alive.
    cut_short: bool,
    next_kill: Option<Instant>,
    gave_up: Option<Instant>,
    /// How much may still be read after the time for closing was over.
    last_read: Option<usize>,
    dropped: bool,
}

impl Watch {
    pub(super) fn new(
        listener: UnixListener,
        launcher: Option<UnixStream>,
        spool: Spool,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let peers = launcher.into_iter().filter(|peer| peer.set_nonblocking(true).is_ok()).collect();
        Ok(Self { listener, peers, spool, buffer: vec![0; BUFFER].into_boxed_slice(), pending: 0..0 })
    }

    /// Tells everybody who listens. A full socket has unread bytes that say the same.
    pub(super) fn tell(&mut self, notice: u8) {
        self.peers.retain_mut(|peer| match peer.write(&[notice]) {
            Ok(_) => true,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        });
    }

    /// Until the task has ended and its output is kept.
    pub(super) fn follow(&mut self, mut running: Running<'_>) -> Exit {
        let started = Instant::now();
        let time_up = running.spec.timeout.and_then(|timeout| started.checked_add(timeout));
        let mut now = Progress::default();
        loop {
            self.store();
            self.mind_time(&mut running, &mut now, time_up);
            if self.is_over(&running, &mut now) {
                return self.ending(now);
            }
            self.wait(&mut running, &mut now, time_up);
        }
    }

    fn store(&mut self) {
        if !self.pending.is_empty() {
            let kept = self.spool.append(&self.buffer[self.pending.clone()]);
            self.pending.start += kept;
            let sealed = self.blocked() && self.spool.has_room() && self.spool.seal();
            if kept > 0 || sealed {
                self.tell(notices::OUTPUT);
            }
        }
    }

    /// Whether there is output that the spool or the disk has no space for. Nothing more is read then, so the
    /// pipe fills and the task waits.
    fn blocked(&self) -> bool {
        !self.pending.is_empty()
    }

    fn stop(running: &Running<'_>, now: &mut Progress, cause: StopCause) {
        if now.stopping.is_none() && now.all_gone.is_none() {
            now.cut_short = now.main.is_none();
            let since = Instant::now();
            now.stopping = Some(Stopping { cause, since, killing_since: None });
            tree::signal(running.pid, now.main.is_none(), Signal::SIGTERM);
        }
    }

    fn mind_time(&mut self, running: &mut Running<'_>, now: &mut Progress, time_up: Option<Instant>) {
        let instant = Instant::now();
        if now.main.is_none() && time_up.is_some_and(|time_up| instant >= time_up) {
            let after_s = running.spec.timeout.unwrap_or_default().as_secs();
            Self::stop(running, now, StopCause::TimeUp { after_s });
        }
        let Some(stopping) = now.stopping.as_mut() else { return };
        if now.all_gone.is_some() || now.gave_up.is_some() {
            return;
        }
        let kill_from = stopping.since + running.spec.limits.stop_grace;
        if instant < now.next_kill.unwrap_or(kill_from) {
            return;
        }
        let killing_since = *stopping.killing_since.get_or_insert(instant);
        if instant >= killing_since + KILL_LIMIT {
            now.gave_up = Some(instant);
            return;
        }
        tree::signal(running.pid, now.main.is_none(), Signal::SIGKILL);
        if let Some(group) = &running.group {
            group.kill();
        }
        now.next_kill = Some(instant + KILL_AGAIN);
    }

    /// When the processes that matter ended: all of them for a stop, the main one otherwise.
    fn processes_over(now: &Progress) -> Option<Instant> {
        match now.stopping {
            Some(_) => now.all_gone.or(now.gave_up),
            None => now.main_ended,
        }
    }

    fn is_over(&mut self, running: &Running<'_>, now: &mut Progress) -> bool {
        let Some(since) = Self::processes_over(now) else { return false };
        if self.blocked() {
            // A stopped task waits as long for space as it may take to end.
            if now.stopping.is_none() || since.elapsed() < running.spec.limits.stop_grace {
                return false;
            }
            self.pending = 0..0;
            now.dropped = true;
            return true;
        }
        if running.pipe.is_none() || now.last_read == Some(0) {
            return true;
        }
        if since.elapsed() >= CLOSING && now.last_read.is_none() {
            // One more pipe's worth: what was written before the end has waited in it.
            now.last_read = Some(BUFFER);
        }
        false
    }

    fn ending(&self, now: Progress) -> Exit {
        let (ending, ended) = now.main.unwrap_or_else(|| (Ending::StillAlive, Moment::now()));
        let remark = match (now.gave_up.is_some() && ending != Ending::StillAlive, now.dropped) {
            (true, _) => Some("Some of its processes could not be ended.".to_owned()),
            (false, true) => {
                Some("Its last output was dropped because there was no space for it.".to_owned())
            }
            (false, false) => None,
        };
        let stopped = now.stopping.filter(|_| now.cut_short).map(|stopping| stopping.cause);
        Exit { ending, stopped, output_total: self.spool.total(), ended, remark }
    }

    /// Sleeps until something happens, and takes it in.
    fn wait(&mut self, running: &mut Running<'_>, now: &mut Progress, time_up: Option<Instant>) {
        let blocked = self.blocked();
        let reads = running.pipe.as_ref().filter(|_| !blocked);
        let mut fds: Vec<PollFd<'_>> = vec![readable(self.listener.as_fd())];
        fds.extend(self.peers.iter().map(|peer| readable(peer.as_fd())));
        fds.extend(running.bell.iter().map(|bell| readable(bell.as_fd())));
        fds.extend(reads.map(|pipe| readable(pipe.as_fd())));
        let timeout = if now.last_read.is_some() && !blocked {
            PollTimeout::ZERO
        } else {
            Self::next_deadline(running, now, time_up, blocked)
        };
        if poll(&mut fds, timeout).is_err() {
            return;
        }
        let ready: Vec<bool> =
            fds.iter().map(|fd| fd.revents().is_some_and(|events| !events.is_empty())).collect();
        let reading = reads.is_some();
        let output_ready = reading && ready.last() == Some(&true);
        let peers = self.peers.len();
        if running.bell.is_some() && ready[1 + peers] {
            Self::hear_reaper(running, now);
        }
        let room_made = self.hear_peers(&ready[1..1 + peers], running, now);
        if ready[0] {
            self.welcome();
        }
        if output_ready {
            self.take_output(running, now);
        } else if reading && now.last_read.is_some() {
            now.last_read = Some(0);
        }
        if room_made || (blocked && !ready.contains(&true)) {
            // A directory that cannot be listed counts as it did before.
            let _ = self.spool.recount();
        }
    }

    fn next_deadline(
        running: &Running<'_>,
        now: &Progress,
        time_up: Option<Instant>,
        blocked: bool,
    ) -> PollTimeout {
        let instant = Instant::now();
        let mut deadlines: Vec<Instant> = Vec::with_capacity(4);
        deadlines.extend(time_up.filter(|_| now.main.is_none() && now.stopping.is_none()));
        if let (Some(stopping), None, None) = (&now.stopping, now.all_gone, now.gave_up) {
            deadlines.push(now.next_kill.unwrap_or(stopping.since + running.spec.limits.stop_grace));
        }
        if let Some(since) = Self::processes_over(now) {
            deadlines.push(since + CLOSING);
        }
        if blocked {
            // One that has passed waits for space alone.
            deadlines.retain(|deadline| *deadline > instant);
            deadlines.push(instant + FULL_RETRY);
        }
        let Some(first) = deadlines.into_iter().min() else { return PollTimeout::NONE };
        // Rounded up, so that a wake-up is never too early to find its deadline passed.
        let wait = first.saturating_duration_since(instant) + Duration::from_millis(1);
        PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
    }

    fn hear_reaper(running: &mut Running<'_>, now: &mut Progress) {
        // As many bytes as messages, or fewer when some were read together; none when there will be no more.
        if running.bell.as_mut().is_none_or(|bell| matches!(bell.read(&mut [0; 16]), Ok(0))) {
            running.bell = None;
        }
        while let Ok(reaped) = running.reaped.try_recv() {
            match reaped {
                Reaped::Main(ending, moment) => {
                    now.main = Some((ending, moment));
                    now.main_ended = Some(Instant::now());
                }
                Reaped::AllGone => now.all_gone = Some(Instant::now()),
            }
        }
    }

    /// Whether somebody said that there is room.
    fn hear_peers(&mut self, ready: &[bool], running: &Running<'_>, now: &mut Progress) -> bool {
        let mut room = false;
        let mut ready = ready.iter();
        self.peers.retain_mut(|peer| {
            if ready.next() != Some(&true) {
                return true;
            }
            let mut bytes = [0; 64];
            match peer.read(&mut bytes) {
                Ok(0) => false,
                Ok(count) => {
                    room |= bytes[..count].contains(&notices::ROOM);
                    if bytes[..count].contains(&notices::STOP) {
                        Self::stop(running, now, StopCause::Asked);
                    }
                    true
                }
                Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        });
        room
    }

    fn welcome(&mut self) {
        while let Ok((peer, _)) = self.listener.accept() {
            if self.peers.len() < MOST_PEERS && peer.set_nonblocking(true).is_ok() {
                self.peers.push(peer);
            }
        }
    }

    fn take_output(&mut self, running: &mut Running<'_>, now: &mut Progress) {
        let Some(pipe) = running.pipe.as_mut() else { return };
        let most = now.last_read.unwrap_or(BUFFER);
        match pipe.read(&mut self.buffer[..most]) {
            Ok(0) => running.pipe = None,
            Ok(count) => {
                self.pending = 0..count;
                now.last_read = now.last_read.map(|left| left - count);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => running.pipe = None,
        }
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
