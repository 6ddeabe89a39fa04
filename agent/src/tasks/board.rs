//! What callers of the device's link see of its tasks: those that wait, run, or ended and are not yet all with the server.
//!
//! Only a view: what is true is in the journal and in the tasks' folders.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use foreman_protocol::{Actor, DeviceId, Millis, Task, TaskId, TaskSpec, TaskState};
use tokio::sync::watch;

use crate::journal::{Local, Statement};

/// See the module.
pub struct Board {
    device: DeviceId,
    tasks: Mutex<BTreeMap<TaskId, Entry>>,
}

struct Entry {
    /// Changes with the task's state, and is touched when there is more output.
    task: watch::Sender<Task>,
    /// Who asked for it here.
    owner: Option<String>,
}

impl Board {
    #[must_use]
    pub fn new(device: DeviceId) -> Self {
        Self { device, tasks: Mutex::default() }
    }

    /// Shows a task that waits for its start.
    pub(super) fn put(&self, id: TaskId, spec: &TaskSpec, local: Option<&Local>, at: Millis) {
        // Who asked the server, the device is not told.
        let by = local.map_or(Actor::System, |local| Actor::Link { name: local.task.by.clone() });
        let asked_at = local.map_or(at, |local| local.asked.wall_ms);
        let task = Task::queued(id, self.device, spec, by, asked_at);
        let owner = local.map(|local| local.owner.clone());
        self.tasks().insert(id, Entry { task: watch::Sender::new(task), owner });
    }

    /// Takes in what is said of a task.
    pub(super) fn note(&self, statement: &Statement) {
        let report = &statement.report;
        let at = statement.at.wall_ms;
        self.change(report.task_id, |task| {
            task.state = report.state;
            task.reason.clone_from(&report.reason);
            if report.state == TaskState::Running {
                task.started_at = Some(at);
            }
            if report.state.is_final() {
                task.ended_at = Some(at);
                task.exit_code = report.exit_code;
                task.signal = report.signal;
                task.output_total = Some(report.output_total.unwrap_or(0));
            }
        });
    }

    /// Somebody asked to stop it.
    pub(super) fn stopping(&self, id: TaskId, at: Millis) {
        self.change(id, |task| {
            task.stop_requested_at.get_or_insert(at);
        });
    }

    /// There may be more output.
    pub(super) fn grew(&self, id: TaskId) {
        self.change(id, |_| ());
    }

    /// The server has all of it, or it is not to be shown any more.
    pub(super) fn remove(&self, id: TaskId) {
        self.tasks().remove(&id);
    }

    /// The newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Task> {
        self.tasks().values().rev().map(|entry| entry.task.borrow().clone()).collect()
    }

    #[must_use]
    pub fn get(&self, id: TaskId) -> Option<Task> {
        Some(self.tasks().get(&id)?.task.borrow().clone())
    }

    /// The task and each change of it; the sender goes when the task is not shown any more.
    #[must_use]
    pub fn watch(&self, id: TaskId) -> Option<watch::Receiver<Task>> {
        Some(self.tasks().get(&id)?.task.subscribe())
    }

    /// Who asked for it here; nobody for a task of the server.
    #[must_use]
    pub fn owner(&self, id: TaskId) -> Option<String> {
        self.tasks().get(&id)?.owner.clone()
    }

    fn change(&self, id: TaskId, act: impl FnOnce(&mut Task)) {
        if let Some(entry) = self.tasks().get(&id) {
            entry.task.send_modify(act);
        }
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<TaskId, Entry>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
