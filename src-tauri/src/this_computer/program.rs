//! One program that runs beside the app: started with a log of its own, ended in order, and found again when an app
//! that was killed left it behind.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::file_name;
use crate::failure::{AppCode, Failure};

/// After this long without an end it is killed; what was acknowledged is safe in the database.
const END_LIMIT: Duration = Duration::from_secs(10);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// Programs of a console would each open one beside the app, and end when somebody closes it.
#[cfg(windows)]
const CREATE_NO_WINDOW: u32 = 0x0800_0000;
/// Of a log, shown when a program fails.
const LAST_WORDS: usize = 600;

/// A program that can be started.
pub struct Here<'a> {
    pub path: PathBuf,
    pub name: &'static str,
    pub folder: &'a Path,
}

/// A program that was started.
pub struct Program {
    child: Child,
    said: Option<Lines<BufReader<ChildStdout>>>,
    log: PathBuf,
    pid_file: PathBuf,
}

impl<'a> Here<'a> {
    /// One of the programs that are in `from`; `folder` is the app's.
    pub fn of(from: &Path, name: &'static str, folder: &'a Path) -> Self {
        Self { path: from.join(file_name(&format!("foreman-{name}"))), name, folder }
    }

    pub fn start(self, args: &[&OsStr]) -> Result<Program, Failure> {
        let pid_file = self.folder.join(format!("{}.pid", self.name));
        end_left_behind(&pid_file, self.folder);
        let log = self.folder.join(format!("{}.log", self.name));
        let mut command = self.command(args);
        // Where no signal asks a program to end, the end of its input does, also when this app ended by itself.
        if cfg!(windows) {
            command.arg("--end-with-input").stdin(Stdio::piped());
        } else {
            command.stdin(Stdio::null());
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(fresh(&log).map_err(|error| self.failed(&error.to_string()))?)
            .spawn()
            .map_err(|error| self.failed(&error.to_string()))?;
        let pid = child.id().map(|pid| pid.to_string()).unwrap_or_default();
        fs::write(&pid_file, pid).map_err(|error| self.failed(&error.to_string()))?;
        let said = child.stdout.take().map(|out| BufReader::new(out).lines());
        Ok(Program { child, said, log, pid_file })
    }

    /// Runs it to its end and gives what it printed; what it reads goes through a pipe, where nobody sees it.
    pub async fn output(self, args: &[&OsStr], input: Option<&str>) -> Result<String, Failure> {
        let output = self.run(args, input).await?;
        if !output.status.success() {
            return Err(self.failed(last_words(&String::from_utf8_lossy(&output.stderr))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// What it printed, and what it complained of, however it ended.
    pub async fn heard(self, args: &[&OsStr]) -> Result<(String, String), Failure> {
        let output = self.run(args, None).await?;
        let words = |said: &[u8]| last_words(&String::from_utf8_lossy(said)).to_owned();
        Ok((words(&output.stdout), words(&output.stderr)))
    }

    async fn run(&self, args: &[&OsStr], input: Option<&str>) -> Result<Output, Failure> {
        let run = async {
            let mut child = self
                .command(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
                stdin.write_all(input.as_bytes()).await?;
            }
            child.wait_with_output().await
        };
        tokio::time::timeout(COMMAND_LIMIT, run)
            .await
            .map_err(|_| self.failed("it did not end"))?
            .map_err(|error| self.failed(&error.to_string()))
    }

    fn command(&self, args: &[&OsStr]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).env("NO_COLOR", "1");
        // What is set for other Foremans on this machine is not meant for these.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("FOREMAN_") || name == "DATABASE_URL") {
                command.env_remove(name);
            }
        }
        // Not in the app's process group: Ctrl-C in a terminal is the app's to answer.
        #[cfg(unix)]
        command.process_group(0);
        #[cfg(windows)]
        command.creation_flags(CREATE_NO_WINDOW);
        command
    }

    fn failed(&self, why: &str) -> Failure {
        let message = format!("foreman-{} could not be started: {why}", self.name);
        Failure::new(AppCode::ProgramFailed, message)
    }
}

impl Program {
    /// What follows `beginning` in the first line that has it.
    pub async fn says(&mut self, beginning: &str, limit: Duration) -> Result<String, Failure> {
        let look = async {
            let said = self.said.as_mut()?;
            while let Ok(Some(line)) = said.next_line().await {
                if let Some(rest) = line.strip_prefix(beginning) {
                    return Some(rest.trim().to_owned());
                }
            }
            None
        };
        let found = tokio::time::timeout(limit, look).await.ok().flatten();
        // A pipe that nobody reads would fill.
        if let Some(mut rest) = self.said.take() {
            tokio::spawn(async move { while let Ok(Some(_)) = rest.next_line().await {} });
        }
        found.ok_or_else(|| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let message = format!("The server could not start. Its last words: {}", last_words(&log));
            Failure::new(AppCode::ProgramFailed, message)
        })
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub async fn end(mut self) {
        #[cfg(unix)]
        ask_to_end(self.child.id());
        // Waiting lets go of its input, too.
        if tokio::time::timeout(END_LIMIT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        let _ = fs::remove_file(&self.pid_file);
    }
}

fn last_words(text: &str) -> &str {
    let text = text.trim();
    let from = text.char_indices().rev().nth(LAST_WORDS).map_or(0, |(at, _)| at);
    &text[from..]
}

/// An empty log; the one before is kept beside it.
fn fresh(log: &Path) -> std::io::Result<File> {
    let _ = fs::rename(log, log.with_extension("previous.log"));
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(log)
}

#[cfg(unix)]
fn ask_to_end(pid: Option<u32>) {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Ends what an app that was killed left behind: exactly the process of the file, and only while it is still a
/// program with this folder in its command line.
#[cfg(target_os = "linux")]
pub fn end_left_behind(pid_file: &Path, folder: &Path) {
    let Some(pid) = fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse::<u32>().ok()) else {
        return;
    };
    let ours = || {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy())
    };
    if !ours() {
        return;
    }
    ask_to_end(Some(pid));
    let until = std::time::Instant::now() + END_LIMIT;
    while ours() && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// On Windows what was left behind ends by itself; on a Mac it has to be ended by hand.
#[cfg(not(target_os = "linux"))]
pub fn end_left_behind(_pid_file: &Path, _folder: &Path) {}
