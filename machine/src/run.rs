//! Runs one task so that it outlives whoever asked for it.
//!
//! Each task has a [`TaskFolder`] and a *supervisor*: a small process of its own ([`supervise`]) that starts the
//! command, keeps its output in files, enforces its limits, ends its whole process tree when asked, and writes
//! down how it ended. The agent may die and come back at any moment: it finds the supervisor again by the
//! folder ([`adopt`]), or the ending it left behind.
//!
//! A task can never run twice: the supervisor's listening socket in the folder *is* the claim, made by an
//! exclusive link before the command starts, and never removed before the folder is.
//!
//! What ends when: a task ends when its main process has ended and its output is closed, at the latest 2 s
//! after the main process. Children it left running in the background then live on; they are ended when the
//! task is stopped or its time is up, those that left the process group or the session included.

#[cfg_attr(windows, path = "run/cgroup/absent.rs")]
mod cgroup;
mod exit;
mod folder;
mod launch;
mod moment;
mod notices;
mod output;
#[cfg(windows)]
mod pipe;
#[cfg(unix)]
pub(crate) mod reaper;
mod spec;
mod spool;
mod supervise;
#[cfg(unix)]
pub(crate) mod tree;

pub use cgroup::delegated_cgroup;
pub(crate) use exit::Reaped;
pub use exit::{Ending, Exit, StopCause};
pub use folder::{Started, TaskFolder};
pub use launch::{Launcher, News, Supervised, adopt};
pub use moment::Moment;
pub use output::{OutputReader, Piece};
pub use spec::{Limits, RunSpec};
pub use supervise::{SuperviseError, supervise};
