//! A vendor's tool that keeps running and prints a line now and then, and the newest of what it said.

use std::{
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::Command,
    task::JoinHandle,
    time::Instant,
};

use crate::probe::Group;

/// The longest line that is read, in bytes; the rest of a longer one is read as lines of their own.
const LINE_LIMIT: u64 = 8 * 1024;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A tool that ran this long did start properly; the next pause is short again.
const PROPER_RUN: Duration = Duration::from_secs(60);
/// After so many intervals of silence the last report is not news any more.
const STALE_AFTER: u32 = 3;

struct Report<T> {
    value: T,
    at: Instant,
}

type Shared<T> = Arc<Mutex<Option<Report<T>>>>;

/// Runs the tool, starts it again when it ends, and kills it and its children when dropped.
#[derive(Debug)]
pub(super) struct Reporter<T> {
    latest: Shared<T>,
    task: JoinHandle<()>,
    stale_after: Duration,
}

impl<T> std::fmt::Debug for Report<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Report({:?})", self.at)
    }
}

impl<T: Clone + Default + Send + 'static> Reporter<T> {
    /// Runs what `command` makes; `take` folds each line into the newest report and says whether it was one.
    pub(super) fn start(
        interval: Duration,
        command: impl Fn() -> Command + Send + 'static,
        take: fn(&mut T, &str) -> bool,
    ) -> Self {
        let latest: Shared<T> = Arc::default();
        let task = tokio::spawn(keep_running(latest.clone(), command, take));
        Self { latest, task, stale_after: interval * STALE_AFTER }
    }

    /// What the tool said last, unless it has been silent for three intervals.
    pub(super) fn latest(&self) -> Option<T> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let report = latest.as_ref()?;
        (report.at.elapsed() < self.stale_after).then(|| report.value.clone())
    }
}

impl<T> Drop for Reporter<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_running<T: Clone + Default>(
    latest: Shared<T>,
    command: impl Fn() -> Command,
    take: fn(&mut T, &str) -> bool,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let outcome = run_once(&latest, command(), take).await;
        if started.elapsed() >= PROPER_RUN {
            pause = FIRST_PAUSE;
        }
        tracing::debug!(?outcome, pause_s = pause.as_secs(), "a measuring tool ended and is started again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn run_once<T: Clone + Default>(
    latest: &Shared<T>,
    mut command: Command,
    take: fn(&mut T, &str) -> bool,
) -> std::io::Result<()> {
    command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn()?;
    let mut group = Group::of(&child);
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::with_capacity(1024, stdout);
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut reader).take(LINE_LIMIT).read_until(b'\n', &mut line).await? == 0 {
                break;
            }
            keep(latest, take, &String::from_utf8_lossy(&line));
        }
    }
    child.wait().await?;
    group.ended();
    Ok(())
}

fn keep<T: Clone + Default>(latest: &Shared<T>, take: fn(&mut T, &str) -> bool, line: &str) {
    let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
    let mut value = latest.as_ref().map(|report| report.value.clone()).unwrap_or_default();
    if take(&mut value, line.trim()) {
        *latest = Some(Report { value, at: Instant::now() });
    }
}
