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

/// A task that asks models gets a key of its own for it, in its environment beside the addresses to ask; the key is dead
/// when the task has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskModels {
    /// What the key is for: profile names, `provider/model`, `provider/*`. 1 to 50; the first one is what its programs are
    /// told to ask for, where it names one.
    pub models: Vec<String>,
    /// What it may spend in all, micro-dollars.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cap_micros: Option<i64>,
}

/// A shell line or one argument.
const COMMAND_BYTES: usize = 128 * 1024;
const MOST_ARGUMENTS: usize = 1_000;
const MOST_VARIABLES: usize = 256;
const MOST_TIMEOUT_S: u64 = 365 * 24 * 3600;

/// What of a [`TaskSpec`] nobody would take, and why, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecFault {
    pub field: &'static str,
    pub message: String,
}

impl TaskSpec {
    /// Whether it can be run at all, the same wherever a task is asked for. What a device allows is its own to say.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SpecFault> {
        let fault = |field, message: &str| Err(SpecFault { field, message: message.to_owned() });
        match &self.command {
            TaskCommand::Shell { shell } => {
                text("shell", shell, COMMAND_BYTES)?;
                if shell.trim().is_empty() {
                    return fault("shell", "There is nothing to run.");
                }
            }
            TaskCommand::Program { program, args } => {
                text("program", program, 4096)?;
                if program.trim().is_empty() {
                    return fault("program", "There is nothing to run.");
                }
                if args.len() > MOST_ARGUMENTS {
                    return fault("args", &format!("At most {MOST_ARGUMENTS} arguments are taken."));
                }
                args.iter().try_for_each(|arg| text("args", arg, COMMAND_BYTES))?;
            }
        }
        if let Some(cwd) = &self.cwd {
            text("cwd", cwd, 4096)?;
            if !cwd.starts_with(['/', '~']) && !begins_with_drive(cwd) {
                return fault("cwd", "The folder must be absolute, or start with ~.");
            }
        }
        if self.env.len() > MOST_VARIABLES {
            return fault("env", &format!("At most {MOST_VARIABLES} variables are taken."));
        }
        for (name, value) in &self.env {
            text("env", name, 256)?;
            text("env", value, 32 * 1024)?;
            if name.is_empty() || name.contains('=') {
                return fault("env", "A variable's name is not empty and has no '='.");
            }
        }
        if self.timeout_s.is_some_and(|seconds| !(1..=MOST_TIMEOUT_S).contains(&seconds)) {
            return fault("timeout_s", "The time limit is 1 second to one year.");
        }
        Ok(())
    }
}

/// Of bounded length and without NUL, which no program argument can hold.
fn text(field: &'static str, text: &str, most_bytes: usize) -> Result<(), SpecFault> {
    if text.len() > most_bytes {
        return Err(SpecFault { field, message: format!("This is longer than {most_bytes} bytes.") });
    }
    if text.contains('\0') {
        return Err(SpecFault { field, message: "This contains a zero byte.".to_owned() });
    }
    Ok(())
}

/// `C:\…`, as a device with Windows has it.
fn begins_with_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic())
}

/// `POST /api/v1/devices/{id}/tasks` of a server, and `POST /tasks` of a device itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StartTask {
    /// Made by whoever asks, as a UUIDv7: asked again with the same one, here or at the device, it runs once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<TaskId>,
    #[serde(flatten)]
    pub spec: TaskSpec,
    /// Only a server makes keys: a device that is asked for one refuses.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub models: Option<TaskModels>,
}

/// A task that began at its device, over the device's link, as the device tells its server. The values of its
/// environment stay on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LocalTask {
    pub id: TaskId,
    pub command: TaskCommand,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cwd: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub env_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout_s: Option<u64>,
    /// Who asked, as the device knows them: the name in their grant.
    pub by: String,
    /// How long ago, in milliseconds: clocks need not agree.
    pub ago_ms: u64,
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
    /// The key that it has while it runs, without its secret.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub models: Option<TaskModels>,
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

impl Task {
    /// One that waits for its start, and that no event told of yet.
    #[must_use]
    pub fn queued(
        id: TaskId,
        device_id: DeviceId,
        spec: &TaskSpec,
        requested_by: Actor,
        created_at: Millis,
    ) -> Self {
        Self {
            id,
            device_id,
            command: spec.command.clone(),
            cwd: spec.cwd.clone(),
            env_names: spec.env.keys().cloned().collect(),
            timeout_s: spec.timeout_s,
            models: None,
            state: TaskState::Queued,
            reason: None,
            exit_code: None,
            signal: None,
            requested_by,
            created_at,
            started_at: None,
            ended_at: None,
            stop_requested_at: None,
            output_bytes: 0,
            output_start: 0,
            output_total: None,
            version: 0,
        }
    }
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
