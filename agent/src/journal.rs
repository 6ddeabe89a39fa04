//! What must not be forgotten: which commands were seen and what became of each task.
//!
//! A command is written down, durably, before anything is done about it, and acknowledged after. So a command
//! that comes again is known, and a task is started by at most one life of the agent: a row that says
//! [`Phase::Starting`] in an earlier boot of the machine is never started again.

mod link;
mod local;
mod row;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::Context;
use foreman_machine::run::Moment;
use foreman_protocol::{Command, CommandAction, DeviceId, LinkReport, Millis, TaskId, TaskState};
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};

pub use local::Taken;
pub use row::{Local, Phase, Statement, TaskRow};

use crate::uplink::NotUnderstood;

/// When a command was seen, by its id.
const COMMANDS: TableDefinition<'_, &str, i64> = TableDefinition::new("commands");
/// [`TaskRow`] as JSON, by task id.
const TASKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tasks");
/// When a revocation came, by its signed text.
const REVOCATIONS: TableDefinition<'_, &str, i64> = TableDefinition::new("revocations");
/// [`foreman_protocol::LinkReport`] as JSON, by its id.
const LINK_REPORTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("link_reports");
/// Whose journal this is.
const OWNER: TableDefinition<'_, &str, &str> = TableDefinition::new("owner");

/// How long ended tasks and seen commands are remembered.
const KEPT_MS: Millis = 7 * 24 * 3_600_000;
/// The most of them, whatever their age: a server that never stops cannot fill the disk.
const MOST_KEPT: u64 = 50_000;
/// The database's own cache, in bytes. Its default would be far more than the agent.
const CACHE: usize = 512 * 1024;

/// The journal's file.
pub struct Journal {
    path: PathBuf,
    device: DeviceId,
    /// `None` after an error: the database must then be opened anew.
    db: Mutex<Option<Database>>,
}

/// What a command that was not seen before asks for.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Start it now: it is written down as starting.
    Start(TaskId),
    /// Written down to be started later, in order.
    Queue(TaskId),
    Stop(TaskId),
    /// The task is settled by this statement and was never started.
    Settle(Statement),
    Probe,
    /// Somebody's right to be here was taken back: the signed text, and what is to be told of it.
    Revoke {
        revocation: String,
        report: Option<LinkReport>,
    },
}

