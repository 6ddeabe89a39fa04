//! A child process: what it says, and its end.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
    task::JoinHandle,
};

use crate::soon;

/// The folder with `foreman-server`, `foreman-agent` and `foreman`: `FOREMAN_PROGRAMS`, or built now, once.
///
/// # Panics
/// When they cannot be built.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os("FOREMAN_PROGRAMS") {
            return PathBuf::from(folder);
        }
        // A test is at target/debug/deps/name-hash, a program at target/release/name.
        let this = std::env::current_exe().expect("this program has a path");
        let folder =
            this.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("it lies in a folder");
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--bins",
            "-p",
            "mgmt-api",
            "-p",
            "foreman-agent",
            "-p",
            "foreman-cli",
        ]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let built =
            cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status().expect("cargo runs");
        assert!(built.success(), "the programs under test could not be built");
        folder.to_owned()
    })
}

/// One of our programs with a clean environment: nothing of the caller's Foreman, no proxies.
#[must_use]
pub fn command(name: &str) -> Command {
    clean(Command::new(folder().join(name)))
}

/// Takes out of a command's environment what could change what is tested.
#[must_use]
pub fn clean(mut command: Command) -> Command {
    const PREFIXES: [&str; 4] = ["FOREMAN_", "ALLOW", "BLOCKED_", "DATABASE_URL"];
    for (name, _) in std::env::vars() {
        if PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name.to_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command
}

/// Everything a program and its successors have said, on both outputs.
#[derive(Clone)]
pub struct Said {
    lines: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
}

impl Default for Said {
    fn default() -> Self {
        Self { lines: Arc::default(), count: watch::Sender::new(0) }
    }
}

impl Said {
    fn add(&self, line: String) {
        let mut lines = self.lines.lock().expect("nobody panics here");
        lines.push(line);
        self.count.send_replace(lines.len());
    }

    /// How many lines so far, to wait for something after this point.
    #[must_use]
    pub fn len(&self) -> usize {
        *self.count.borrow()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn text(&self) -> String {
        self.lines.lock().expect("nobody panics here").join("\n")
    }

    fn find(&self, from: usize, what: &str) -> Option<String> {
        self.lines
            .lock()
            .expect("nobody panics here")
            .iter()
            .skip(from)
            .find(|line| line.contains(what))
            .cloned()
    }

    fn tail(&self) -> String {
        let lines = self.lines.lock().expect("nobody panics here");
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// A running child process. It is killed when this is dropped.
pub struct Program {
    name: String,
    child: Child,
    said: Said,
    /// Where this process began in what was said.
    from: usize,
    /// Who listens to its two outputs, until both end.
    listeners: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts it; `input` becomes its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, command: Command, said: Said, input: &str) -> Self {
        let (program, mut stdin) = Self::start_held(name, command, said);
        let input = input.to_owned();
        tokio::spawn(async move {
            // A program that does not read its input closes it.
            let _ = stdin.write_all(input.as_bytes()).await;
        });
        program
    }

    /// Starts it with a standard input that ends when the caller lets go of it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_held(name: &str, mut command: Command, said: Said) -> (Self, ChildStdin) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let from = said.len();
        let listeners = vec![
            listen(name, child.stdout.take(), said.clone()),
            listen(name, child.stderr.take(), said.clone()),
        ];
        let stdin = child.stdin.take().expect("it was piped");
        (Self { name: name.to_owned(), child, said, from, listeners }, stdin)
    }

    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name))
    }

    /// The first line of this process that contains `what`, as soon as it is said.
    ///
    /// # Panics
    /// When it ends or is silent about it for too long.
    pub async fn line(&mut self, what: &str) -> String {
        self.line_after(self.from, what).await
    }

    /// The same, among the lines after the first `from`.
    ///
    /// # Panics
    /// When it ends or is silent about it for too long.
    pub async fn line_after(&mut self, from: usize, what: &str) -> String {
        let mut count = self.said.count.subscribe();
        let said = self.said.clone();
        let wait = async {
            loop {
                count.borrow_and_update();
                if let Some(line) = said.find(from, what) {
                    return line;
                }
                tokio::select! {
                    changed = count.changed() => changed.expect("the sender lives"),
                    ended = self.child.wait() => {
                        hear_out(&mut self.listeners).await;
                        if let Some(line) = said.find(from, what) { return line; }
                        panic!("{} ended ({ended:?}) without saying {what:?}:\n{}", self.name, said.tail());
                    }
                }
            }
        };
        match tokio::time::timeout(crate::PATIENCE, wait).await {
            Ok(line) => line,
            Err(_) => panic!("{} never said {what:?}:\n{}", self.name, said.tail()),
        }
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Panics
    /// When it had ended before.
    pub async fn kill(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("{} had ended by itself ({status}):\n{}", self.name, self.said.tail());
        }
        self.child.kill().await.expect("it can be killed");
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("process ids are small");
        kill(Pid::from_raw(pid), signal).expect("the process is ours");
    }

    /// Asks it to end and waits.
    ///
    /// # Panics
    /// When it does not.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }

    /// Waits for its end, and until all that it said is heard.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = soon("the end of a program", self.child.wait()).await.expect("it is our child");
        hear_out(&mut self.listeners).await;
        status
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} said last:\n{}\n---", self.name, self.said.tail());
        }
    }
}

fn listen(name: &str, stream: Option<impl AsyncRead + Unpin + Send + 'static>, said: Said) -> JoinHandle<()> {
    let stream = stream.unwrap_or_else(|| panic!("{name} was piped"));
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            said.add(String::from_utf8_lossy(&line).into_owned());
        }
    })
}

/// Waits until all that an ended program said is heard. A child that it left behind may hold its outputs
/// open: that one is not waited for.
async fn hear_out(listeners: &mut Vec<JoinHandle<()>>) {
    let all = async {
        for listener in listeners.drain(..) {
            listener.await.expect("listening does not panic");
        }
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), all).await;
}
