//! One task in the journal, and what is said of it to the server.

use anyhow::Context;
use foreman_machine::run::Moment;
use foreman_protocol::{LocalTask, TaskId, TaskReport, TaskSpec, TaskState};
use serde::{Deserialize, Serialize};

/// How far a task is, as far as the journal must know; the task's folder knows the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for its turn; certainly not started.
    Queued,
    /// May have been started; its folder tells.
    Starting,
    /// Will never run; the statement says why.
    Settled,
    /// The server has everything.
    Done,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Of its command: the order of starting.
    pub seq: i64,
    pub phase: Phase,
    /// When it came to this phase. Of an earlier boot of the machine, a starting task was cut off.
    pub at: Moment,
    /// Somebody asked to stop it.
    #[serde(default)]
    pub stop: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spec: Option<TaskSpec>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statement: Option<Statement>,
    /// Asked for here, over the link, and not by the server.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub local: Option<Local>,
}

/// A task that began at this device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Local {
    /// `ago_ms` is filled in by [`Local::told_now`].
    pub task: LocalTask,
    /// Whoever asked, told apart from others of the same name.
    pub owner: String,
    pub asked: Moment,
    /// The server knows of it.
    #[serde(default)]
    pub told: bool,
}

impl Local {
    /// What runs, without the values of its environment.
    #[must_use]
    pub fn spec(&self) -> TaskSpec {
        let LocalTask { command, cwd, env_names, timeout_s, .. } = self.task.clone();
        let env = env_names.into_iter().map(|name| (name, String::new())).collect();
        TaskSpec { command, cwd, env, timeout_s }
    }

    /// As the server is told now.
    #[must_use]
    pub fn told_now(&self) -> LocalTask {
        LocalTask { ago_ms: self.asked.ago_ms(), ..self.task.clone() }
    }
}

/// What is to be said of a task, kept so that its age can be told whenever it is said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// `ago_ms` is filled in by [`Statement::report_now`].
    pub report: TaskReport,
    pub at: Moment,
}

impl Statement {
    /// A final word on a task that never ran.
    #[must_use]
    pub const fn unstarted(task_id: TaskId, state: TaskState, reason: String, at: Moment) -> Self {
        let report = TaskReport {
            task_id,
            state,
            ago_ms: 0,
            exit_code: None,
            signal: None,
            reason: Some(reason),
            output_total: Some(0),
        };
        Self { report, at }
    }

    #[must_use]
    pub const fn running(task_id: TaskId, at: Moment) -> Self {
        let report = TaskReport {
            task_id,
            state: TaskState::Running,
            ago_ms: 0,
            exit_code: None,
            signal: None,
            reason: None,
            output_total: None,
        };
        Self { report, at }
    }

    /// As it is said now.
    #[must_use]
    pub fn report_now(&self) -> TaskReport {
        TaskReport { ago_ms: self.at.ago_ms(), ..self.report.clone() }
    }
}

impl TaskRow {
    pub(super) const fn new(seq: i64, phase: Phase, spec: Option<TaskSpec>, at: Moment) -> Self {
        Self { seq, phase, at, stop: false, spec, statement: None, local: None }
    }

    pub(super) fn encode(&self) -> anyhow::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    pub(super) fn decode(bytes: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_slice(bytes).context("a row of the journal cannot be read")
    }
}
