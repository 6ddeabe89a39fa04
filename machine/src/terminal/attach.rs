//! One viewer of a terminal: what it types and what it is shown.

use std::{io::ErrorKind, pin::Pin, sync::Arc, time::Duration};

use foreman_protocol::{MAX_TERMINAL_FRAME, TerminalFrame, TerminalState};
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};

use super::session::{Inner, Session};

/// Word of what was typed goes with the next output, which is usually its echo; alone only after this long.
const ACKNOWLEDGE_ALONE: Duration = Duration::from_millis(20);
/// Before what was printed: a frame's length, kind and offset.
const BEFORE_OUTPUT: usize = 13;
/// What fits with that into one frame of HTTP/2 and one record of the link: a little more would be one of each again.
pub(super) const MOST_OUTPUT: usize = 60 * 1024 - BEFORE_OUTPUT;
const _: () = assert!(MOST_OUTPUT + BEFORE_OUTPUT <= MAX_TERMINAL_FRAME);
/// The longest name of a writer.
const MOST_WRITER: usize = 64;
pub(super) const MOST_VIEWERS: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    #[error("There is no such terminal on this device; it may have ended a while ago.")]
    NotFound,
    #[error("{MOST_VIEWERS} are looking at this terminal already, and no more can. Close one and try again.")]
    TooMany,
    #[error("A writer is named by 1 to {MOST_WRITER} characters.")]
    Writer,
}

/// What a viewer sends. Dropping it leaves the viewer looking.
pub struct Typing {
    session: Arc<Session>,
    viewer: u64,
    /// `None` for one that only looks.
    writer: Option<String>,
}

/// What a viewer is shown. Dropping it is leaving.
pub struct Watching {
    session: Arc<Session>,
    viewer: u64,
    changed: watch::Receiver<()>,
    /// The version it was told last; none is 0.
    version: u64,
    over: bool,
    /// Stays set when it is not needed any more: to set one for each key is dearer than to wake once in vain.
    alarm: Option<Pin<Box<Sleep>>>,
}

enum Next {
    Frame(TerminalFrame),
    /// Nothing yet; look again then, or when something changed.
    Later(Option<Instant>),
    Over,
}

pub(super) fn attach(
    session: Arc<Session>,
    from: u64,
    writer: Option<&str>,
) -> Result<(Typing, Watching), AttachError> {
    if writer.is_some_and(|writer| writer.is_empty() || writer.chars().count() > MOST_WRITER) {
        return Err(AttachError::Writer);
    }
    let changed = session.subscribe();
    let viewer = session.change(|inner| {
        if inner.viewers.len() >= MOST_VIEWERS {
            return Err(AttachError::TooMany);
        }
        Ok(inner.enter(from, writer.map(str::to_owned)))
    })?;
    let typing = Typing { session: Arc::clone(&session), viewer, writer: writer.map(str::to_owned) };
    Ok((typing, Watching { session, viewer, changed, version: 0, over: false, alarm: None }))
}

impl Typing {
    /// Does what a frame says. What only the device sends, and what somebody sends who may only look, is let go.
    ///
    /// Waits while the program takes no input; may be cancelled, and what was typed until then is counted.
    pub async fn send(&self, frame: TerminalFrame) {
        let Some(writer) = &self.writer else { return };
        match frame {
            TerminalFrame::Input { offset, data } => self.input(writer, offset, &data).await,
            TerminalFrame::Resize { cols, rows } => self.session.resize(cols, rows),
            _ => {}
        }
    }

