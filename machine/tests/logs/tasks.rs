//! What tasks printed, in the files that a supervisor writes.

use std::{fs, io::Write as _, path::PathBuf};

use foreman_machine::{
    logs::{Item, OpenError, Request},
    run::{Ending, Exit, Moment},
};
use foreman_protocol::{LogKind, LogReason, TaskId};

use super::{Machine, next, texts};

struct Task {
    id: TaskId,
    folder: PathBuf,
}

impl Task {
    fn new(machine: &Machine) -> Self {
        let id = TaskId::fresh();
        let folder = machine.logs.tasks.join(id.to_string());
        fs::create_dir_all(folder.join("out")).unwrap();
        Self { id, folder }
    }

    fn print(&self, segment: u64, text: &str) {
        let path = self.folder.join(format!("out/{segment:020}"));
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn end(&self, output_total: u64) {
        let exit =
            Exit { ending: Ending::Code(0), stopped: None, output_total, ended: Moment::now(), remark: None };
        fs::write(self.folder.join("exit.tmp"), serde_json::to_vec(&exit).unwrap()).unwrap();
        fs::rename(self.folder.join("exit.tmp"), self.folder.join("exit.json")).unwrap();
    }

    fn asked(&self) -> Request {
        Request { source: format!("task:{}", self.id), lines: 200, follow: true, ..Request::default() }
    }
}

#[tokio::test]
async fn output_is_followed_over_its_segments_to_the_end() {
    let machine = Machine::new();
    let task = Task::new(&machine);
    task.print(0, "one\ntwo\nth");
    let mut stream = machine.open(task.asked()).await.unwrap();
    let mut cursor = String::new();
    for expected in ["one", "two"] {
        let Item::Line { line, cursor: at } = next(&mut stream).await else { panic!("no line") };
        assert_eq!(line.text, expected);
        cursor = at;
    }
    task.print(10, "ree\nERROR four");
    let Item::Line { line, .. } = next(&mut stream).await else { panic!("no line") };
    assert_eq!(line.text, "three");
    // The agent may have been restarted meanwhile.
    let mut again = machine.logs.clone().open(Request { after: Some(cursor), ..task.asked() }).await.unwrap();
    task.end(24);
    for stream in [&mut stream, &mut again] {
        let mut last = next(stream).await;
        if matches!(&last, Item::Line { line, .. } if line.text == "three") {
            last = next(stream).await;
        }
        assert!(matches!(last, Item::Line { line, .. } if line.text == "ERROR four"));
        assert_eq!(next(stream).await, Item::End(None));
    }
}

#[tokio::test]
async fn of_output_that_was_let_go_the_rest_is_given() {
    let machine = Machine::new();
    let task = Task::new(&machine);
    task.print(4096, "three\nfour\n");
    task.end(4107);
    let request = Request { follow: false, ..task.asked() };
    assert_eq!(texts(machine.open(request).await.unwrap()).await, ["(gap)", "three", "four"]);
    let last = Request { lines: 1, follow: false, ..task.asked() };
    assert_eq!(texts(machine.open(last).await.unwrap()).await, ["four"]);
    let behind = Request { after: Some("t:100".to_owned()), follow: false, ..task.asked() };
    assert_eq!(texts(machine.open(behind).await.unwrap()).await, ["(gap)", "three", "four"]);
}

#[tokio::test]
async fn a_task_whose_output_is_gone_says_where_it_is() {
    let machine = Machine::new();
    let task = Task::new(&machine);
    task.print(0, "one\n");
    let mut stream = machine.open(task.asked()).await.unwrap();
    assert!(matches!(next(&mut stream).await, Item::Line { .. }));
    fs::remove_dir_all(&task.folder).unwrap();
    let Item::End(Some(reason)) = next(&mut stream).await else { panic!("it went on") };
    assert_eq!(reason.reason, LogReason::WithServer);
    assert!(reason.text.contains("server"), "{reason}");
    let error = machine.open(task.asked()).await.err();
    assert!(matches!(&error, Some(OpenError::NotFound(reason)) if reason.contains("server")), "{error:?}");
}

#[tokio::test]
async fn tasks_are_listed_the_newest_first() {
    let machine = Machine::new();
    let (first, second) = (Task::new(&machine), Task::new(&machine));
    let sources = machine.logs.sources().await.sources;
    let tasks: Vec<_> = sources.into_iter().filter(|source| source.kind == LogKind::Task).collect();
    let ids: Vec<_> = tasks.iter().map(|task| task.id.clone()).collect();
    assert_eq!(ids, [format!("task:{}", second.id), format!("task:{}", first.id)]);
    for id in ["../..", "", "nothing"] {
        let request = Request { source: format!("task:{id}"), ..Request::default() };
        assert!(matches!(machine.open(request).await.err(), Some(OpenError::Invalid { .. })), "{id}");
    }
}
