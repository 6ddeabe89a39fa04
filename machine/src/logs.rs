//! The logs of this machine: systemd's journal, files, containers, and what tasks printed.
//!
//! Each is read as lines with a level and a cursor. A cursor is where to go on: a reader that comes back with the last
//! one it saw gets every line after it once, or is told of the gap. Filtering is done here, so that what nobody wants
//! does not travel. Nothing is held whole in memory, however large a log or slow a reader is.
//!
//! This must not know who reads, nor how the lines travel.

mod container;
mod file;
mod filter;
mod journal;
mod level;
mod lines;
mod program;
mod steps;
mod stream;
mod tail;
mod task;
mod wake;
mod why;

use std::{ffi::OsString, path::PathBuf};

use foreman_protocol::{LogKind, LogLevel, LogSources, UnavailableLogs};
use tokio::task::spawn_blocking;

use crate::probe::Places;
use filter::Filter;
pub use stream::{Item, LogStream};
pub use why::Why;

/// Lines of the past that are given when nothing else is said, and the most that are.
pub const LINES: usize = 200;
pub const MOST_LINES: usize = 5_000;

/// Where systems keep logs as files. Any other file can be read as a log where files can be read.
pub const SYSTEM: &str = "/var/log";

/// Where the logs of this machine are.
#[derive(Debug, Clone)]
pub struct Logs {
    /// The policy's file. It is read when a file is opened.
    pub policy: PathBuf,
    /// The agent's directory: nothing in it is a log.
    pub state_dir: PathBuf,
    /// Where the system keeps logs as files, usually [`SYSTEM`].
    pub system: PathBuf,
    /// Where the tasks' folders are.
    pub tasks: PathBuf,
    /// Where programs are looked for; `None` is `PATH` and the places vendors install to.
    pub search_path: Option<OsString>,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// As [`foreman_protocol::LogSource::id`].
    pub source: String,
    /// So many of the past first, [`MOST_LINES`] at the most; those that pass the filter count.
    pub lines: usize,
    /// A regular expression; all in lower case it means capitals too.
    pub grep: Option<String>,
    /// This bad or worse.
    pub level: Option<LogLevel>,
    /// Go on with what is written from now on.
    pub follow: bool,
    /// Go on behind this cursor instead of giving the last lines.
    pub after: Option<String>,
}

/// Why a log cannot be read. The messages are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("{message}")]
    Invalid { field: &'static str, message: String },
    #[error("{0}")]
    NotFound(String),
    /// The device's own rules say no; the setting decides.
    #[error("{message}")]
    Refused { setting: &'static str, message: String },
    /// It exists and cannot be read now, or not by the agent.
    #[error("{0}")]
    Unavailable(Why),
}

impl OpenError {
    fn cursor() -> Self {
        let message = "This cursor is not one of this log; read it from its end instead.".to_owned();
        Self::Invalid { field: "Last-Event-ID", message }
    }
}

impl Logs {
    /// What there is to read, and what cannot be read with the reason.
    pub async fn sources(&self) -> LogSources {
        let places = self.places();
        let (tasks, rules) = (self.tasks.clone(), self.rules());
        let on_disk = spawn_blocking(move || (task::list(&tasks), file::list(&rules)));
        let (journal, containers, on_disk) =
            tokio::join!(journal::list(&places), container::list(&places), on_disk);
        let (tasks, files) = on_disk.unwrap_or_default();
        let mut all = LogSources::default();
        let kinds = [
            (LogKind::Journal, journal),
            (LogKind::Task, Ok(tasks)),
            (LogKind::Container, containers),
            (LogKind::File, Ok(files)),
        ];
        for (kind, sources) in kinds {
            match sources {
                Ok(sources) => all.sources.extend(sources),
                Err(Why { reason, detail, text }) => {
                    let code = Some(reason);
                    all.unavailable.push(UnavailableLogs { kind, reason: text, code, detail });
                }
            }
        }
        all
    }

    /// Opens one log. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When the request cannot be understood, or the source is not there, forbidden, or not readable.
    pub async fn open(&self, request: Request) -> Result<LogStream, OpenError> {
        let filter = Filter::new(request.grep.as_deref(), request.level)?;
        let lines = request.lines.min(MOST_LINES);
        let Request { source, follow, after, .. } = request;
        let (kind, name) =
            source.split_once(':').map_or((source.as_str(), None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("journal", unit) => {
                let unit = unit.map(str::to_owned);
                let journal = journal::Journal { places: self.places(), unit, filter, lines, follow, after };
                journal.check()?;
                Ok(LogStream::start(|out| journal.run(out)))
            }
            ("task", Some(id)) => {
                let (tasks, id) = (self.tasks.clone(), id.to_owned());
                let open = move || task::open(&tasks, task::Wanted { id: &id, filter, lines, follow, after });
                let task = away(open).await?;
                Ok(LogStream::start(|out| steps::run(task, out)))
            }
            ("file", Some(path)) => {
                let (path, rules) = (PathBuf::from(path), self.rules());
                let file =
                    away(move || file::open(file::Wanted { path, rules, filter, lines, follow, after }))
                        .await?;
                Ok(LogStream::start(|out| steps::run(file, out)))
            }
            ("container", Some(name)) => {
                let (places, name) = (self.places(), name.to_owned());
                let wanted = container::Wanted { places, name, filter, lines, follow, after };
                let container = container::Container::find(wanted).await?;
                Ok(LogStream::start(|out| container.run(out)))
            }
            _ => Err(OpenError::Invalid {
                field: "source",
                message: "A source is journal, journal:UNIT, task:ID, file:PATH or container:NAME."
                    .to_owned(),
            }),
        }
    }

    /// Whether a source that is being read may still be read: the rules may have changed since.
    ///
    /// # Errors
    /// [`OpenError::Refused`] when it may not.
    pub async fn still_allowed(&self, source: &str) -> Result<(), OpenError> {
        let Some(path) = source.strip_prefix("file:").map(PathBuf::from) else { return Ok(()) };
        let rules = self.rules();
        match spawn_blocking(move || rules.open(&path)).await {
            Ok(Err(refused @ OpenError::Refused { .. })) => Err(refused),
            _ => Ok(()),
        }
    }

    fn places(&self) -> Places {
        Places::new(self.search_path.as_deref())
    }

    fn rules(&self) -> file::Rules {
        file::Rules {
            policy: self.policy.clone(),
            private: self.state_dir.clone(),
            system: self.system.clone(),
        }
    }
}

/// Opens what is on a disk away from the runtime.
async fn away<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    spawn_blocking(open).await.unwrap_or_else(|error| Err(OpenError::Unavailable(Why::said(error))))
}
