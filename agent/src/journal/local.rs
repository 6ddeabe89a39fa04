//! What the journal keeps of tasks that begin at this device: the same rows as those of the server's tasks, so that a task
//! with an id that was seen, wherever it was asked for, never runs again.

use foreman_machine::run::Moment;
use foreman_protocol::{TaskId, TaskSpec};
use redb::{ReadableTable, WriteTransaction};

use super::{Journal, Local, Phase, TASKS, TaskRow, get, put};

/// What became of a task that somebody at this device asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Start it now: it is written down as starting.
    Start,
    /// Written down to be started later, in order.
    Queued,
    /// It was asked for before, here or by the server.
    Known,
}

impl Journal {
    /// Writes down that somebody here asked for a task, durably, and says what is to be done. `free`: it may start now.
    ///
    /// # Errors
    /// When nothing could be written; then nothing may be done either.
    pub fn take_local(&self, spec: &TaskSpec, local: &Local, free: bool) -> anyhow::Result<Taken> {
        self.write(|write| {
            let id = local.task.id;
            if get(write, id)?.is_some() {
                return Ok(Taken::Known);
            }
            let (phase, taken) =
                if free { (Phase::Starting, Taken::Start) } else { (Phase::Queued, Taken::Queued) };
            let row = TaskRow::new(last_seq(write)?, phase, Some(spec.clone()), Moment::now());
            put(write, id, &TaskRow { local: Some(local.clone()), ..row })?;
            Ok(taken)
        })
    }

    /// Somebody here asked to stop it; whether there is something to stop.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn stop_local(&self, id: TaskId) -> anyhow::Result<bool> {
        self.write(|write| match get(write, id)? {
            Some(row) if matches!(row.phase, Phase::Queued | Phase::Starting) => {
                put(write, id, &TaskRow { stop: true, ..row })?;
                Ok(true)
            }
            _ => Ok(false),
        })
    }

    /// The server knows of these.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn starts_told(&self, ids: &[TaskId]) -> anyhow::Result<()> {
        self.write(|write| {
            for id in ids {
                if let Some(mut row) = get(write, *id)?
                    && let Some(local) = &mut row.local
                {
                    local.told = true;
                    put(write, *id, &row)?;
                }
            }
            Ok(())
        })
    }
}

/// Behind everything that came before; ids, which sort by their time, tell those of one place apart.
fn last_seq(write: &WriteTransaction) -> anyhow::Result<i64> {
    let mut last = 0;
    for entry in write.open_table(TASKS)?.iter()? {
        last = last.max(TaskRow::decode(entry?.1.value())?.seq);
    }
    Ok(last)
}
