//! Tasks: starting, looking, stopping.

use foreman_protocol::{DeviceId, Page, StartTask, StopAllAnswer, Task, TaskId, TaskSpec, TaskState};
use reqwest::Method;

use crate::{Error, Foreman, Listing, PageRequest, devices::http_post, request::Query};

/// Which tasks a list should have; the default is all of them.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Any of these; empty means any state.
    pub states: Vec<TaskState>,
    pub device: Option<DeviceId>,
    /// Part of the command.
    pub text: Option<String>,
}

impl TaskFilter {
    /// Tasks that are not over.
    #[must_use]
    pub fn active() -> Self {
        Self { states: vec![TaskState::Queued, TaskState::Running], ..Self::default() }
    }

    fn query(&self) -> Query {
        let states: Vec<_> = self.states.iter().map(|state| state.as_str()).collect();
        let mut query = Query::default();
        query.add("state", (!states.is_empty()).then(|| states.join(",")));
        query.add("device", self.device);
        query.add("q", self.text.as_ref());
        query
    }
}

impl Foreman {
    /// Gives a device something to run. The device's policy has the last word.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start_task(&self, device: DeviceId, spec: &TaskSpec) -> Result<Task, Error> {
        self.send_json(Method::POST, &format!("devices/{device}/tasks"), spec).await
    }

    /// The same with an id of the caller's: asked again it is answered with the task that is there.
    ///
    /// # Errors
    /// See [`Error`]; `conflict` when another task has the id.
    pub async fn start_task_once(&self, device: DeviceId, start: &StartTask) -> Result<Task, Error> {
        self.send_json(Method::POST, &format!("devices/{device}/tasks"), start).await
    }

    /// # Errors
    /// See [`Error`]; `not_found`.
    pub async fn task(&self, id: TaskId) -> Result<Task, Error> {
        self.get(&format!("tasks/{id}"), &Query::default()).await
    }

    /// All tasks that fit, newest first.
    #[must_use]
    pub fn tasks(&self, filter: &TaskFilter) -> Listing<Task> {
        self.listing("tasks".to_owned(), filter.query())
    }

    /// One page of them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tasks_page(&self, filter: &TaskFilter, page: &PageRequest) -> Result<Page<Task>, Error> {
        self.page("tasks", &filter.query(), page).await
    }

    /// Asks for a stop; the task is over when its state says so.
    ///
    /// # Errors
    /// See [`Error`]; `conflict` when it has ended.
    pub async fn stop_task(&self, id: TaskId) -> Result<Task, Error> {
        http_post(self, &format!("tasks/{id}/stop")).await
    }

    /// Asks for a stop of everything queued or running on a device.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stop_all_tasks(&self, device: DeviceId) -> Result<StopAllAnswer, Error> {
        http_post(self, &format!("devices/{device}/tasks/stop")).await
    }
}
