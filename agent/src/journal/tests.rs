use foreman_protocol::{CommandId, TaskCommand, TaskSpec};

use super::*;

fn start(seq: i64) -> (TaskId, Command) {
    let task_id = TaskId::fresh();
    let command = TaskCommand::Shell { shell: "true".to_owned() };
    let spec =
        TaskSpec { command, cwd: None, env: [("SECRET".to_owned(), "s".to_owned())].into(), timeout_s: None };
    (task_id, Command { id: CommandId::fresh(), seq, action: CommandAction::StartTask { task_id, spec } })
}

fn stop(seq: i64, task_id: TaskId) -> Command {
    Command { id: CommandId::fresh(), seq, action: CommandAction::StopTask { task_id } }
}

fn journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(&dir.path().join("journal.redb"), DeviceId::fresh()).unwrap();
    (dir, journal)
}

#[test]
fn a_command_that_comes_again_asks_for_nothing() {
    let (_dir, journal) = journal();
    let (task, command) = start(1);
    assert_eq!(
        journal.take(&[Ok(command.clone()), Ok(command.clone())], 9, &[]).unwrap(),
        [Effect::Start(task)]
    );
    assert_eq!(journal.take(&[Ok(command)], 9, &[]).unwrap(), []);
    // The same task by another command is still the same task.
    let mut again = start(2).1;
    let spec = TaskSpec {
        command: TaskCommand::Shell { shell: "true".to_owned() },
        cwd: None,
        env: Default::default(),
        timeout_s: None,
    };
    again.action = CommandAction::StartTask { task_id: task, spec };
    assert_eq!(journal.take(&[Ok(again)], 9, &[]).unwrap(), []);
}

#[test]
fn what_was_taken_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.redb");
    let device = DeviceId::fresh();
    let (first, command_one) = start(1);
    let (second, command_two) = start(2);
    let journal = Journal::open(&path, device).unwrap();
    journal.take(&[Ok(command_one.clone()), Ok(command_two)], 1, &[]).unwrap();
    drop(journal);

    let journal = Journal::open(&path, device).unwrap();
    let open = journal.open_tasks().unwrap();
    let phases: Vec<_> = open.iter().map(|(id, row)| (*id, row.phase)).collect();
    assert_eq!(phases, [(first, Phase::Starting), (second, Phase::Queued)]);
    assert_eq!(journal.take(&[Ok(command_one.clone())], 9, &[]).unwrap(), []);
    drop(journal);

    let journal = Journal::open(&path, DeviceId::fresh()).unwrap();
    assert!(journal.open_tasks().unwrap().is_empty(), "another device's tasks are nobody's");
    assert_eq!(journal.take(&[Ok(command_one)], 9, &[]).unwrap(), [Effect::Start(first)]);
}

#[test]
fn a_queued_task_begins_once_and_its_secrets_go_when_it_is_done() {
    let (_dir, journal) = journal();
    let (task, command) = start(1);
    assert_eq!(journal.take(&[Ok(command)], 0, &[]).unwrap(), [Effect::Queue(task)]);
    assert!(journal.begin(task).unwrap().is_some());
    assert!(journal.begin(task).unwrap().is_none());
    journal.done(&[task]).unwrap();
    let row = journal.task(task).unwrap().unwrap();
    assert_eq!((row.phase, row.spec), (Phase::Done, None));
    assert!(journal.open_tasks().unwrap().is_empty());
}

#[test]
fn stops_find_their_task_or_say_that_there_is_none() {
    let (_dir, journal) = journal();
    let (task, command) = start(1);
    let stop_it = stop(2, task);
    let effects = journal.take(&[Ok(command), Ok(stop_it)], 0, &[]).unwrap();
    assert_eq!(effects, [Effect::Queue(task), Effect::Stop(task)]);
    assert!(journal.task(task).unwrap().unwrap().stop);

    journal.done(&[task]).unwrap();
    assert_eq!(journal.take(&[Ok(stop(3, task))], 9, &[]).unwrap(), []);

    let unknown = TaskId::fresh();
    let effects = journal.take(&[Ok(stop(4, unknown))], 9, &[]).unwrap();
    let [Effect::Settle(statement)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(statement.report.state, TaskState::Lost);
    let open = journal.open_tasks().unwrap();
    assert_eq!((open[0].0, open[0].1.phase), (unknown, Phase::Settled));
}

#[test]
fn a_task_in_words_of_the_future_fails_and_says_so() {
    let (_dir, journal) = journal();
    let task = TaskId::fresh();
    let command = NotUnderstood { id: CommandId::fresh(), seq: 1, task_id: Some(task) };
    let effects = journal.take(&[Err(command.clone())], 9, &[]).unwrap();
    let [Effect::Settle(statement)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((statement.report.task_id, statement.report.state), (task, TaskState::Failed));
    assert_eq!(journal.take(&[Err(command)], 9, &[]).unwrap(), []);
}

#[test]
fn only_what_is_done_and_old_is_forgotten() {
    let (_dir, journal) = journal();
    let (old, first) = start(1);
    let (open, second) = start(2);
    journal.take(&[Ok(first), Ok(second)], 9, &[]).unwrap();
    journal.done(&[old]).unwrap();
    let long_ago = Moment { wall_ms: Moment::now().wall_ms - KEPT_MS - 1, ..Moment::now() };
    let age = |write: &mut WriteTransaction| {
        for id in [old, open] {
            let row = TaskRow { at: long_ago.clone(), ..get(write, id)?.unwrap() };
            put(write, id, &row)?;
        }
        Ok(())
    };
    journal.write(age).unwrap();
    journal.prune().unwrap();
    assert!(journal.task(old).unwrap().is_none());
    assert!(journal.task(open).unwrap().is_some());
}
