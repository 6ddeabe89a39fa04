//! Recordings: what a terminal prints, in a private file on this device, only when somebody asked for it.
//!
//! The file is an [asciicast](https://docs.asciinema.org/manual/asciicast/v2/) of version 2: a line of JSON for each
//! piece of output, with the time since the beginning. What is typed is not in it, unless the terminal shows it.
//!
//! A recording has at most [`MOST`] bytes, and all together have [`MOST_TOGETHER`]: for a new one the oldest go, never
//! one that is being written.

mod kept;

use std::{io::Write as _, sync::Arc, time::Duration};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use tokio::{
    fs::File,
    io::AsyncWriteExt,
    sync::watch,
    time::{Instant, timeout},
};

use super::session::{Recorder, Session};
use crate::run::Moment;

pub(super) use kept::Recordings;
use kept::Writing;

/// The largest recording, in bytes.
const MOST: u64 = 64 << 20;
/// All of them, in bytes.
const MOST_TOGETHER: u64 = 1 << 30;
const PIECE: usize = 64 * 1024;
/// How long the end of a terminal waits for its recording.
const FINISH: Duration = Duration::from_secs(2);

/// Begins a recording with the byte `from`; one that is under way goes on.
pub(super) fn start(session: &Arc<Session>, recordings: &Arc<Recordings>, from: u64) -> anyhow::Result<()> {
    if session.lock().terminal.recording.is_some() {
        return Ok(());
    }
    let number = session.lock().next_number();
    let (writing, mut file) = recordings.create(&format!("{}-{number}.cast", session.id))?;
    let path = writing.path().to_owned();
    let (header, size) = {
        let terminal = session.describe();
        let header = json!({
            "version": 2,
            "width": terminal.cols,
            "height": terminal.rows,
            "timestamp": Moment::now().wall_ms / 1000,
            "title": terminal.name,
            "env": { "TERM": "xterm-256color" },
        });
        (header, (terminal.cols, terminal.rows))
    };
    writeln!(file, "{header}").with_context(|| format!("cannot write {}", path.display()))?;
    let changed = session.subscribe();
    session.change(|inner| {
        let cast = Cast {
            session: Arc::clone(session),
            number,
            file: File::from_std(file),
            since: Instant::now(),
            size,
            written: 0,
            cut: Vec::new(),
            _writing: writing,
        };
        let task = Some(tokio::spawn(cast.follow(changed)));
        inner.recorder = Some(Recorder { number, position: from, stalled: false, until: None, task });
        inner.terminal.recording = Some(path.to_string_lossy().into_owned());
    });
    Ok(())
}

/// Ends a recording with what was printed until now.
pub(super) fn stop(session: &Session) {
    session.change(|inner| {
        let end = inner.output.end();
        if let Some(recorder) = &mut inner.recorder {
            recorder.until.get_or_insert(end);
        }
        inner.terminal.recording = None;
    });
}

/// Waits until everything printed is recorded, in bounds.
pub(super) async fn finish(session: &Session) {
    let task = session.change(|inner| {
        let end = inner.output.end();
        let recorder = inner.recorder.as_mut()?;
        recorder.until.get_or_insert(end);
        recorder.task.take()
    });
    if let Some(task) = task {
        let _ = timeout(FINISH, task).await;
    }
}

struct Cast {
    session: Arc<Session>,
    number: u64,
    file: File,
    since: Instant,
    size: (u16, u16),
    written: u64,
    /// The beginning of a character whose end was not printed yet.
    cut: Vec<u8>,
    _writing: Writing,
}

enum Piece {
    Output(Vec<u8>),
    Resized(u16, u16),
    /// So many bytes were printed faster than they could be written.
    Gap(u64),
    Nothing,
    Over,
}

impl Cast {
    async fn follow(mut self, mut changed: watch::Receiver<()>) {
        if let Err(error) = self.write(&mut changed).await {
            tracing::warn!(terminal.id = %self.session.id, %error, "a recording ended early: it cannot be written");
            self.session.change(|inner| inner.terminal.recording = None);
        }
        let mut inner = self.session.lock();
        if inner.recorder.as_ref().is_some_and(|recorder| recorder.number == self.number) {
            inner.recorder = None;
        }
        drop(inner);
        self.session.room.notify_one();
    }

    async fn write(&mut self, changed: &mut watch::Receiver<()>) -> std::io::Result<()> {
        loop {
            changed.borrow_and_update();
            match self.next() {
                Piece::Output(data) => {
                    let text = self.text(&data);
                    self.line("o", &text).await?;
                }
                Piece::Resized(cols, rows) => self.line("r", &format!("{cols}x{rows}")).await?,
                Piece::Gap(missing) => self.line("m", &format!("{missing} bytes are missing")).await?,
                Piece::Nothing if changed.changed().await.is_ok() => {}
                Piece::Nothing | Piece::Over => return self.file.flush().await,
            }
            if self.written >= MOST {
                self.line("m", "the recording is full").await?;
                self.session.change(|inner| inner.terminal.recording = None);
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Piece {
        let mut guard = self.session.lock();
        let inner = &mut *guard;
        let size = (inner.terminal.cols, inner.terminal.rows);
        let (start, end) = (inner.output.start(), inner.output.end());
        let Some(recorder) = inner.recorder.as_mut().filter(|recorder| recorder.number == self.number) else {
            return Piece::Over;
        };
        let until = recorder.until.unwrap_or(u64::MAX);
        recorder.stalled = false;
        if size != self.size {
            self.size = size;
            return Piece::Resized(size.0, size.1);
        }
        if recorder.position < start {
            let missing = start - recorder.position;
            recorder.position = start;
            return Piece::Gap(missing);
        }
        let most = until.min(end).saturating_sub(recorder.position);
        if most > 0 {
            let data =
                inner.output.copy(recorder.position, usize::try_from(most).unwrap_or(PIECE).min(PIECE));
            recorder.position += data.len() as u64;
            self.session.room.notify_one();
            return Piece::Output(data);
        }
        if recorder.position >= until { Piece::Over } else { Piece::Nothing }
    }

    /// As text, with what is no text marked; a character cut in the middle waits for its end.
    fn text(&mut self, data: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.cut);
        bytes.extend_from_slice(data);
        let mut text = String::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, behind) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(odd) = error.error_len() else {
                        self.cut = behind.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &behind[odd..];
                }
            }
        }
    }

    async fn line(&mut self, kind: &str, text: &str) -> std::io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a>(f64, &'a str, &'a str);
        if text.is_empty() {
            return Ok(());
        }
        let micros = self.since.elapsed().as_micros();
        let seconds = f64::from(u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX))
            + f64::from(u32::try_from(micros % 1_000_000).unwrap_or(0)) / 1e6;
        let mut line = serde_json::to_vec(&Line(seconds, kind, text))?;
        line.push(b'\n');
        self.file.write_all(&line).await?;
        self.written += line.len() as u64;
        self.file.flush().await
    }
}
