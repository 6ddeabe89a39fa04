//! Programs that know the logs (`journalctl`, `docker`): asked for a list within a time, or listened to line by line.
//!
//! A program that is listened to is read only as fast as its lines are taken. It ends, with all it started, when it is
//! dropped.

use std::{io, process::Stdio, time::Duration};

use foreman_protocol::LogReason;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::{Child, ChildStderr, ChildStdout},
};

use super::Why;
use crate::probe::{Group, Places};

/// The most a program may say when it is asked for a list, and of its complaints.
const MOST_SAID: u64 = 4 << 20;
const MOST_COMPLAINT: usize = 300;

/// What a program that was asked said.
pub(super) struct Said {
    pub text: String,
    pub complaint: String,
    pub success: bool,
}

/// Runs a program to its end.
///
/// # Errors
/// In a few words for people: it is not installed, cannot be started, or took too long.
pub(super) async fn ask(places: &Places, program: &str, args: &[&str], limit: Duration) -> Result<Said, Why> {
    let mut running = Running::start(places, program, args, 0)?;
    let asked = async {
        let Running { out, err, .. } = &mut running;
        let (text, complaint) = tokio::try_join!(out.rest(), err.rest()).map_err(unread)?;
        Ok::<_, Why>((text, complaint, running.ended().await))
    };
    let late = |_| Why::new(LogReason::TooSlow, format!("took longer than {} s", limit.as_secs()));
    let (text, complaint, success) = tokio::time::timeout(limit, asked).await.map_err(late)??;
    if text.len() as u64 >= MOST_SAID {
        return Err(Why::said("said too much"));
    }
    Ok(Said { text: String::from_utf8_lossy(&text).into_owned(), complaint: first_line(&complaint), success })
}

/// A program that is listened to.
pub(super) struct Running {
    pub out: Reader<ChildStdout>,
    pub err: Reader<ChildStderr>,
    child: Child,
    group: Group,
}

impl Running {
    /// Lines longer than this are cut.
    ///
    /// # Errors
    /// In a few words for people.
    pub(super) fn start(places: &Places, program: &str, args: &[&str], longest: usize) -> Result<Self, Why> {
        let mut command = places.command(program).map_err(|_| Why::not_installed())?;
        command.args(args).stderr(Stdio::piped());
        let told = |error| Why::said(error).within(|error| format!("cannot be started: {error}"));
        let mut child = command.spawn().map_err(told)?;
        let group = Group::of(&child);
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Why::said("cannot be listened to"));
        };
        Ok(Self { out: Reader::new(out, longest), err: Reader::new(err, longest), child, group })
    }

    /// Waits for the end and says whether it was a good one.
    pub(super) async fn ended(&mut self) -> bool {
        let success = self.child.wait().await.is_ok_and(|status| status.success());
        self.group.ended();
        success
    }

    /// What it complains about once it has ended.
    pub(super) async fn complaint(&mut self) -> String {
        let complaint = self.err.rest().await.unwrap_or_default();
        first_line(&complaint)
    }
}

pub(super) fn unread(error: io::Error) -> Why {
    Why::said(error).within(|error| format!("cannot be read: {error}"))
}

fn first_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(MOST_COMPLAINT).collect()
}

/// A program's lines, each up to a length. Nothing is lost when a line is not waited for to its end.
pub(super) struct Reader<R> {
    from: BufReader<R>,
    held: Vec<u8>,
    longest: usize,
    cut: bool,
}

/// One line without its break. What is longer than it may be is cut.
pub(super) struct Cut {
    pub bytes: Vec<u8>,
    pub cut: bool,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    fn new(from: R, longest: usize) -> Self {
        Self { from: BufReader::new(from), held: Vec::new(), longest, cut: false }
    }

    /// The next line; `None` at the end.
    pub(super) async fn line(&mut self) -> io::Result<Option<Cut>> {
        loop {
            let bytes = self.from.fill_buf().await?;
            if bytes.is_empty() {
                return Ok((self.cut || !self.held.is_empty()).then(|| self.complete()));
            }
            let end = memchr::memchr(b'\n', bytes);
            let line = &bytes[..end.unwrap_or(bytes.len())];
            let room = self.longest.saturating_sub(self.held.len());
            self.cut |= line.len() > room;
            self.held.extend_from_slice(&line[..line.len().min(room)]);
            let used = line.len() + usize::from(end.is_some());
            self.from.consume(used);
            if end.is_some() {
                return Ok(Some(self.complete()));
            }
        }
    }

    fn complete(&mut self) -> Cut {
        Cut { bytes: std::mem::take(&mut self.held), cut: std::mem::take(&mut self.cut) }
    }

    async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.held);
        (&mut self.from).take(MOST_SAID).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }
}
