//! The real agent against a server that is more awkward than a real one. Journeys with the real server are elsewhere;
//! here is what that one does only rarely.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up should stop there"
)]

#[path = "agent/awkward.rs"]
mod awkward;

use std::{path::PathBuf, process::Stdio, time::Duration};

use awkward::{Server, TOKEN};
use foreman_protocol::{CommandAction, CommandId, TaskId, TaskState};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A machine with a state directory, and perhaps an agent.
struct Machine {
    dir: tempfile::TempDir,
    server: Server,
}

struct Agent {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Machine {
    async fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), server: Server::start().await }
    }

    /// A machine whose agent is connected, runs, and may run commands.
    async fn connected() -> (Self, Agent) {
        let machine = Self::new().await;
        let agent = machine.connect(&["--allow", "bash"]).await;
        (machine, agent)
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foreman-agent"));
        command.arg("--state").arg(self.state()).args(words);
        command.env("FOREMAN_STOP_GRACE_S", "0.3").kill_on_drop(true);
        command.env("FOREMAN_LINK_LISTEN", "127.0.0.1:0").env("FOREMAN_NO_MDNS", "1");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self, words: &[&str]) -> Agent {
        let mut child = self.command(words).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Agent { child, lines }
    }

    async fn connect(&self, more: &[&str]) -> Agent {
        let mut words = vec!["connect", "--server", &self.server.url, "--token", TOKEN];
        words.extend(more);
        let mut agent = self.start(&words);
        agent.until_line("Listening for tasks...").await;
        agent
    }

    /// Runs to its end: success, standard output, standard error.
    async fn say(&self, words: &[&str]) -> (bool, String, String) {
        let output = tokio::time::timeout(PATIENCE, self.command(words).output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    fn task_folders(&self) -> usize {
        std::fs::read_dir(self.state().join("tasks")).map_or(0, Iterator::count)
    }
}

impl Agent {
    async fn until_line(&mut self, wanted: &str) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|line| line != wanted) {
            let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            match line.unwrap_or_else(|_| panic!("no `{wanted}` in time: {seen:?}")).unwrap() {
                Some(line) => seen.push(line),
                None => panic!("ended without `{wanted}`: {seen:?}"),
            }
        }
        seen
    }

    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn ended(mut self) -> (bool, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        let mut rest = String::new();
        self.lines.get_mut().read_to_string(&mut rest).await.unwrap();
        (status.success(), rest)
    }
}

/// A line that prints its number once, for a counter of runs.
fn counted(dir: &std::path::Path, then: &str) -> String {
    format!("echo ran >> {}/runs; {then}", dir.display())
}

