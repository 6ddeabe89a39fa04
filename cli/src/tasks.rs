//! Tasks of one device: with its server, or on the device itself, over the link, where no server is reached.

use anyhow::{Result, bail};
use foreman_client::{
    DeviceConnection, Error, Foreman, OutputUpdate, PageRequest, TaskFilter, device::TaskOutputUpdate,
};
use foreman_protocol::{DeviceId, ProblemCode, StartTask, Task, TaskId};
use futures_util::{StreamExt, stream::BoxStream};

use crate::{
    context::Context,
    output::{note, put},
};

/// So many of a server's are listed, the newest first.
const LISTED: u32 = 50;

/// Who is asked.
pub enum Tasks {
    Server { server: Foreman, device: DeviceId },
    Device { device: DeviceConnection, server: Option<Foreman> },
}

impl Tasks {
    /// Those of a device. `direct`: not through its server, even where that could be asked.
    pub async fn of(context: &Context, which: &str, direct: bool) -> Result<Self> {
        // A server that hands the task on proves no identity.
        let direct = direct || context.names_identity();
        let named = if direct { context.find_met(which).await? } else { context.find(which).await? };
        match context.maybe_server()? {
            Some(server) if named.listed && !direct => Ok(Self::Server { server, device: named.id }),
            server => Ok(Self::Device { device: context.open_named(&named).await?, server }),
        }
    }

    /// Gives the device something to run, once however often it is asked.
    pub async fn start(&self, start: &StartTask) -> Result<Task, Error> {
        match self {
            Self::Server { server, device } => server.start_task_once(*device, start).await,
            Self::Device { device, .. } => device.start_task(start).await,
        }
    }

    /// The newest first. A device knows what waits or runs there, and what it could not tell its server yet.
    pub async fn list(&self) -> Result<Vec<Task>, Error> {
        match self {
            Self::Server { server, device } => {
                let filter = TaskFilter { device: Some(*device), ..TaskFilter::default() };
                let page = PageRequest { limit: Some(LISTED), ..PageRequest::default() };
                Ok(server.tasks_page(&filter, &page).await?.items)
            }
            Self::Device { device, .. } => device.tasks().await,
        }
    }

    pub async fn stop(&self, task: TaskId) -> Result<Task, Error> {
        match self {
            Self::Server { server, .. } => server.stop_task(task).await,
            Self::Device { device, .. } => device.stop_task(task).await,
        }
    }

    /// The one that an id or the beginning of one means.
    pub async fn find(&self, which: &str) -> Result<TaskId> {
        if let Ok(id) = which.parse() {
            return Ok(id);
        }
        let mut fit = self.list().await?.into_iter().filter(|task| task.id.to_string().starts_with(which));
        match (fit.next(), fit.next()) {
            (Some(task), None) => Ok(task.id),
            (None, _) => bail!("there is no task {which} there"),
            _ => bail!("{which} may be several tasks: write more of its id"),
        }
    }

    /// Shows output until the task is over. `Ctrl-C` stops it where that is wanted; a second one leaves it to itself.
    pub async fn follow(&self, task: TaskId, stops: bool) -> Result<Task> {
        let (mut output, mut next) = (self.output(task, 0), 0);
        let mut stopping = false;
        loop {
            tokio::select! {
                update = output.next() => match update {
                    Some(TaskOutputUpdate::Bytes { offset, data }) => {
                        put(&data);
                        next = offset + data.len() as u64;
                    }
                    Some(TaskOutputUpdate::Gap(gap)) => {
                        note(format!("{} bytes of output are gone", gap.to - gap.from));
                    }
                    Some(TaskOutputUpdate::Lost(why)) => {
                        note(format!("{why}; the task goes on, its output follows"));
                    }
                    Some(TaskOutputUpdate::Ended(task)) => return Ok(*task),
                    Some(TaskOutputUpdate::Failed(error)) => output = self.elsewhere(task, next, error)?,
                    None => bail!("the output of {task} ended without saying how the task did"),
                },
                _ = tokio::signal::ctrl_c() => {
                    if !stops || stopping {
                        bail!("left {task}{}", if stopping { " while it is being stopped" } else { ", which goes on" });
                    }
                    stopping = true;
                    note("stopping it; Ctrl-C again to leave it");
                    if let Err(error) = self.stop(task).await {
                        note(format!("it could not be stopped: {error}"));
                    }
                }
            }
        }
    }

    /// What a device does not have any more, its server has.
    fn elsewhere(
        &self,
        task: TaskId,
        next: u64,
        error: Error,
    ) -> Result<BoxStream<'static, TaskOutputUpdate>> {
        match self {
            Self::Device { server: Some(server), .. } if error.code() == Some(ProblemCode::NotFound) => {
                Ok(of_server(server, task, next))
            }
            _ => Err(error.into()),
        }
    }

    fn output(&self, task: TaskId, from: u64) -> BoxStream<'static, TaskOutputUpdate> {
        match self {
            Self::Server { server, .. } => of_server(server, task, from),
            Self::Device { device, .. } => device.live_output(task, from),
        }
    }
}

fn of_server(server: &Foreman, task: TaskId, from: u64) -> BoxStream<'static, TaskOutputUpdate> {
    let updates = server.live_output(task, from).map(|update| match update {
        OutputUpdate::Bytes { offset, data } => TaskOutputUpdate::Bytes { offset, data },
        OutputUpdate::Gap(gap) => TaskOutputUpdate::Gap(gap),
        OutputUpdate::Lost { error, .. } => {
            TaskOutputUpdate::Lost(Error::Unreachable { message: error.to_string() })
        }
        OutputUpdate::Ended(task) => TaskOutputUpdate::Ended(task),
    });
    updates.boxed()
}
