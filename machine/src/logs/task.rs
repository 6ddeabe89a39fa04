//! What a task printed, as far as it is on this device: what the server has all of is let go here.

use std::{io, path::Path};

use foreman_protocol::{LogKind, LogLine, LogReason, LogSource, TaskId};

use super::{
    OpenError, Why,
    filter::Filter,
    lines::{Line, Lines},
    steps::{State, Step, Steps},
    stream::Item,
    tail,
    wake::Wake,
};
use crate::run::{OutputReader, Piece, TaskFolder};

/// Bytes read in one step.
const PIECE: usize = 32 << 10;
const GONE: &str = "This device does not hold the task's output any more: the server has all of it. Read it on the task's page.";

/// One task's output, read line by line.
pub(super) struct TaskLog {
    folder: TaskFolder,
    output: OutputReader,
    at: u64,
    lines: Lines,
    filter: Filter,
    follow: bool,
    items: Vec<Item>,
}

/// What is asked of a task.
pub(super) struct Wanted<'a> {
    pub id: &'a str,
    pub filter: Filter,
    pub lines: usize,
    pub follow: bool,
    pub after: Option<String>,
}

pub(super) fn open(tasks: &Path, wanted: Wanted<'_>) -> Result<TaskLog, OpenError> {
    let Wanted { id, filter, lines, follow, after } = wanted;
    let Ok(id) = id.parse::<TaskId>() else {
        let message = "A task is named by its id.".to_owned();
        return Err(OpenError::Invalid { field: "source", message });
    };
    let folder = TaskFolder::at(tasks.join(id.to_string()));
    if !folder.path().is_dir() {
        return Err(OpenError::NotFound(GONE.to_owned()));
    }
    let told = |error: io::Error| {
        OpenError::Unavailable(
            Why::said(error).within(|error| format!("The output cannot be read: {error}.")),
        )
    };
    let mut output = OutputReader::of(&folder);
    let mut items = Vec::new();
    let at = match after {
        Some(cursor) => {
            cursor.strip_prefix("t:").and_then(|at| at.parse().ok()).ok_or_else(OpenError::cursor)?
        }
        None => {
            let begin = match output.read(0, 1).map_err(told)? {
                Piece::Gap { to } => to,
                Piece::Bytes(_) | Piece::NothingYet => 0,
            };
            let end = output.end().map_err(told)?;
            let at = tail::start(begin..end.max(begin), lines, &filter, |at, most| {
                match output.read(at, most)? {
                    Piece::Bytes(bytes) => Ok(bytes),
                    Piece::Gap { .. } | Piece::NothingYet => Ok(Vec::new()),
                }
            })
            .map_err(told)?;
            // The lines before were asked for, and are let go.
            if begin > 0 && at == begin {
                items.push(Item::Gap);
            }
            at
        }
    };
    Ok(TaskLog { folder, output, at, lines: Lines::new(at), filter, follow, items })
}

/// The tasks whose output is here, the newest first.
pub(super) fn list(tasks: &Path) -> Vec<LogSource> {
    let Ok(entries) = std::fs::read_dir(tasks) else { return Vec::new() };
    let mut ids: Vec<TaskId> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let source = |id: TaskId| {
        let folder = TaskFolder::at(tasks.join(id.to_string()));
        let started = folder.started().is_some_and(|started| started.at.same_boot());
        let active = started && folder.exit().is_none();
        LogSource { id: format!("task:{id}"), kind: LogKind::Task, name: id.to_string(), active }
    };
    ids.into_iter().map(source).collect()
}

impl TaskLog {
    /// What of the output is missing at its end, for people.
    fn missing(&self) -> Option<Why> {
        let all_here = self.folder.exit().is_some_and(|exit| exit.output_total <= self.at);
        (!all_here).then(|| Why::new(LogReason::WithServer, GONE))
    }

    fn take(&mut self, bytes: &[u8]) -> Option<String> {
        let Self { lines, filter, items, at, .. } = self;
        *at += bytes.len() as u64;
        let (mut last, before) = (None, items.len());
        lines.feed(bytes, |line| {
            last = Some(line.end);
            items.extend(item(line, filter));
        });
        last.filter(|_| items.len() == before).map(cursor)
    }

    fn finish_line(&mut self) {
        if let Some(line) = self.lines.rest() {
            self.items.extend(item(line, &mut self.filter));
        }
    }

    fn read(&mut self) -> io::Result<(State, Option<String>)> {
        // Asked before reading: what was written before the end is then read.
        let ended = self.folder.exit().is_some() || !self.folder.path().is_dir();
        let piece = match self.output.read(self.at, PIECE) {
            // Let go between being found and being opened.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((State::Idle, None)),
            piece => piece?,
        };
        match piece {
            Piece::Bytes(bytes) => {
                let reached = self.take(&bytes);
                return Ok((State::More, reached));
            }
            Piece::Gap { to } => {
                self.finish_line();
                self.items.push(Item::Gap);
                self.at = to;
                self.lines = Lines::new(to);
                return Ok((State::More, None));
            }
            Piece::NothingYet => {}
        }
        if !ended && self.follow {
            return Ok((State::Idle, None));
        }
        self.finish_line();
        Ok((State::Over(if ended { self.missing() } else { None }), None))
    }
}

impl Steps for TaskLog {
    fn step(&mut self) -> io::Result<Step> {
        let (state, reached) = self.read()?;
        Ok(Step { items: std::mem::take(&mut self.items), reached, state })
    }

    fn watch(&self, wake: &Wake) {
        // Output comes in the one, the ending in the other.
        wake.folder(&self.folder.path().join("out"));
        wake.folder(self.folder.path());
    }
}

fn item(line: Line, filter: &mut Filter) -> Option<Item> {
    let (wanted, level) = filter.judge(&line.text, None);
    wanted.then(|| Item::Line {
        cursor: cursor(line.end),
        line: LogLine { at: None, level, from: None, text: line.text },
    })
}

fn cursor(offset: u64) -> String {
    format!("t:{offset}")
}
