//! `kill -9` of the server, the agent and both at random moments, while tasks print numbered lines.

use std::{path::Path, time::Duration};

use foreman_client::{Foreman, LiveUpdate, TaskFilter};
use foreman_protocol::{Event, Task, TaskId, TaskState};
use futures_util::{TryStreamExt, future::join_all};
use journeys::{
    database::Database,
    long, numbered, soon,
    stack::{Setting, Stack},
};
use rand::RngExt;
use tokio::task::JoinHandle;

const LINES: u32 = 150;
const TASKS_A_ROUND: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Victim {
    Server,
    Agent,
    Both,
}

/// One task of a round, followed from its first byte through whatever happens.
struct Runner {
    task: TaskId,
    marks: std::path::PathBuf,
    followed: JoinHandle<(numbered::Heard, Task)>,
}

impl Runner {
    async fn start(stack: &Stack, number: usize) -> Self {
        let marks = stack.folder.join(&format!("marks-{number}"));
        let spec = numbered::counting(LINES, &marks);
        let task = stack.foreman.start_task(stack.agent.device, &spec).await.expect("a task is taken");
        let foreman = stack.foreman.clone();
        let followed = tokio::spawn(async move { numbered::follow(&foreman, task.id).await });
        Self { task: task.id, marks, followed }
    }

    async fn check(self, foreman: &Foreman) {
        let (heard, task) = self.followed.await.expect("following does not fail");
        assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
        assert_eq!(task.exit_code, Some(0));
        let expected = numbered::lines(LINES);
        assert_eq!(String::from_utf8_lossy(&heard.bytes), expected, "what was followed");
        assert!(heard.gaps.is_empty(), "{:?}", heard.gaps);
        assert_eq!(numbered::read(foreman, self.task).await, expected, "what is kept");
        assert_eq!(task.output_total, Some(expected.len() as u64));
        assert_eq!(marks_in(&self.marks), 1, "the task {} ran so many times", self.task);
    }
}

fn marks_in(file: &Path) -> usize {
    std::fs::read_to_string(file).expect("the task left a mark").lines().count()
}

async fn kill(stack: &mut Stack, victim: Victim) {
    match victim {
        Victim::Server => stack.server.program.kill().await,
        Victim::Agent => stack.agent.program.kill().await,
        Victim::Both => {
            stack.server.program.kill().await;
            stack.agent.program.kill().await;
        }
    }
}

async fn revive(stack: &mut Stack, victim: Victim) {
    if matches!(victim, Victim::Server | Victim::Both) {
        stack.server.start_again().await;
    }
    if matches!(victim, Victim::Agent | Victim::Both) {
        stack.agent.start_again();
    }
}

/// Reads the whole log as it happens; every event once, none missing.
async fn read_log(foreman: Foreman, done: tokio::sync::oneshot::Receiver<i64>) -> Vec<Event> {
    let mut events = foreman.events(Some(0));
    let mut log = Vec::new();
    let mut last = None;
    let mut done = std::pin::pin!(done);
    loop {
        if last.is_some_and(|last| log.len() as i64 >= last) {
            return log;
        }
        tokio::select! {
            end = &mut done, if last.is_none() => last = Some(end.expect("the round says where the log ends")),
            update = events.next() => match update {
                LiveUpdate::Event(record) => {
                    assert_eq!(record.cursor, log.len() as i64 + 1, "an event was skipped or repeated");
                    log.push(record.event);
                }
                LiveUpdate::Reset(ready) => panic!("the log is kept: {ready:?}"),
                LiveUpdate::Unknown { name, data } => panic!("unknown {name}: {data}"),
                LiveUpdate::Ready(_) | LiveUpdate::Sample(_) | LiveUpdate::Lost { .. } => {}
            },
        }
    }
}

/// Each task goes through its states once and in order.
fn check_turns(log: &[Event], task: TaskId) {
    let turns: Vec<_> = log
        .iter()
        .filter_map(|event| match event {
            Event::TaskQueued { task: about }
            | Event::TaskStarted { task: about }
            | Event::TaskCompleted { task: about }
            | Event::TaskFailed { task: about }
            | Event::TaskStopped { task: about }
            | Event::TaskLost { task: about } => (about.id == task).then(|| event.name()),
            _ => None,
        })
        .collect();
    assert_eq!(turns, ["device.task.queued", "device.task.started", "device.task.completed"], "{task}");
}

async fn nothing_is_lost_or_run_twice(database: Database) {
    let rounds = if long() { 200 } else { 10 };
    let mut stack = Stack::start(Setting::on(database).env("FOREMAN_HEARTBEAT_S", 1)).await;
    let (end_log, log_end) = tokio::sync::oneshot::channel();
    let log = tokio::spawn(read_log(stack.foreman.clone(), log_end));
    let mut tasks = Vec::new();
    for round in 0..rounds {
        let victim = [Victim::Server, Victim::Agent, Victim::Both][round % 3];
        let mut runners = Vec::new();
        for number in 0..TASKS_A_ROUND {
            runners.push(Runner::start(&stack, round * 10 + number).await);
        }
        // A random moment: from before the first line to after the last.
        let moment = Duration::from_millis(rand::rng().random_range(0..2500));
        eprintln!("round {round}: {victim:?} after {moment:?}");
        tokio::time::sleep(moment).await;
        kill(&mut stack, victim).await;
        if matches!(victim, Victim::Agent) {
            // The server takes work for an agent that is away.
            runners.push(Runner::start(&stack, round * 10 + TASKS_A_ROUND).await);
        }
        revive(&mut stack, victim).await;
        tasks.extend(runners.iter().map(|runner| runner.task));
        join_all(runners.into_iter().map(|runner| runner.check(&stack.foreman))).await;
    }
    let stuck: Vec<_> =
        stack.foreman.tasks(&TaskFilter::active()).try_collect().await.expect("tasks can be listed");
    assert!(stuck.is_empty(), "{stuck:?}");
    let verified = stack.foreman.verify_audit().await.expect("the log can be checked");
    assert!(verified.intact, "{verified:?}");
    end_log.send(i64::try_from(verified.checked).expect("few events")).expect("the log is read");
    let log = soon("the end of the log", log).await.expect("the log is whole");
    for task in tasks {
        check_turns(&log, task);
    }
}

super::on_both_databases!(nothing_is_lost_or_run_twice);