impl Journal {
    /// Opens the journal of a device; one of another device is emptied.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(path: &Path, device: DeviceId) -> anyhow::Result<Self> {
        let db = Mutex::new(Some(open(path, device)?));
        Ok(Self { path: path.to_owned(), device, db })
    }

    /// An error closes the database, so that the next attempt begins with what is on disk.
    fn with<T>(&self, act: impl FnOnce(&Database) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut held = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let db = match held.take() {
            Some(db) => db,
            None => open(&self.path, self.device)?,
        };
        let done = act(&db)?;
        *held = Some(db);
        Ok(done)
    }

    fn write<T>(&self, act: impl FnOnce(&mut WriteTransaction) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.with(|db| {
            let mut write = db.begin_write()?;
            let done = act(&mut write)?;
            write.commit()?;
            Ok(done)
        })
    }

    /// Writes commands down, durably and in one step, and says what is to be done: nothing for those seen before.
    /// Up to `free` tasks may start now. What is `done` is written down with it, see [`Journal::done`].
    ///
    /// # Errors
    /// When nothing could be written; then nothing may be done or acknowledged either.
    pub fn take(
        &self,
        commands: &[Result<Command, NotUnderstood>],
        mut free: usize,
        done: &[TaskId],
    ) -> anyhow::Result<Vec<Effect>> {
        self.write(|write| {
            put_done(write, done)?;
            let mut effects = Vec::new();
            let now = Moment::now();
            for command in commands {
                let id = match command {
                    Ok(command) => command.id,
                    Err(not_understood) => not_understood.id,
                };
                let before =
                    write.open_table(COMMANDS)?.insert(id.to_string().as_str(), now.wall_ms)?.is_some();
                if before {
                    continue;
                }
                let effect = match command {
                    Ok(command) => apply(write, command, &now, &mut free)?,
                    Err(not_understood) => refuse(write, not_understood, &now)?,
                };
                effects.extend(effect);
            }
            Ok(effects)
        })
    }

    /// Every task that is not done, in the order they came.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open_tasks(&self) -> anyhow::Result<Vec<(TaskId, TaskRow)>> {
        self.with(|db| {
            let mut open = Vec::new();
            for entry in db.begin_read()?.open_table(TASKS)?.iter()? {
                let (id, row) = entry?;
                let row = TaskRow::decode(row.value())?;
                if row.phase != Phase::Done {
                    open.push((id.value().parse()?, row));
                }
            }
            open.sort_by_key(|(_, row)| row.seq);
            Ok(open)
        })
    }

    /// # Errors
    /// When the file cannot be read.
    pub fn task(&self, id: TaskId) -> anyhow::Result<Option<TaskRow>> {
        self.with(|db| {
            let row = db.begin_read()?.open_table(TASKS)?.get(id.to_string().as_str())?;
            row.map(|row| TaskRow::decode(row.value())).transpose()
        })
    }

    /// A queued task is starting now: durable before it returns, because from here on it may have run. `None`
    /// when it is not queued any more.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn begin(&self, id: TaskId) -> anyhow::Result<Option<TaskRow>> {
        self.write(|write| {
            let Some(row) = get(write, id)?.filter(|row| row.phase == Phase::Queued) else { return Ok(None) };
            let row = TaskRow { phase: Phase::Starting, at: Moment::now(), ..row };
            put(write, id, &row)?;
            Ok(Some(row))
        })
    }

    /// A task that will never run here, and what the server is to be told. Durable: what was said once stays true.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn settle(&self, statement: &Statement) -> anyhow::Result<()> {
        let id = statement.report.task_id;
        self.write(|write| {
            if let Some(row) = get(write, id)? {
                let statement = Some(statement.clone());
                put(write, id, &TaskRow { phase: Phase::Settled, spec: None, statement, ..row })?;
            }
            Ok(())
        })
    }

    /// The server knows how these tasks ended and has their output. Only when this has returned may their folders
    /// go: a row that says starting, without a folder, is a task that was never started.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn done(&self, ids: &[TaskId]) -> anyhow::Result<()> {
        self.write(|write| put_done(write, ids))
    }

    /// Forgets what is long done.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn prune(&self) -> anyhow::Result<()> {
        let oldest = Moment::now().wall_ms - KEPT_MS;
        self.write(|write| {
            let mut commands = write.open_table(COMMANDS)?;
            commands.retain(|_, at| at >= oldest)?;
            // Ids sort by the time they were made, so the first are the oldest.
            while commands.len()? > MOST_KEPT {
                commands.pop_first()?;
            }
            let mut tasks = write.open_table(TASKS)?;
            let mut surplus = tasks.len()?.saturating_sub(MOST_KEPT);
            tasks.retain(|_, row| {
                let Ok(row) = TaskRow::decode(row) else { return true };
                let forget = row.phase == Phase::Done && (row.at.wall_ms < oldest || surplus > 0);
                surplus -= u64::from(forget && surplus > 0);
                !forget
            })?;
            Ok(())
        })
    }
}

