//! Real supervisors, real commands. The test program starts itself again as the supervisor and as an agent.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up should stop there"
)]

#[path = "../../journeys/src/skipped.rs"]
#[cfg(target_os = "linux")]
mod skipped;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use foreman_machine::run::{
    Ending, Exit, Launcher, Limits, News, OutputReader, Piece, RunSpec, StopCause, Supervised, TaskFolder,
    adopt, supervise,
};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Nothing here should take longer; a test that would hang says where instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// Not a test of its own: what the launcher below runs, with a folder as the last argument or none.
#[test]
fn supervisor_entry() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) != Some("supervisor_entry") {
        return;
    }
    let code = i32::from(supervise(args.get(4).map(Path::new)).is_err());
    std::process::exit(code);
}

/// Not a test of its own: an agent that starts a supervisor, says so, and hangs until it is killed.
#[test]
fn agent_entry() {
    let Ok(folder) = std::env::var("TEST_AGENT_FOLDER") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let supervised = launcher().launch(&TaskFolder::at(folder.into())).unwrap();
        println!("launched");
        std::future::pending::<()>().await;
        drop(supervised);
    });
}

fn launcher() -> Launcher {
    let args = ["supervisor_entry", "--exact", "--nocapture"].map(Into::into).to_vec();
    Launcher::new(std::env::current_exe().unwrap(), args, "FOREMAN_")
}

struct Task {
    _dir: tempfile::TempDir,
    folder: TaskFolder,
    reader: OutputReader,
    output: Vec<u8>,
}

impl Task {
    fn shell(line: &str) -> Self {
        Self::with(line, |_| {})
    }

    fn with(line: &str, change: impl FnOnce(&mut RunSpec)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("task");
        Self::at(dir, path, line, change)
    }

