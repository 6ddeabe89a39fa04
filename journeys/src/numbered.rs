//! Tasks that print numbered lines, and checking that each came once and in order.

use bytes::Bytes;
use foreman_client::{Foreman, OutputUpdate};
use foreman_protocol::{DeviceId, Task, TaskCommand, TaskId, TaskSpec};
use futures_util::StreamExt;

use crate::soon;

/// A line for the device's shell.
#[must_use]
pub fn shell(line: impl Into<String>) -> TaskSpec {
    let command = TaskCommand::Shell { shell: line.into() };
    TaskSpec { command, cwd: None, env: Default::default(), timeout_s: None }
}

/// Prints `line 1` to `line <count>`, about a hundred a second, and leaves a mark in `marks` that it ran.
#[must_use]
pub fn counting(count: u32, marks: &std::path::Path) -> TaskSpec {
    let marks = marks.display();
    shell(format!(
        "echo $$ >> {marks}; i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; sleep 0.01; done"
    ))
}

/// What [`counting`] prints.
#[must_use]
pub fn lines(count: u32) -> String {
    (1..=count).map(|number| format!("line {number}\n")).collect()
}

/// What a follower heard of a task.
#[derive(Default)]
pub struct Heard {
    pub bytes: Vec<u8>,
    pub losses: usize,
    pub gaps: Vec<(u64, u64)>,
}

/// Follows a task through the SDK from its first byte until it has said all.
///
/// # Panics
/// When bytes come twice, out of order or with a hole, or it takes too long.
pub async fn follow(foreman: &Foreman, task: TaskId) -> (Heard, Task) {
    let mut output = foreman.live_output(task, 0);
    let mut heard = Heard::default();
    let mut next = 0;
    let follow = async {
        while let Some(update) = output.next().await {
            match update {
                OutputUpdate::Bytes { offset, data } => {
                    assert_eq!(offset, next, "bytes of {task} with a hole or twice");
                    next += data.len() as u64;
                    heard.bytes.extend_from_slice(&data);
                }
                OutputUpdate::Gap(gap) => {
                    assert_eq!(gap.from, next, "a gap of {task} that begins elsewhere");
                    next = gap.to;
                    heard.gaps.push((gap.from, gap.to));
                }
                OutputUpdate::Lost { .. } => heard.losses += 1,
                OutputUpdate::Ended(task) => return *task,
            }
        }
        unreachable!("output ends with the task")
    };
    let task = soon("a task's end", follow).await;
    (heard, task)
}

/// Starts a task and follows it to its end.
///
/// # Panics
/// See [`follow`]; also when it cannot be started.
pub async fn run(foreman: &Foreman, device: DeviceId, spec: &TaskSpec) -> (Heard, Task) {
    let task = foreman.start_task(device, spec).await.expect("the server takes a task");
    follow(foreman, task.id).await
}

/// A task's output as it is kept now, from its first byte, by paging through plain reads.
///
/// # Panics
/// When a read fails or goes nowhere.
pub async fn read(foreman: &Foreman, task: TaskId) -> Bytes {
    let end = foreman.task(task).await.expect("the task is there").output_bytes;
    let mut all = Vec::new();
    while (all.len() as u64) < end {
        let offset = all.len() as u64;
        let piece = foreman.output(task, offset, Some(65_536)).await.expect("output can be read");
        assert_eq!(piece.start, offset, "nothing was let go");
        assert!(!piece.bytes.is_empty(), "the server has {end} bytes and gives none at {offset}");
        all.extend_from_slice(&piece.bytes);
        assert_eq!(piece.next, all.len() as u64);
    }
    all.into()
}
