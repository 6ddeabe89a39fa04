//! Tasks of a device, started and looked at there: with its server away, too.

use foreman_protocol::{Page, StartTask, Task, TaskId};

use super::{DeviceConnection, ask::Ask};
use crate::Error;

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
}
