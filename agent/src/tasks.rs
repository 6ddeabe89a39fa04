//! The tasks of this device: takes commands, starts and stops, and sees each task through until the server has its
//! ending and its output.
//!
//! The order of things is what makes nothing run twice and nothing be lost: a command is in the journal before
//! anything is done about it; a refusal is in the journal before it is told; an ending is on disk (the supervisor's
//! `exit.json`) before it is told; a task's folder and row go only when the server has acknowledged both its ending
//! and all of its output.

mod board;
mod desk;
mod keeper;
mod leftover;
mod local;
mod outbox;
mod upload;

use std::{path::PathBuf, sync::Arc};

use foreman_machine::run::{Launcher, Limits};
use foreman_protocol::TaskId;
use tokio::sync::{Semaphore, watch};

use crate::{journal::Statement, line::Line, link::Gate, uplink::Uplink};

pub use board::Board;
pub use desk::{Desk, Event};
pub use leftover::stop_leftovers;
pub use local::{AskRefused, Asked};
pub use outbox::Outbox;

/// How many tasks may send output at the same time, each holding one piece in memory.
const UPLOADS: usize = 4;

/// What every task of this device shares.
pub struct Setup {
    pub uplink: Arc<Uplink>,
    pub outbox: Outbox,
    /// What callers of the link see.
    pub board: Arc<Board>,
    pub line: watch::Receiver<Line>,
    pub launcher: Launcher,
    pub limits: Limits,
    pub cgroup: Option<PathBuf>,
    pub policy: PathBuf,
    /// Whom this device trusts, its server included.
    pub gate: Arc<Gate>,
    /// Where the task folders are.
    pub tasks: PathBuf,
    /// Tasks beyond this many wait for their turn.
    pub most_running: usize,
    /// The tasks that run now.
    pub running: watch::Sender<Vec<TaskId>>,
    uploads: Semaphore,
}

/// The parts of a [`Setup`] that somebody decides.
pub struct Choices {
    pub launcher: Launcher,
    pub limits: Limits,
    pub cgroup: Option<PathBuf>,
    pub policy: PathBuf,
    pub gate: Arc<Gate>,
    pub tasks: PathBuf,
    pub most_running: usize,
}

impl Setup {
    #[must_use]
    pub fn new(uplink: Arc<Uplink>, line: watch::Receiver<Line>, choices: Choices) -> Arc<Self> {
        let Choices { launcher, limits, cgroup, policy, gate, tasks, most_running } = choices;
        Arc::new(Self {
            board: Arc::new(Board::new(uplink.device_id())),
            uplink,
            outbox: Outbox::default(),
            line,
            launcher,
            limits,
            cgroup,
            policy,
            gate,
            tasks,
            most_running: most_running.max(1),
            running: watch::Sender::default(),
            uploads: Semaphore::new(UPLOADS),
        })
    }

    /// Says something of a task, to the server and to whoever looks here.
    fn say(&self, statement: Statement) {
        self.board.note(&statement);
        self.outbox.say(statement);
    }
}
