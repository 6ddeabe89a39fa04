//! Tasks of a device, started and looked at there: with its server away, too.

use bytes::Bytes;
use foreman_protocol::{OutputGap, Page, StartTask, Task, TaskId};
use futures_util::{StreamExt, stream::BoxStream};

use super::{
    DeviceConnection,
    ask::Ask,
    logs::until_over,
    sse::{Said, Unavailable, resuming},
};
use crate::{Error, OutputUpdate, output::OutputReader};

/// What following a task's output on its device says.
#[derive(Debug, Clone)]
pub enum TaskOutputUpdate {
    /// Bytes in order, each exactly once.
    Bytes { offset: u64, data: Bytes },
    /// Output that is not on the device any more: its server has it.
    Gap(OutputGap),
    /// The stream is gone and is opened again after the last byte, as long as it is polled.
    Lost(Error),
    /// All was said; nothing follows.
    Ended(Box<Task>),
    /// It cannot be had, as once the server has all of it; nothing follows.
    Failed(Error),
}

impl DeviceConnection {
    /// Gives the device something to run, straight. With the same id it runs once, however often it is asked for here or
    /// of the server; the device tells its server when it can.
    ///
    /// # Errors
    /// See [`Error`]; `policy_forbids`, `grant_not_enough`, and `conflict` for one that ran before.
    pub async fn start_task(&self, start: &StartTask) -> Result<Task, Error> {
        self.json(Ask::post("/tasks").json(start)?).await
    }

    /// What waits or runs on the device, or ended and is not all with its server yet. Newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tasks(&self) -> Result<Vec<Task>, Error> {
        self.json::<Page<Task>>(Ask::get("/tasks")).await.map(|page| page.items)
    }

    /// One of them.
    ///
    /// # Errors
    /// See [`Error`]; `not_found` also for one that its server has all of.
    pub async fn task(&self, id: TaskId) -> Result<Task, Error> {
        self.json(Ask::get(format!("/tasks/{id}"))).await
    }

    /// Asks the device to stop it; the task is over when its state says so.
    ///
    /// # Errors
    /// See [`Error`]; `conflict` when it has ended.
    pub async fn stop_task(&self, id: TaskId) -> Result<Task, Error> {
        self.json(Ask::post(format!("/tasks/{id}/stop"))).await
    }

    /// Follows the output from the byte `offset` on until the task has said all. It goes on after the last byte when a
    /// path dies.
    #[must_use]
    pub fn live_output(&self, id: TaskId, offset: u64) -> BoxStream<'static, TaskOutputUpdate> {
        let ask = move || Ask::get(format!("/tasks/{id}/output")).query("offset", Some(offset));
        let mut reader = OutputReader { next: offset };
        let updates = resuming(self.clone(), ask, Unavailable::Passes).filter_map(move |said| {
            std::future::ready(match said {
                Said::Event(event) => reader.understand(&event.event, &event.data).and_then(of_device),
                Said::Lost(error) => Some(TaskOutputUpdate::Lost(error)),
                Said::Failed(error) => Some(TaskOutputUpdate::Failed(error)),
            })
        });
        let is_last = |update: &TaskOutputUpdate| {
            matches!(update, TaskOutputUpdate::Ended(_) | TaskOutputUpdate::Failed(_))
        };
        until_over(updates.boxed(), is_last)
    }
}

fn of_device(update: OutputUpdate) -> Option<TaskOutputUpdate> {
    match update {
        OutputUpdate::Bytes { offset, data } => Some(TaskOutputUpdate::Bytes { offset, data }),
        OutputUpdate::Gap(gap) => Some(TaskOutputUpdate::Gap(gap)),
        OutputUpdate::Ended(task) => Some(TaskOutputUpdate::Ended(task)),
        // Of the connection to a server.
        OutputUpdate::Lost { .. } => None,
    }
}
