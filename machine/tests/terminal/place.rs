//! Terminals of their own for one test, and a client that reads frames.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use foreman_machine::terminal::{OpenError, Opener, Setup, Terminals, Typing, Watching};
use foreman_protocol::{
    LinkUse, OpenTerminal, Policy, Terminal, TerminalEnded, TerminalFrame, TerminalId, TerminalState,
};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

/// Nothing here should take longer; a test that would hang says where instead.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Place {
    pub terminals: Terminals,
    pub used: UnboundedReceiver<LinkUse>,
    folder: tempfile::TempDir,
}

pub struct Client {
    pub typing: Typing,
    pub watching: Watching,
    /// Everything shown, and the offset of its first byte.
    pub shown: Vec<u8>,
    pub start: u64,
    pub gaps: usize,
    pub state: Option<TerminalState>,
    pub accepted: u64,
    sent: u64,
}

pub fn opener() -> Opener {
    Opener { name: "mia".to_owned(), owner: "key".to_owned() }
}

pub fn shell(line: &str) -> OpenTerminal {
    let command = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    OpenTerminal { command, ..OpenTerminal::default() }
}

impl Place {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, used) = unbounded_channel();
        // What the test runner prints must not be in the terminal.
        let quiet = ["/bin/sh", "-c", "exec \"$0\" \"$@\" >/dev/null 2>&1"].map(Into::into);
        let own = std::env::current_exe().unwrap();
        let entry = ["holder_entry", "--exact", "--nocapture", "--"].map(Into::into);
        let mut setup = Setup {
            holder: quiet.into_iter().chain([own.into()]).chain(entry).collect(),
            recordings: folder.path().join("recordings"),
            hidden_env: "CARGO_",
            grace: Duration::from_millis(500),
            kept: Duration::from_secs(600),
            on_use: Box::new(move |used| {
                let _ = sender.send(used);
            }),
        };
        change(&mut setup);
        Self { terminals: Terminals::new(setup), used, folder }
    }

    pub fn folder(&self) -> String {
        self.folder.path().canonicalize().unwrap().to_string_lossy().into_owned()
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn policy(&self) -> Policy {
        Policy { allow_bash: true, ..Policy::default() }
    }

    pub async fn request(&self, request: OpenTerminal) -> Result<Terminal, OpenError> {
        self.terminals.open(&self.policy(), request, opener()).await
    }

    /// A terminal that runs this line, with a writer.
    pub async fn open(&self, line: &str) -> Client {
        let terminal = self.request(shell(line)).await.unwrap();
        self.attach(terminal.id, 0, Some("first"))
    }

    pub fn attach(&self, id: TerminalId, from: u64, writer: Option<&str>) -> Client {
        let (typing, watching) = self.terminals.attach(id, from, writer).unwrap();
        Client {
            typing,
            watching,
            shown: Vec::new(),
            start: from,
            gaps: 0,
            state: None,
            accepted: 0,
            sent: 0,
        }
    }

    /// Until it is told that this terminal has ended; who ended it.
    pub async fn hear_end(&mut self, id: TerminalId) -> String {
        loop {
            let used = timeout(PATIENCE, self.used.recv()).await.expect("no word of the end").unwrap();
            match used {
                LinkUse::TerminalEnded { terminal_id, by } if terminal_id == id => return by,
                _ => {}
            }
        }
    }
}

impl Client {
    pub fn id(&self) -> TerminalId {
        self.state.as_ref().expect("not told yet").terminal.id
    }

    pub async fn type_line(&mut self, line: &str) {
        let data = format!("{line}\n").into_bytes();
        let offset = self.sent;
        self.sent += data.len() as u64;
        self.typing.send(TerminalFrame::Input { offset, data }).await;
    }

    /// Takes the next frame in; the ending when it is the last one.
    pub async fn take(&mut self) -> Option<TerminalEnded> {
        let next = timeout(PATIENCE, self.watching.next()).await;
        match next
            .unwrap_or_else(|_| panic!("nothing behind {:?}", self.text()))
            .expect("nothing behind the end")
        {
            TerminalFrame::Output { offset, data } => {
                assert!(!data.is_empty());
                assert_eq!(offset, self.start + self.shown.len() as u64, "a hole or an echo in the output");
                self.shown.extend(data);
            }
            TerminalFrame::Gap { start } => {
                assert!(start > self.start + self.shown.len() as u64);
                self.gaps += 1;
                self.shown.clear();
                self.start = start;
            }
            TerminalFrame::State(state) => self.state = Some(*state),
            TerminalFrame::InputAccepted { received } => self.accepted = received,
            TerminalFrame::Ended(ended) => return Some(ended),
            odd => panic!("{odd:?} is no frame of a device"),
        }
        None
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    pub async fn until(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert_eq!(self.take().await, None, "ended with {:?}", self.text());
        }
    }

    pub async fn until_state(&mut self, fits: impl Fn(&TerminalState) -> bool) {
        while !self.state.as_ref().is_some_and(&fits) {
            assert_eq!(self.take().await, None);
        }
    }

    pub async fn until_end(&mut self) -> (String, TerminalEnded) {
        loop {
            if let Some(ended) = self.take().await {
                assert_eq!(self.watching.next().await, None);
                return (self.text(), ended);
            }
        }
    }
}

/// For what nobody can be told of: the end of a process that is not ours.
pub async fn eventually(mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "it never became so");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Dead ones that nobody has waited for yet count as gone.
pub fn is_gone(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) || stat.contains(") Z ")
}

pub fn pids(text: &str) -> Vec<i32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}
