//! The supervisor's loop: takes output, hears the agent, minds the time, and ends the tree when asked.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    io::{self, ErrorKind, PipeReader, PipeWriter},
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use super::{
    super::{Ending, Exit, Moment, Reaped, RunSpec, StopCause, notices, spool::Spool},
    Begun, Launcher, Listener,
};
#[cfg(unix)]
pub(super) use unix::{Ears, Task};
#[cfg(windows)]
pub(super) use windows::{Ears, Task, Wiring};

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

/// What was heard in one sleep.
#[derive(Default)]
pub(super) struct Heard {
    reaped: Vec<Reaped>,
    /// Somebody wants the task to end.
    stop: bool,
    /// Somebody let output go.
    room: bool,
    output: Output,
    /// Anything at all.
    any: bool,
}

#[derive(Default, PartialEq, Eq)]
pub(super) enum Output {
    /// There is none now.
    #[default]
    Silent,
    /// So many bytes are in the buffer; none when the read was interrupted.
    Bytes(usize),
    Closed,
}

struct Running<'a> {
    spec: &'a RunSpec,
    task: Task,
}

/// The supervisor's side that does not depend on the command.
pub(super) struct Watch {
    ears: Ears,
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
    pub(super) fn new(launcher: Launcher, listener: Listener, spool: Spool) -> io::Result<Self> {
        let ears = launcher.into_ears(listener)?;
        Ok(Self { ears, spool, buffer: vec![0; BUFFER].into_boxed_slice(), pending: 0..0 })
    }

    /// Starts the command with these ends of its output.
    pub(super) fn begin(
        &self,
        spec: &RunSpec,
        reader: PipeReader,
        out: PipeWriter,
        err: PipeWriter,
    ) -> Result<Begun, String> {
        self.ears.begin(spec, reader, out, err)
    }

    /// Tells everybody who listens.
    pub(super) fn tell(&mut self, notice: u8) {
        self.ears.tell(notice);
    }

    /// Stays out of the way of whoever removes the folder.
    pub(super) fn leave(&mut self, folder: &Path) {
        self.ears.leave(folder);
    }

    /// Until the task has ended and its output is kept.
    pub(super) fn follow(&mut self, spec: &RunSpec, task: Task) -> Exit {
        let mut running = Running { spec, task };
        let started = Instant::now();
        let time_up = spec.timeout.and_then(|timeout| started.checked_add(timeout));
        let mut now = Progress::default();
        loop {
            self.store();
            Self::mind_time(&mut running, &mut now, time_up);
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

    fn stop(running: &mut Running<'_>, now: &mut Progress, cause: StopCause) {
        if now.stopping.is_none() && now.all_gone.is_none() {
            now.cut_short = now.main.is_none();
            let since = Instant::now();
            now.stopping = Some(Stopping { cause, since, killing_since: None });
            running.task.ask_to_end(now.main.is_none());
        }
    }

    fn mind_time(running: &mut Running<'_>, now: &mut Progress, time_up: Option<Instant>) {
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
        running.task.kill(now.main.is_none());
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
        if !running.task.output_is_open() || now.last_read == Some(0) {
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
        let timeout = if now.last_read.is_some() && !blocked {
            Some(Duration::ZERO)
        } else {
            Self::next_deadline(running, now, time_up, blocked)
        };
        let reading = running.task.output_is_open() && !blocked;
        let most = if reading { now.last_read.unwrap_or(BUFFER) } else { 0 };
        let heard = self.ears.listen(&mut running.task, &mut self.buffer[..most], timeout);
        let Some(heard) = heard else { return };
        for reaped in heard.reaped {
            match reaped {
                Reaped::Main(ending, moment) => {
                    now.main = Some((ending, moment));
                    now.main_ended = Some(Instant::now());
                }
                Reaped::AllGone => now.all_gone = Some(Instant::now()),
            }
        }
        if heard.stop {
            Self::stop(running, now, StopCause::Asked);
        }
        match heard.output {
            Output::Bytes(count) => {
                self.pending = 0..count;
                now.last_read = now.last_read.map(|left| left - count);
            }
            Output::Silent if reading && now.last_read.is_some() => now.last_read = Some(0),
            Output::Silent | Output::Closed => {}
        }
        if heard.room || (blocked && !heard.any) {
            // A directory that cannot be listed counts as it did before.
            let _ = self.spool.recount();
        }
    }

    fn next_deadline(
        running: &Running<'_>,
        now: &Progress,
        time_up: Option<Instant>,
        blocked: bool,
    ) -> Option<Duration> {
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
        let first = deadlines.into_iter().min()?;
        // Rounded up, so that a wake-up is never too early to find its deadline passed.
        Some(first.saturating_duration_since(instant) + Duration::from_millis(1))
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
