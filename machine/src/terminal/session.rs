//! One terminal: what is known of it, what it printed, and who is there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foreman_protocol::{Terminal, TerminalEnded, TerminalId};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::Instant,
};

use super::{
    pty::{Child, Pty},
    scrollback::Scrollback,
};

/// How far the fastest viewer may stay behind before the program has to wait for it. A program that prints faster
/// than anybody can take it then loses nothing, as long as somebody takes it at all.
const LAG: u64 = foreman_protocol::SCROLLBACK as u64 / 2;
/// How long the program waits for viewers who take nothing.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Writers whose place is remembered; of those who are not here the first to come are forgotten first.
const MOST_WRITERS: usize = 256;

pub(super) struct Session {
    pub(super) id: TerminalId,
    /// Who may end and rename it without more rights.
    pub(super) owner: String,
    /// Held by who types, so that two writers do not mix within what either sends at once.
    pub(super) typing: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
    /// Wakes viewers to look again.
    changed: watch::Sender<()>,
    /// Wakes the program's reader when a viewer took something.
    pub(super) room: Notify,
}

pub(super) struct Inner {
    /// All but what is counted when asked.
    pub(super) terminal: Terminal,
    /// Rises with each change that viewers are told.
    pub(super) version: u64,
    pub(super) output: Scrollback,
    pub(super) viewers: BTreeMap<u64, Viewer>,
    /// How many bytes of each writer were typed, in the order they first came.
    writers: Vec<(String, u64)>,
    /// Some are not remembered any more.
    forgot_writers: bool,
    /// `None` once it has ended.
    pub(super) pty: Option<Arc<Pty>>,
    pub(super) child: Child,
    pub(super) ended_by: Option<String>,
    pub(super) recorder: Option<Recorder>,
    last_number: u64,
}

pub(super) struct Viewer {
    /// The next byte it is given.
    pub(super) position: u64,
    /// Took nothing for so long that nobody waits for it, until it does.
    pub(super) stalled: bool,
    pub(super) writer: Option<String>,
    /// Since when it is owed word of what was typed.
    pub(super) unacknowledged: Option<Instant>,
}

pub(super) struct Recorder {
    pub(super) number: u64,
    /// The next byte it writes.
    pub(super) position: u64,
    /// As for viewers: a disk can be slow too.
    pub(super) stalled: bool,
    /// Where it ends, once that is known.
    pub(super) until: Option<u64>,
    pub(super) task: Option<JoinHandle<()>>,
}

impl Session {
    pub(super) fn new(terminal: Terminal, owner: String, pty: Arc<Pty>, child: Child) -> Self {
        Self {
            id: terminal.id,
            owner,
            typing: tokio::sync::Mutex::new(()),
            inner: Mutex::new(Inner {
                terminal,
                version: 1,
                output: Scrollback::new(foreman_protocol::SCROLLBACK),
                viewers: BTreeMap::new(),
                writers: Vec::new(),
                forgot_writers: false,
                pty: Some(pty),
                child,
                ended_by: None,
                recorder: None,
                last_number: 0,
            }),
            changed: watch::Sender::new(()),
            room: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    pub(super) fn describe(&self) -> Terminal {
        self.lock().describe()
    }

    /// Changes something that viewers are told.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let changed = {
            let mut inner = self.lock();
            inner.version += 1;
            change(&mut inner)
        };
        self.wake();
        changed
    }

    /// Asks for the end of everything in it. One that has ended is left as it is.
    pub(super) fn end(&self, by: &str) {
        let mut inner = self.lock();
        if inner.child.ask_to_end() {
            inner.ended_by.get_or_insert_with(|| by.to_owned());
        }
    }

    /// The last one to say so decides.
    pub(super) fn resize(&self, cols: u16, rows: u16) {
        let (cols, rows) = super::registry::clamp(cols, rows);
        let resized = {
            let mut inner = self.lock();
            let same = (inner.terminal.cols, inner.terminal.rows) == (cols, rows);
            let done = !same && inner.pty.as_ref().is_some_and(|pty| pty.resize(cols, rows).is_ok());
            if done {
                (inner.terminal.cols, inner.terminal.rows) = (cols, rows);
                inner.version += 1;
            }
            done
        };
        if resized {
            self.wake();
        }
    }
}

impl Inner {
    pub(super) fn describe(&self) -> Terminal {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Terminal {
            viewers: count(self.viewers.len()),
            writers: count(self.viewers.values().filter(|viewer| viewer.writer.is_some()).count()),
            output_bytes: self.output.end(),
            ..self.terminal.clone()
        }
    }

    pub(super) fn enter(&mut self, from: u64, writer: Option<String>) -> u64 {
        let number = self.next_number();
        if let Some(writer) = &writer {
            self.remember(writer);
        }
        let position = from.min(self.output.end());
        self.viewers.insert(number, Viewer { position, stalled: false, writer, unacknowledged: None });
        number
    }

    /// For viewers and recorders, each its own.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn remember(&mut self, writer: &str) {
        if self.writers.iter().any(|(known, _)| known == writer) {
            return;
        }
        if self.writers.len() >= MOST_WRITERS {
            let here =
                |name: &str| self.viewers.values().any(|viewer| viewer.writer.as_deref() == Some(name));
            if let Some(gone) = self.writers.iter().position(|(name, _)| !here(name)) {
                self.writers.remove(gone);
                self.forgot_writers = true;
            }
        }
        self.writers.push((writer.to_owned(), 0));
    }

    /// A writer who was forgotten goes on where they say: that their keys came to nothing would be worse than that what
    /// was on its way when they left is typed twice.
    pub(super) fn resume(&mut self, writer: &str, offset: u64) {
        if !self.forgot_writers {
            return;
        }
        if let Some((_, received)) = self.writers.iter_mut().find(|(known, _)| known == writer)
            && *received == 0
        {
            *received = offset;
        }
    }

    /// This writer's bytes that were typed.
    pub(super) fn received(&self, writer: &str) -> u64 {
        self.writers.iter().find(|(known, _)| known == writer).map_or(0, |(_, received)| *received)
    }

    pub(super) fn typed(&mut self, writer: &str, count: usize) {
        if let Some((_, received)) = self.writers.iter_mut().find(|(known, _)| known == writer) {
            *received += count as u64;
        }
    }

    /// Whether what is printed next would be lost to somebody who is about to take it.
    pub(super) fn crowded(&self) -> bool {
        let end = self.output.end();
        let behind = |position: u64| end.saturating_sub(position) > LAG;
        let mut waited_for = self.viewers.values().filter(|viewer| !viewer.stalled).peekable();
        let viewers = waited_for.peek().is_some() && waited_for.all(|viewer| behind(viewer.position));
        viewers
            || self.recorder.as_ref().is_some_and(|recorder| !recorder.stalled && behind(recorder.position))
    }

    /// Nobody who is behind is waited for any more.
    pub(super) fn stop_waiting(&mut self) {
        let end = self.output.end();
        let behind = |position: u64| end.saturating_sub(position) > LAG;
        for viewer in self.viewers.values_mut() {
            viewer.stalled |= behind(viewer.position);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.stalled |= behind(recorder.position);
        }
    }

    pub(super) fn finish(&mut self, ended: TerminalEnded) {
        self.pty = None;
        self.terminal.ended = Some(ended);
    }
}