    async fn input(&self, writer: &str, offset: u64, data: &[u8]) {
        let _turn = self.session.typing.lock().await;
        loop {
            let typed = match self.type_some(writer, offset, data) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let Some(pty) = self.session.lock().pty.clone() else { return };
                    pty.when_writable(|| self.type_some(writer, offset, data)).await
                }
                typed => typed,
            };
            // One that takes no more input has ended, and says so itself.
            if typed.unwrap_or(true) {
                return;
            }
        }
    }

    /// As much as there is room for; `true` when nothing is left to type.
    fn type_some(&self, writer: &str, offset: u64, data: &[u8]) -> std::io::Result<bool> {
        let mut inner = self.session.lock();
        let Some(pty) = inner.pty.clone() else { return Ok(true) };
        inner.resume(writer, offset);
        // Up to there it was typed before; when something before it is missing, nothing of it can be.
        let before = inner.received(writer).checked_sub(offset).and_then(|count| usize::try_from(count).ok());
        let Some(rest) = before.and_then(|before| data.get(before..)).filter(|rest| !rest.is_empty()) else {
            self.acknowledge(inner, true);
            return Ok(true);
        };
        let count = match pty.write(rest) {
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            written => written?,
        };
        inner.typed(writer, count);
        self.acknowledge(inner, false);
        Ok(count == rest.len())
    }

    fn acknowledge(&self, mut inner: std::sync::MutexGuard<'_, Inner>, at_once: bool) {
        let now = Instant::now();
        if let Some(viewer) = inner.viewers.get_mut(&self.viewer) {
            let since = if at_once { now.checked_sub(ACKNOWLEDGE_ALONE).unwrap_or(now) } else { now };
            let owed = viewer.unacknowledged.get_or_insert(since);
            *owed = since.min(*owed);
        }
        drop(inner);
        self.session.wake();
    }
}

impl Watching {
    /// The next frame; `None` behind the last. May be cancelled, nothing is lost.
    pub async fn next(&mut self) -> Option<TerminalFrame> {
        loop {
            self.changed.borrow_and_update();
            let later = match self.take() {
                Next::Frame(frame) => return Some(frame),
                Next::Over => return None,
                Next::Later(later) => later,
            };
            if let Some(later) = later {
                self.set_alarm(later);
            }
            let Self { changed, alarm, .. } = self;
            let alone = async {
                match alarm {
                    Some(alarm) if later.is_some() => alarm.await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                // Its sender lives in the session, which lives as long as this.
                _ = changed.changed() => {}
                () = alone => {}
            }
        }
    }

    /// The next frame, if it is there already.
    pub fn next_at_once(&mut self) -> Option<TerminalFrame> {
        match self.take() {
            Next::Frame(frame) => Some(frame),
            // Asked again by who waits.
            Next::Later(_) | Next::Over => None,
        }
    }

    /// Rings then or before.
    fn set_alarm(&mut self, at: Instant) {
        match &mut self.alarm {
            Some(alarm) if alarm.is_elapsed() || alarm.deadline() > at => alarm.as_mut().reset(at),
            Some(_) => {}
            None => self.alarm = Some(Box::pin(sleep_until(at))),
        }
    }

    fn take(&mut self) -> Next {
        if self.over {
            return Next::Over;
        }
        let session = Arc::clone(&self.session);
        let mut guard = session.lock();
        let inner = &mut *guard;
        if self.version != inner.version {
            self.version = inner.version;
            return Next::Frame(TerminalFrame::State(Box::new(self.state(inner))));
        }
        let (start, end) = (inner.output.start(), inner.output.end());
        let ended = inner.terminal.ended.clone();
        let Some(viewer) = inner.viewers.get_mut(&self.viewer) else { return Next::Over };
        let more = viewer.position < end;
        if let Some(since) = viewer.unacknowledged {
            if !more && ended.is_none() && since.elapsed() < ACKNOWLEDGE_ALONE {
                return Next::Later(Some(since + ACKNOWLEDGE_ALONE));
            }
            viewer.unacknowledged = None;
            let writer = viewer.writer.clone().unwrap_or_default();
            return Next::Frame(TerminalFrame::InputAccepted { received: inner.received(&writer) });
        }
        if more {
            viewer.stalled = false;
            if viewer.position < start {
                viewer.position = inner.output.resume();
                return Next::Frame(TerminalFrame::Gap { start: viewer.position });
            }
            let offset = viewer.position;
            let data = inner.output.copy(offset, MOST_OUTPUT);
            viewer.position += data.len() as u64;
            session.room.notify_one();
            return Next::Frame(TerminalFrame::Output { offset, data });
        }
        match ended {
            Some(ended) => {
                self.over = true;
                Next::Frame(TerminalFrame::Ended(ended))
            }
            None => Next::Later(None),
        }
    }

    fn state(&self, inner: &Inner) -> TerminalState {
        let writer = inner.viewers.get(&self.viewer).and_then(|viewer| viewer.writer.as_deref());
        TerminalState {
            terminal: inner.describe(),
            may_write: writer.is_some() && inner.terminal.ended.is_none(),
            input_received: writer.map_or(0, |writer| inner.received(writer)),
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.session.change(|inner| inner.viewers.remove(&self.viewer));
        self.session.room.notify_one();
    }
}