    fn at(dir: tempfile::TempDir, path: PathBuf, line: &str, change: impl FnOnce(&mut RunSpec)) -> Self {
        let mut spec = RunSpec {
            program: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), line.to_owned()],
            cwd: dir.path().to_owned(),
            env: [("GREETING".to_owned(), "hello".to_owned())].into(),
            timeout: None,
            limits: Limits::default(),
            cgroup: None,
        };
        change(&mut spec);
        let folder = TaskFolder::create(path, &spec).unwrap();
        let reader = OutputReader::of(&folder);
        Self { _dir: dir, folder, reader, output: Vec::new() }
    }

    fn launch(&self) -> Supervised {
        launcher().launch(&self.folder).unwrap()
    }

    /// Takes what is there, as an agent does; with `let_go` also removes it.
    fn take(&mut self, let_go: bool) -> bool {
        let before = self.output.len();
        loop {
            match self.reader.read(self.output.len() as u64, 256 * 1024).unwrap() {
                Piece::Bytes(bytes) => self.output.extend(bytes),
                Piece::NothingYet => break,
                Piece::Gap { to } => panic!("output before {to} is gone at {}", self.output.len()),
            }
        }
        let_go && self.reader.let_go(self.output.len() as u64).unwrap() > 0 || self.output.len() > before
    }

    async fn until_output(&mut self, supervised: &mut Supervised, wanted: &str) {
        while !self.text().contains(wanted) {
            let news = next(supervised).await;
            self.take(false);
            assert!(news == News::Activity || self.text().contains(wanted), "{news:?}: {}", self.text());
        }
    }

    async fn until_end(&mut self, supervised: &mut Supervised) -> Exit {
        loop {
            if self.take(true) {
                supervised.made_room();
            }
            let news = next(supervised).await;
            self.take(false);
            match news {
                News::Activity => {}
                // An agent that is slow to listen may only hear that the supervisor is gone.
                News::Ended | News::Gone => return self.folder.exit().expect("an ending"),
                other => panic!("{other:?}"),
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// The process ids printed as `pid N`.
    fn pids(&self) -> Vec<Pid> {
        let text = self.text();
        let pids = text.lines().filter_map(|line| line.strip_prefix("pid "));
        pids.map(|pid| Pid::from_raw(pid.trim().parse().unwrap())).collect()
    }
}

async fn next(supervised: &mut Supervised) -> News {
    tokio::time::timeout(PATIENCE, supervised.next()).await.expect("news in time")
}

fn is_alive(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

/// Bytes on disk in the task's output.
fn held(task: &Task) -> u64 {
    let entries = std::fs::read_dir(task.folder.path().join("out")).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn both_outputs_come_once_and_in_order() {
    let mut task = Task::shell(
        "echo $GREETING; i=0; while [ $i -lt 5000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; exit 3",
    );
    let mut supervised = task.launch();
    let exit = task.until_end(&mut supervised).await;
    let mut expected = "hello\n".to_owned();
    (0..5000).for_each(|i| expected += &format!("out {i}\nerr {i}\n"));
    assert_eq!(task.text(), expected);
    assert_eq!(exit.output_total, expected.len() as u64);
    assert_eq!((exit.ending, exit.stopped), (Ending::Code(3), None));
    assert!(task.folder.started().is_some());
    assert!(!task.folder.path().join("spec.json").exists(), "the environment stays on disk");
    assert_eq!(next(&mut supervised).await, News::Gone);
}

#[tokio::test]
async fn a_signal_is_told() {
    let mut task = Task::shell("kill -KILL $$");
    let mut supervised = task.launch();
    assert_eq!(task.until_end(&mut supervised).await.ending, Ending::Signal(9));
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let mut task = Task::with("", |spec| spec.program = "no-such-program-here".to_owned());
    let mut supervised = task.launch();
    let Ending::CouldNotStart(why) = task.until_end(&mut supervised).await.ending else {
        panic!("it started")
    };
    assert_eq!(why, "`no-such-program-here` was not found on this device.");

    let mut task = Task::with("", |spec| spec.cwd = "/no/such/place".into());
    let mut supervised = task.launch();
    let Ending::CouldNotStart(why) = task.until_end(&mut supervised).await.ending else {
        panic!("it started")
    };
    assert_eq!(why, "The directory /no/such/place does not exist on this device.");
}

#[tokio::test]
async fn a_task_outlives_a_killed_agent_and_is_found_again() {
    let mut task = Task::shell("echo before; while [ ! -e go ]; do sleep 0.02; done; echo after; exit 5");
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args(["agent_entry", "--exact", "--nocapture"])
        .env("TEST_AGENT_FOLDER", task.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(agent.stdout.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().contains("launched")));
    agent.kill().unwrap();
    agent.wait().unwrap();

    let since = Instant::now();
    let mut supervised = loop {
        if let Some(found) = adopt(&task.folder).unwrap() {
            break found;
        }
        assert!(since.elapsed() < PATIENCE, "no supervisor");
        tokio::task::yield_now().await;
    };
    let second = TaskFolder::create(task.folder.path().to_owned(), &any_spec());
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    std::fs::write(task.folder.path().parent().unwrap().join("go"), "").unwrap();
    let exit = task.until_end(&mut supervised).await;
    assert_eq!((exit.ending, task.text().as_str()), (Ending::Code(5), "before\nafter\n"));
    drop(supervised);
}

fn any_spec() -> RunSpec {
    RunSpec {
        program: "true".to_owned(),
        args: Vec::new(),
        cwd: "/".into(),
        env: Default::default(),
        timeout: None,
        limits: Limits::default(),
        cgroup: None,
    }
}

#[tokio::test]
async fn a_dead_supervisor_is_seen_at_once_and_its_task_is_not_started_again() {
    let mut task = Task::shell("echo pid $PPID; echo pid $$; exec sleep 1000");
    let mut supervised = task.launch();
    task.until_output(&mut supervised, "pid").await;
    while task.pids().len() < 2 {
        assert_eq!(next(&mut supervised).await, News::Activity);
        task.take(false);
    }
    kill(task.pids()[0], Signal::SIGKILL).unwrap();
    while next(&mut supervised).await != News::Gone {}
    assert!(adopt(&task.folder).unwrap().is_none());
    assert!(task.folder.exit().is_none() && task.folder.is_claimed());
    let mut second = task.launch();
    assert_eq!(next(&mut second).await, News::Taken);
    kill(task.pids()[1], Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn racing_supervisors_run_it_once() {
    let mut task = Task::shell("echo ran >> ran; exec sleep 0.3");
    let mut racers: Vec<Supervised> = (0..6).map(|_| task.launch()).collect();
    let mut taken = 0;
    for mut racer in racers.drain(..) {
        let mut first = next(&mut racer).await;
        if first == News::Activity {
            task.until_end(&mut racer).await;
            first = News::Ended;
        }
        taken += u32::from(first == News::Taken);
    }
    assert_eq!(taken, 5);
    let ran = std::fs::read_to_string(task.folder.path().parent().unwrap().join("ran")).unwrap();
    assert_eq!(ran, "ran\n");
}

#[tokio::test]
async fn one_launcher_starts_task_after_task() {
    let launcher = launcher();
    for round in 0..20 {
        let mut task = Task::shell(&format!("echo {round}; exit {round}"));
        let mut supervised = launcher.launch(&task.folder).unwrap();
        let exit = task.until_end(&mut supervised).await;
        assert_eq!((exit.ending, task.text()), (Ending::Code(round), format!("{round}\n")));
        // Every other one meets a spare that is just coming or there.
        if round % 2 == 0 {
            launcher.keep_spare();
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stop_ends_the_whole_tree_even_what_left_it_and_will_not_hear() {
    let stubborn = "trap '' TERM; echo pid $$; while :; do sleep 0.2; done";
    // One in the group, one in a session of its own whose parent is gone.
    let line = format!("(setsid sh -c \"{stubborn}\" &); sh -c \"{stubborn}\" & echo pid $$; wait");
    let mut task = Task::with(
        &line.replace("$$", "\\$\\$").replace("echo pid \\$\\$; wait", "echo pid $$; wait"),
        |spec| {
            spec.limits.stop_grace = Duration::from_millis(200);
        },
    );
    let mut supervised = task.launch();
    while task.pids().len() < 3 {
        assert_eq!(next(&mut supervised).await, News::Activity);
        task.take(false);
    }
    supervised.stop();
    let exit = task.until_end(&mut supervised).await;
    assert_eq!(exit.stopped, Some(StopCause::Asked));
    let alive: Vec<Pid> = task.pids().into_iter().filter(|pid| is_alive(*pid)).collect();
    assert!(alive.is_empty(), "{alive:?} live on: {}", task.text());
}

#[tokio::test]
async fn a_polite_stop_needs_no_kill() {
    let mut task = Task::shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    let mut supervised = task.launch();
    task.until_output(&mut supervised, "ready").await;
    supervised.stop();
    let exit = task.until_end(&mut supervised).await;
    assert_eq!((exit.ending, exit.stopped), (Ending::Code(0), Some(StopCause::Asked)));
    assert!(task.text().ends_with("bye\n"), "{}", task.text());
}

#[tokio::test]
async fn time_that_is_up_stops_it() {
    let mut task = Task::with("echo on; exec sleep 1000", |spec| spec.timeout = Some(Duration::from_secs(1)));
    let mut supervised = task.launch();
    let exit = task.until_end(&mut supervised).await;
    assert_eq!(exit.stopped, Some(StopCause::TimeUp { after_s: 1 }));
    assert_eq!((exit.ending, task.text().as_str()), (Ending::Signal(15), "on\n"));
}

#[tokio::test]
async fn background_children_live_on_when_the_task_ends_by_itself() {
    let mut task = Task::shell("sleep 1000 & echo pid $!; exit 4");
    let mut supervised = task.launch();
    let exit = task.until_end(&mut supervised).await;
    assert_eq!((exit.ending, exit.stopped), (Ending::Code(4), None));
    let child = task.pids()[0];
    assert!(is_alive(child));
    kill(child, Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn a_full_spool_makes_the_task_wait_and_loses_nothing() {
    let limit = 256 * 1024;
    let mut task = Task::with("echo pid $$; head -c 3000000 /dev/zero; echo; echo end", |spec| {
        spec.limits.spool = limit;
    });
    let mut supervised = task.launch();
    while held(&task) < limit {
        assert_eq!(next(&mut supervised).await, News::Activity);
    }
    assert!(task.folder.exit().is_none());
    let exit = loop {
        assert!(held(&task) <= limit);
        if task.take(true) {
            supervised.made_room();
        }
        if next(&mut supervised).await == News::Ended {
            task.take(true);
            break task.folder.exit().unwrap();
        }
    };
    assert_eq!(exit.ending, Ending::Code(0));
    assert_eq!(exit.output_total, task.output.len() as u64);
    assert!(task.output.len() > 3_000_000 && task.output.ends_with(b"\0\nend\n"));
}

#[tokio::test]
async fn a_full_spool_does_not_keep_a_task_from_being_stopped() {
    let mut task = Task::with("exec cat /dev/zero", |spec| spec.limits.spool = 64 * 1024);
    let mut supervised = task.launch();
    while held(&task) < 64 * 1024 {
        assert_eq!(next(&mut supervised).await, News::Activity);
    }
    supervised.stop();
    let exit = task.until_end(&mut supervised).await;
    assert_eq!((exit.ending, exit.stopped), (Ending::Signal(15), Some(StopCause::Asked)));
    assert_eq!(exit.output_total, task.output.len() as u64);
}

#[tokio::test]
async fn a_stopped_task_does_not_wait_for_space_forever() {
    let mut task = Task::with("exec cat /dev/zero", |spec| {
        spec.limits.spool = 64 * 1024;
        spec.limits.stop_grace = Duration::from_millis(300);
    });
    let mut supervised = task.launch();
    while held(&task) < 64 * 1024 {
        assert_eq!(next(&mut supervised).await, News::Activity);
    }
    supervised.stop();
    while next(&mut supervised).await != News::Ended {}
    task.take(false);
    let exit = task.folder.exit().unwrap();
    assert_eq!((exit.output_total, task.output.len()), (64 * 1024, 64 * 1024));
    assert_eq!(
        exit.remark.as_deref(),
        Some("Its last output was dropped because there was no space for it.")
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_makes_the_task_wait_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Mounted::small(dir.path());
    let Some(disk) = disk else {
        skipped::skipped("a full disk can only be tried where a small tmpfs may be mounted (as root)");
        return;
    };
    let mut task = Task::at(dir, disk.0.join("task"), "head -c 2000000 /dev/zero; echo end", |spec| {
        spec.limits.spool = 4 << 20;
        spec.cwd = "/".into();
    });
    let mut supervised = task.launch();
    while held(&task) < 450 * 1024 {
        assert_eq!(next(&mut supervised).await, News::Activity);
    }
    assert!(task.folder.exit().is_none());
    // The one segment is still being written and cannot be let go, so room is made beside it.
    assert!(Command::new("mount").args(["-o", "remount,size=8m"]).arg(&disk.0).status().unwrap().success());
    let exit = task.until_end(&mut supervised).await;
    assert_eq!(exit.ending, Ending::Code(0));
    assert_eq!((exit.output_total, task.output.len()), (2_000_004, 2_000_004));
    assert_eq!(next(&mut supervised).await, News::Gone);
}

struct Mounted(PathBuf);

impl Mounted {
    fn small(dir: &Path) -> Option<Self> {
        let path = dir.join("disk");
        std::fs::create_dir(&path).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(&path).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(path))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
