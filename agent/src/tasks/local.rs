//! Tasks that somebody asks for at this device, over its link: they go the same way as those of the server.

use std::sync::Arc;

use foreman_machine::run::Moment;
use foreman_protocol::{LocalTask, StartTask, Task, TaskId, TaskSpec};
use tokio::sync::oneshot;

use super::{Event, desk::Desk};
use crate::journal::{Journal, Local, Taken};

/// More do not wait here: whoever asks for so many does not look at them.
const MOST_WAITING: usize = 1_000;

/// What somebody here wants of the desk.
pub enum Asked {
    Start { spec: TaskSpec, local: Box<Local>, reply: oneshot::Sender<Result<Task, AskRefused>> },
    Stop { task: TaskId, reply: oneshot::Sender<()> },
}

/// Why a task was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskRefused {
    /// It ran before, and the server has all of it.
    Over,
    /// This many wait already.
    TooMany(usize),
}

impl Local {
    /// Somebody here asks for it now.
    #[must_use]
    pub fn asked(start: &StartTask, by: String, owner: String) -> Self {
        let TaskSpec { command, cwd, env, timeout_s } = start.spec.clone();
        let id = start.id.unwrap_or_else(TaskId::fresh);
        let env_names = env.into_keys().collect();
        let task = LocalTask { id, command, cwd, env_names, timeout_s, by, ago_ms: 0 };
        Self { task, owner, asked: Moment::now(), told: false }
    }
}

impl Desk {
    pub(super) async fn asked(&mut self, asked: Asked) {
        // Whoever asked may be gone; what they asked for is done all the same.
        match asked {
            Asked::Start { spec, local, reply } => {
                let taken = self.start_local(spec, local).await;
                let _ = reply.send(taken);
            }
            Asked::Stop { task, reply } => {
                self.stop_local(task).await;
                let _ = reply.send(());
            }
        }
    }

    async fn start_local(&mut self, spec: TaskSpec, local: Box<Local>) -> Result<Task, AskRefused> {
        let id = local.task.id;
        if self.queue.len() >= MOST_WAITING && self.setup.board.get(id).is_none() {
            return Err(AskRefused::TooMany(MOST_WAITING));
        }
        let free = self.queue.is_empty() && self.free() > 0;
        let asked = Arc::new((spec, local));
        let written = Arc::clone(&asked);
        let taken =
            self.in_journal(move |journal: &Journal| journal.take_local(&written.0, &written.1, free));
        let taken = taken.await;
        let (spec, local) = &*asked;
        if taken != Taken::Known {
            self.setup.board.put(id, spec, Some(local), local.asked.wall_ms);
            self.setup.outbox.tell_of_start(Local::clone(local));
        }
        match taken {
            Taken::Start => self.start(id, spec, true, false).await,
            Taken::Queued => self.queue.push_back(id),
            Taken::Known => {}
        }
        self.setup.board.get(id).ok_or(AskRefused::Over)
    }

    async fn stop_local(&mut self, task: TaskId) {
        if self.in_journal(move |journal: &Journal| journal.stop_local(task)).await {
            self.stop(task).await;
        }
    }

    /// What an earlier life of the agent took here and did not tell.
    pub(super) fn resume_local(&self, local: &Local) {
        if !local.told {
            self.setup.outbox.tell_of_start(local.clone());
        }
    }

    /// The server knows of these.
    pub(super) async fn starts_told(&self, tasks: Vec<TaskId>) {
        self.in_journal(move |journal: &Journal| journal.starts_told(&tasks)).await;
    }
}

impl From<Asked> for Event {
    fn from(asked: Asked) -> Self {
        Self::Asked(Box::new(asked))
    }
}