fn open(path: &Path, device: DeviceId) -> anyhow::Result<Database> {
    let open = || -> anyhow::Result<Database> {
        let db = Database::builder().set_cache_size(CACHE).create(path)?;
        let write = db.begin_write()?;
        let device = device.to_string();
        let same = write
            .open_table(OWNER)?
            .insert("device", device.as_str())?
            .is_none_or(|old| old.value() == device);
        if !same {
            write.delete_table(COMMANDS)?;
            write.delete_table(TASKS)?;
            write.delete_table(REVOCATIONS)?;
            write.delete_table(LINK_REPORTS)?;
        }
        write.open_table(COMMANDS)?;
        write.open_table(TASKS)?;
        write.open_table(REVOCATIONS)?;
        write.open_table(LINK_REPORTS)?;
        write.commit()?;
        Ok(db)
    };
    open().with_context(|| {
        format!(
            "The journal {} cannot be used. Without it the agent does not know which tasks it ran",
            path.display()
        )
    })
}

fn apply(
    write: &WriteTransaction,
    command: &Command,
    now: &Moment,
    free: &mut usize,
) -> anyhow::Result<Option<Effect>> {
    match &command.action {
        CommandAction::StartTask { task_id, spec } => {
            if get(write, *task_id)?.is_some() {
                return Ok(None);
            }
            let (phase, effect) = if *free > 0 {
                *free -= 1;
                (Phase::Starting, Effect::Start(*task_id))
            } else {
                (Phase::Queued, Effect::Queue(*task_id))
            };
            put(write, *task_id, &TaskRow::new(command.seq, phase, Some(spec.clone()), now.clone()))?;
            Ok(Some(effect))
        }
        CommandAction::StopTask { task_id } => match get(write, *task_id)? {
            Some(mut row) if matches!(row.phase, Phase::Queued | Phase::Starting) => {
                row.stop = true;
                put(write, *task_id, &row)?;
                Ok(Some(Effect::Stop(*task_id)))
            }
            Some(_) => Ok(None),
            None => {
                let reason = "This device has no record of it.";
                settle_unstarted(write, *task_id, command.seq, TaskState::Lost, reason, now)
            }
        },
        CommandAction::Probe => Ok(Some(Effect::Probe)),
        CommandAction::Revoke { revocation } => link::revoke(write, revocation, now),
        CommandAction::Unknown => Ok(None),
    }
}

fn refuse(
    write: &WriteTransaction,
    not_understood: &NotUnderstood,
    now: &Moment,
) -> anyhow::Result<Option<Effect>> {
    let Some(task_id) = not_understood.task_id else { return Ok(None) };
    if get(write, task_id)?.is_some() {
        return Ok(None);
    }
    let reason = "The agent on this device is too old to understand this task. Update the agent.";
    settle_unstarted(write, task_id, not_understood.seq, TaskState::Failed, reason, now)
}

fn settle_unstarted(
    write: &WriteTransaction,
    task_id: TaskId,
    seq: i64,
    state: TaskState,
    reason: &str,
    now: &Moment,
) -> anyhow::Result<Option<Effect>> {
    let statement = Statement::unstarted(task_id, state, reason.to_owned(), now.clone());
    let mut row = TaskRow::new(seq, Phase::Settled, None, now.clone());
    row.statement = Some(statement.clone());
    put(write, task_id, &row)?;
    Ok(Some(Effect::Settle(statement)))
}

fn put_done(write: &WriteTransaction, ids: &[TaskId]) -> anyhow::Result<()> {
    for id in ids {
        if let Some(row) = get(write, *id)? {
            put(
                write,
                *id,
                &TaskRow { phase: Phase::Done, spec: None, statement: None, local: None, ..row },
            )?;
        }
    }
    Ok(())
}

fn get(write: &WriteTransaction, id: TaskId) -> anyhow::Result<Option<TaskRow>> {
    let tasks = write.open_table(TASKS)?;
    let row = tasks.get(id.to_string().as_str())?;
    row.map(|row| TaskRow::decode(row.value())).transpose()
}

fn put(write: &WriteTransaction, id: TaskId, row: &TaskRow) -> anyhow::Result<()> {
    write.open_table(TASKS)?.insert(id.to_string().as_str(), row.encode()?.as_slice())?;
    Ok(())
}

#[cfg(test)]
mod tests;
