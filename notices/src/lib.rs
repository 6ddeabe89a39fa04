//! What is worth a notification, for how long, and what it says: decided from the fleet's state and the rules of a
//! person, without a window or a system to show it on.
//!
//! There is at most one notification about each thing. A newer one takes its place, and one that no longer holds is
//! taken back. An app that follows a server keeps a [`Book`]; a server that pushes hears [`news`] from its own log and
//! keeps a [`Standing`] for each thing that it told somewhere.

mod book;
mod said;
mod standing;
mod words;

pub use book::{Book, Deed};
use foreman_protocol::{Device, DeviceId, Task, TaskId, TaskState};
pub use foreman_protocol::{NoticeKind, NoticeRules, QuietHours};
pub use said::{Said, many, settled, something, test};
use serde::{Deserialize, Serialize};
pub use standing::{News, Standing, TOLD, Word, news};
pub use words::Words;

/// More at once would bury what matters: then one says how many there are.
pub const MOST_AT_ONCE: usize = 4;
/// Characters of a command line.
const LONGEST_COMMAND: usize = 120;

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "about", content = "id", rename_all = "snake_case")]
pub enum Subject {
    /// Whether a device can be reached.
    Reach(DeviceId),
    GpuMemory(DeviceId),
    Task(TaskId),
    /// Several things at once.
    Many,
}

impl Subject {
    /// The page of the dashboard that shows it.
    #[must_use]
    pub fn page(self) -> String {
        match self {
            Self::Reach(id) | Self::GpuMemory(id) => format!("/devices/{id}"),
            Self::Task(id) => format!("/tasks/{id}"),
            Self::Many => "/".to_owned(),
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reach(id) => write!(f, "reach {id}"),
            Self::GpuMemory(id) => write!(f, "gpu_memory {id}"),
            Self::Task(id) => write!(f, "task {id}"),
            Self::Many => f.write_str("many"),
        }
    }
}

/// How something ended, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    Exit(i32),
    Signal(i32),
    Stopped,
    Lost,
    Refused,
    Unknown,
}

/// One thing worth telling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub subject: Subject,
    pub kind: NoticeKind,
    pub device_id: DeviceId,
    /// The device's name; empty when it is not known.
    pub device: String,
    /// What was run, for tasks.
    pub command: Option<String>,
    /// For tasks that ended.
    pub outcome: Option<Outcome>,
}

impl Notice {
    fn of_device(subject: Subject, kind: NoticeKind, device: &Device) -> Self {
        let name = device.name.clone();
        Self { subject, kind, device_id: device.id, device: name, command: None, outcome: None }
    }

    /// Nothing, while it only waits. `device` is the name of the device it is on.
    #[must_use]
    pub fn of_task(task: &Task, device: String) -> Option<Self> {
        let kind = match task.state {
            TaskState::Queued => return None,
            TaskState::Running => NoticeKind::TaskStarted,
            TaskState::Succeeded | TaskState::Stopped => NoticeKind::TaskFinished,
            TaskState::Failed | TaskState::Lost | TaskState::Refused => NoticeKind::TaskFailed,
        };
        Some(Self {
            subject: Subject::Task(task.id),
            kind,
            device_id: task.device_id,
            device,
            command: Some(shortened(&task.command.summary())),
            outcome: task.state.is_final().then(|| outcome_of(task)),
        })
    }
}

const fn outcome_of(task: &Task) -> Outcome {
    match (task.state, task.exit_code, task.signal) {
        (TaskState::Succeeded, _, _) => Outcome::Succeeded,
        (TaskState::Stopped, _, _) => Outcome::Stopped,
        (TaskState::Lost, _, _) => Outcome::Lost,
        (TaskState::Refused, _, _) => Outcome::Refused,
        (_, _, Some(signal)) => Outcome::Signal(signal),
        (_, Some(code), _) => Outcome::Exit(code),
        _ => Outcome::Unknown,
    }
}

/// One line without what a terminal would obey.
fn shortened(command: &str) -> String {
    let mut plain = command.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = plain.by_ref().take(LONGEST_COMMAND).collect();
    if plain.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
