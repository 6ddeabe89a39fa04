//! Tasks: a command run on a device, its state and its output.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Actor, DeviceId, Millis, TaskId};

/// What to run: a program with arguments, or a line for the device's shell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum TaskCommand {
    Program {
        program: String,
        #[serde(default)]
        args: Vec<String>,
    },
    Shell {
        shell: String,
    },
}

impl TaskCommand {
    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            TaskCommand::Program { program, args } => std::iter::once(program.as_str())
                .chain(args.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(" "),
            TaskCommand::Shell { shell } => shell.lines().next().unwrap_or_default().to_owned(),
        }
    }
}

/// Everything a device needs to run a task. The environment may hold secrets: it travels to the device and
/// is forgotten by the server once the device has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskSpec {
    #[serde(flatten)]
    pub command: TaskCommand,
    /// Absolute; the agent's home when absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cwd: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub env: BTreeMap<String, String>,
    /// Stopped after this many seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout_s: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Not yet started by the device.
    Queued,
    Running,
    /// Ended with exit code 0.
    Succeeded,
    /// Ended with another exit code or by a signal, or could not start.
    Failed,
    /// Ended because someone asked, or its time was up.
    Stopped,
    /// The device went down while it ran; how it ended is not known.
    Lost,
    /// The device's policy forbids it.
    Refused,
}

impl TaskState {
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, TaskState::Queued | TaskState::Running)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            TaskState::Queued => "queued",
            TaskState::Running => "running",
            TaskState::Succeeded => "succeeded",
            TaskState::Failed => "failed",
            TaskState::Stopped => "stopped",
            TaskState::Lost => "lost",
            TaskState::Refused => "refused",
        }
    }
}

/// A task as every client sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Task {
    pub id: TaskId,
    pub device_id: DeviceId,
    pub command: TaskCommand,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cwd: Option<String>,
    /// Names only; values are not kept.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub env_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout_s: Option<u64>,
    pub state: TaskState,
    /// Why it was refused, lost, stopped or could not start, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<i32>,
    pub requested_by: Actor,
    /// Server time.
    pub created_at: Millis,
    /// Device time of the start, corrected to the server's clock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stop_requested_at: Option<Millis>,
    /// Bytes of output the server has, counted from the task's first byte.
    pub output_bytes: u64,
    /// The first byte still kept; more than 0 when the oldest output was let go.
    pub output_start: u64,
    /// How many bytes there are in all, known once the task ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output_total: Option<u64>,
    /// The cursor of the last event about this task. An event at or below it is already included.
    pub version: i64,
}

/// What a device says of one of its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskReport {
    pub task_id: TaskId,
    pub state: TaskState,
    /// How long ago this happened, in milliseconds: clocks need not agree.
    pub ago_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Bytes of output in all; set with a final state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output_total: Option<u64>,
}

/// The answer to `POST /api/v1/devices/{id}/tasks/stop`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StopAllAnswer {
    /// Tasks that are now stopping.
    pub stopping: u32,
}
