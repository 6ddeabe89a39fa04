//! What is worth a notification, and for how long: decided from the fleet's state and the rules of a person, without a
//! window or a system to show it on.
//!
//! There is at most one notification about each thing. A newer one takes its place, and one that no longer holds is
//! taken back.

mod book;
mod rules;

use foreman_protocol::{DeviceId, TaskId};
use serde::{Deserialize, Serialize};

pub use book::{Book, Deed};
pub use rules::{NoticeRules, QuietHours};

/// What can be told. Later kinds are added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    Offline,
    Online,
    TaskStarted,
    TaskFinished,
    TaskFailed,
    GpuMemory,
}

/// What a notification is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// How something ended, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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

#[cfg(test)]
mod tests;