fn runs(dir: &std::path::Path) -> usize {
    std::fs::read_to_string(dir.join("runs")).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn connecting_shows_each_step_and_a_task_leaves_nothing_behind() {
    let machine = Machine::new().await;
    let server = &machine.server;
    let mut agent = machine.start(&["connect", "--server", &server.url, "--token", TOKEN, "--allow", "bash"]);
    let lines = agent.until_line("Listening for tasks...").await;
    let expected = [
        format!("✓ Authenticated with Foreman at {}", server.url),
        format!("✓ Route established: command stream to {}", server.url),
        "✓ Device registered: Awkward".to_owned(),
        "✓ Capabilities detected:".to_owned(),
    ];
    assert_eq!(lines[..4], expected);
    assert!(lines[4].starts_with("  - "), "{lines:?}");
    assert!(server.with(|inner| inner.beats > 0 && inner.facts.as_ref().unwrap().policy.allow_bash));

    let task = server.shell("echo hello; echo world >&2; exit 7");
    let report = server.until_state(task, TaskState::Failed).await;
    assert_eq!((report.exit_code, report.output_total), (Some(7), Some(12)));
    server.until("acknowledged", |inner| inner.acknowledged.len() == 1).await;
    server.until_output(task, "hello\nworld\n").await;
    assert!(server.with(|inner| inner.report(task, TaskState::Running).is_some()));
    // The next task's ending comes after the first one was cleared away.
    let next = server.shell("true");
    server.until_state(next, TaskState::Succeeded).await;
    let (connected, said, _) = machine.say(&["status"]).await;
    assert!(connected && said.contains("connected for") && said.contains("allows commands"), "{said}");
    let identity = said.lines().find_map(|line| line.strip_prefix("Identity ")).expect("shown");
    assert!(lines.iter().any(|line| line.trim().starts_with(&format!("Identity {identity}:"))), "{lines:?}");

    let (success, _, error) = machine.say(&["connect", "--server", &server.url, "--token", TOKEN]).await;
    assert!(!success && error.contains("already connected") && error.contains("disconnect"), "{error}");
}

#[tokio::test]
async fn a_bad_token_changes_nothing() {
    let machine = Machine::new().await;
    let url = machine.server.url.clone();
    let (success, _, error) = machine.say(&["connect", "--server", &url, "--token", "wrong"]).await;
    assert!(!success && error.contains("does not accept this token"), "{error}");
    assert!(!machine.state().join("identity.json").exists() && !machine.state().join("policy.env").exists());
    let (success, _, error) =
        machine.say(&["connect", "--server", "http://127.0.0.1:9", "--token", "x"]).await;
    assert!(!success && error.contains("Cannot reach http://127.0.0.1:9"), "{error}");
}

#[tokio::test]
async fn a_task_that_is_started_again_and_again_runs_once() {
    let (machine, agent) = Machine::connected().await;
    let server = &machine.server;
    // The agent cannot acknowledge: after each of its lives the command comes again.
    server.with(|inner| inner.deaf = true);
    let go = machine.dir.path().join("go");
    let line = format!("echo first; while [ ! -e {} ]; do sleep 0.05; done; echo last", go.display());
    let task = server.shell(&counted(machine.dir.path(), &line));
    server.until_output(task, "first").await;
    agent.kill().await;
    for _ in 0..3 {
        let agent = machine.start(&["run"]);
        let beats = server.with(|inner| inner.beats);
        server.until("a heartbeat", |inner| inner.beats > beats).await;
        agent.kill().await;
    }
    std::fs::write(go, "").unwrap();
    server.with(|inner| inner.deaf = false);
    let _agent = machine.start(&["run"]);
    server.until_state(task, TaskState::Succeeded).await;
    server.until_output(task, "last").await;
    assert_eq!(server.with(|inner| inner.text(task)), "first\nlast\n");
    assert_eq!(runs(machine.dir.path()), 1);
}

#[tokio::test]
async fn a_finished_task_is_not_run_again_however_the_agent_ends() {
    let (machine, mut agent) = Machine::connected().await;
    let server = &machine.server;
    for round in 1..=8 {
        let task = server.shell(&counted(machine.dir.path(), "echo done"));
        server.until_state(task, TaskState::Succeeded).await;
        server.until_output(task, "done").await;
        // At other moments of clearing away each time.
        tokio::time::sleep(Duration::from_millis(25 * (round - 1))).await;
        agent.kill().await;
        agent = machine.start(&["run"]);
        // What is done after all the earlier ones were looked at.
        let next = server.shell("true");
        server.until_state(next, TaskState::Succeeded).await;
        assert_eq!(runs(machine.dir.path()), round as usize);
    }
}

#[tokio::test]
async fn lost_answers_repeat_nothing() {
    let (machine, _agent) = Machine::connected().await;
    let server = &machine.server;
    server.with(|inner| (inner.lose_report_answers, inner.lose_output_answers) = (2, 2));
    let task = server.shell(&counted(machine.dir.path(), "seq 1 500; sleep 0.1; seq 501 1000"));
    let report = server.until_state(task, TaskState::Succeeded).await;
    let expected: String = (1..=1000).map(|n| format!("{n}\n")).collect();
    server.until("all output", |inner| inner.text(task).len() as u64 >= report.output_total.unwrap()).await;
    assert_eq!(server.with(|inner| inner.text(task)), expected);
    assert_eq!((runs(machine.dir.path()), server.with(|inner| inner.gaps.len())), (1, 0));
}

#[tokio::test]
async fn a_server_that_forgot_output_gets_it_again_from_where_it_stands() {
    let (machine, _agent) = Machine::connected().await;
    let server = &machine.server;
    let go = machine.dir.path().join("go");
    let task =
        server.shell(&format!("echo first; while [ ! -e {} ]; do sleep 0.05; done; echo last", go.display()));
    server.until_output(task, "first").await;
    server.with(|inner| inner.forget_output_once = true);
    std::fs::write(go, "").unwrap();
    server.until_state(task, TaskState::Succeeded).await;
    server.until_output(task, "last").await;
    assert_eq!(server.with(|inner| inner.text(task)), "first\nlast\n");
}

#[tokio::test]
async fn the_device_refuses_what_its_policy_forbids() {
    let machine = Machine::new().await;
    let server = &machine.server;
    let _agent = machine.connect(&[]).await;
    let task = server.shell(&counted(machine.dir.path(), "true"));
    let report = server.until_state(task, TaskState::Refused).await;
    assert!(report.reason.unwrap().contains("ALLOW_BASH"));
    // People change the file, the agent follows at once.
    std::fs::write(machine.state().join("policy.env"), "ALLOW_BASH=true\n").unwrap();
    let task = server.shell(&counted(machine.dir.path(), "true"));
    server.until_state(task, TaskState::Succeeded).await;
    server
        .until("the new policy", |inner| inner.facts.as_ref().is_some_and(|facts| facts.policy.allow_bash))
        .await;
    assert_eq!(runs(machine.dir.path()), 1);
}

#[tokio::test]
async fn stops_reach_running_queued_and_unknown_tasks() {
    let machine = Machine::new().await;
    let server = &machine.server;
    let _agent = machine.connect(&["--allow", "bash", "--max-tasks", "1"]).await;
    let running = server.shell("echo on; exec sleep 1000");
    let queued = server.shell("echo never");
    let later = server.shell("echo later");
    let unknown = TaskId::fresh();
    server.until_output(running, "on").await;
    server.command(CommandAction::StopTask { task_id: queued });
    server.command(CommandAction::StopTask { task_id: unknown });
    let report = server.until_state(queued, TaskState::Stopped).await;
    assert_eq!(report.reason.as_deref(), Some("It was stopped before it started."));
    server.until_state(unknown, TaskState::Lost).await;
    assert!(server.with(|inner| inner.report(later, TaskState::Running).is_none()));
    server.command(CommandAction::StopTask { task_id: running });
    let report = server.until_state(running, TaskState::Stopped).await;
    assert_eq!(report.signal, Some(15));
    server.until_state(later, TaskState::Succeeded).await;
    server.until("all acknowledged", |inner| inner.commands.is_empty()).await;
}

#[tokio::test]
async fn commands_of_a_newer_server_do_not_stand_in_the_way() {
    let (machine, _agent) = Machine::connected().await;
    let server = &machine.server;
    server.raw(CommandId::fresh(), serde_json::json!({ "action": "dance", "tempo": 120 }));
    let odd = TaskId::fresh();
    let action = serde_json::json!({ "action": "start_task", "task_id": odd, "spec": { "wasm": "AAA=" } });
    server.raw(CommandId::fresh(), action);
    let task = server.shell("true");
    server.until_state(task, TaskState::Succeeded).await;
    let report = server.until_state(odd, TaskState::Failed).await;
    assert!(report.reason.unwrap().contains("too old"));
    server.until("all acknowledged", |inner| inner.commands.is_empty()).await;
}

#[tokio::test]
async fn an_expired_bearer_is_renewed() {
    let (machine, _agent) = Machine::connected().await;
    let server = &machine.server;
    for _ in 0..3 {
        let beats = server.with(|inner| {
            inner.bearers.clear();
            inner.beats
        });
        server.until("a heartbeat", |inner| inner.beats > beats).await;
    }
    let task = server.shell("true");
    server.until_state(task, TaskState::Succeeded).await;
}

#[tokio::test]
async fn a_device_that_is_let_go_stops_its_tasks_and_forgets() {
    let (machine, agent) = Machine::connected().await;
    let server = &machine.server;
    let task = server.shell("echo pid $$; trap '' TERM; while :; do sleep 0.05; done");
    server.until_output(task, "pid").await;
    let text = server.with(|inner| inner.text(task));
    let pid: i32 = text.trim().strip_prefix("pid ").unwrap().parse().unwrap();
    server.with(|inner| inner.gone = true);
    let (success, said) = agent.ended().await;
    assert!(success && said.contains("removed from its server"), "{said}");
    assert!(!machine.state().join("identity.json").exists() && machine.state().join("policy.env").exists());
    let alive = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
    assert_eq!(alive, Err(nix::errno::Errno::ESRCH));
}

#[tokio::test]
async fn disconnecting_ends_a_running_agent_and_its_tasks() {
    let (machine, agent) = Machine::connected().await;
    let task = machine.server.shell("echo on; exec sleep 1000");
    machine.server.until_output(task, "on").await;
    let (success, said, error) = machine.say(&["disconnect"]).await;
    assert!(success && said.contains("Disconnected “Awkward”"), "{said} {error}");
    assert!(agent.ended().await.0);
    assert_eq!(machine.task_folders(), 0);
    let (_, said, _) = machine.say(&["status"]).await;
    assert!(said.starts_with("Not connected."), "{said}");
}

#[tokio::test]
async fn a_waiting_agent_carries_on_after_connect() {
    let machine = Machine::new().await;
    let server = &machine.server;
    let service = machine.start(&["run"]);
    let waiting = async { while !machine.say(&["status"]).await.1.contains("The agent is waiting") {} };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    let words = ["connect", "--server", &server.url, "--token", TOKEN, "--allow", "bash"];
    let (success, said, error) = machine.say(&words).await;
    assert!(success && said.contains("The service carries on."), "{said} {error}");
    let task = server.shell("true");
    server.until_state(task, TaskState::Succeeded).await;
    drop(service);
}
