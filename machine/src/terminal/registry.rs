//! All terminals of this agent: opened here, found here, and forgotten a while after they have ended.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use foreman_protocol::{
    LinkUse, OpenTerminal, Policy, TaskCommand, TaskSpec, Terminal, TerminalId, UpdateTerminal,
};

use super::{
    attach::{self, AttachError, Typing, Watching},
    hold::Orders,
    pty::{self, Children, Output},
    pump, record,
    session::Session,
    shell::{self, Program},
};
use crate::{
    policy::{Refusal, check_run},
    run::Moment,
};

/// The longest name, in characters.
pub(super) const MOST_NAME: usize = 64;
/// The longest command with its arguments, in bytes: viewers are told it.
const MOST_COMMAND: usize = 16 * 1024;
/// Those that have ended and are still listed included.
const MOST_TERMINALS: usize = 64;
const USUAL_SIZE: (u16, u16) = (80, 24);

/// What terminals need of the program they live in.
pub struct Setup {
    /// Program and first arguments of a process that calls [`super::hold`] with the arguments behind them.
    pub holder: Vec<OsString>,
    /// Where recordings go, up to 1 GiB of them. Made when needed.
    pub recordings: PathBuf,
    /// Environment variables that begin with this are the agent's own.
    pub hidden_env: &'static str,
    /// Between the request to end a terminal and the kill.
    pub grace: Duration,
    /// How long one that ended stays listed.
    pub kept: Duration,
    /// Hears of each terminal that was opened or has ended. Must not block.
    pub on_use: Box<dyn Fn(LinkUse) + Send + Sync>,
}

/// Who opens a terminal.
#[derive(Debug, Clone)]
pub struct Opener {
    /// For people.
    pub name: String,
    /// The same for the same caller, see [`Terminals::owner`].
    pub owner: String,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{refusal}")]
    Refused {
        /// What decides; `None` when the directory cannot be used at all.
        setting: Option<&'static str>,
        refusal: Refusal,
    },
    #[error("{message}")]
    Invalid { field: &'static str, message: String },
    #[error("{MOST_TERMINALS} terminals are open on this device, and no more can be. End one and try again.")]
    TooMany,
    #[error("the terminal could not be opened")]
    Failed(#[source] anyhow::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("There is no such terminal on this device; it may have ended a while ago.")]
    NotFound,
    #[error("{message}")]
    Invalid { field: &'static str, message: String },
    #[error("This terminal has ended, so it cannot be recorded any more.")]
    Ended,
    #[error("the recording could not be begun")]
    Failed(#[source] anyhow::Error),
}

pub struct Terminals {
    shared: Arc<Shared>,
}

struct Shared {
    setup: Setup,
    recordings: Arc<record::Recordings>,
    sessions: Mutex<BTreeMap<TerminalId, Arc<Session>>>,
}

impl fmt::Debug for Terminals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminals").field("count", &self.shared.lock().len()).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TerminalId, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room when only those that have ended stand in the way, the oldest first.
    fn has_room(&self) -> bool {
        let mut sessions = self.lock();
        if sessions.len() < MOST_TERMINALS {
            return true;
        }
        let ended = sessions.values().find(|session| session.lock().terminal.ended.is_some());
        let Some(ended) = ended.map(|session| session.id) else { return false };
        sessions.remove(&ended);
        true
    }
}

impl Terminals {
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let recordings = record::Recordings::at(setup.recordings.clone());
        Self { shared: Arc::new(Shared { setup, recordings, sessions: Mutex::default() }) }
    }

    /// Starts a terminal. Must be called inside a tokio runtime, in which it then lives.
    ///
    /// # Errors
    /// When the policy says no, the request makes no sense, or the system starts nothing. Nothing was started then.
    pub async fn open(
        &self,
        policy: &Policy,
        request: OpenTerminal,
        opener: Opener,
    ) -> Result<Terminal, OpenError> {
        let task = task(&request);
        let refused = |refusal| OpenError::Refused { setting: setting(policy, &task), refusal };
        let cwd = check_run(policy, &task).map_err(refused)?;
        let program = Program::new(&request.command);
        let name = match request.name.as_deref() {
            Some(name) => {
                check_name(name).map_err(|message| OpenError::Invalid { field: "name", message })?
            }
            None => program.name(),
        };
        check_command(&request.command)
            .map_err(|message| OpenError::Invalid { field: "command", message })?;
        if !self.shared.has_room() {
            return Err(OpenError::TooMany);
        }
        let size = match (request.cols, request.rows) {
            (0, 0) => USUAL_SIZE,
            (cols, rows) => clamp(cols, rows),
        };
        let terminal = Terminal {
            id: TerminalId::fresh(),
            name,
            command: program.command(),
            cwd: cwd.to_string_lossy().into_owned(),
            cols: size.0,
            rows: size.1,
            created_at: Moment::now().wall_ms,
            opened_by: opener.name,
            viewers: 0,
            writers: 0,
            recording: None,
            output_bytes: 0,
            ended: None,
        };
        let session = self.start(terminal, program, opener.owner).await.map_err(OpenError::Failed)?;
        if request.record {
            record::start(&session, &self.shared.recordings, 0).map_err(|error| {
                session.end("");
                OpenError::Failed(error)
            })?;
        }
        Ok(session.describe())
    }

    async fn start(
        &self,
        terminal: Terminal,
        program: Program,
        owner: String,
    ) -> anyhow::Result<Arc<Session>> {
        let setup = &self.shared.setup;
        let orders = Orders {
            grace: setup.grace,
            cwd: terminal.cwd.clone().into(),
            arg0: program.arg0,
            program: program.program,
            args: program.args,
        };
        let argv = setup.holder.iter().cloned().chain(orders.into_args()).collect();
        let env = shell::environment(setup.hidden_env);
        let size = (terminal.cols, terminal.rows);
        let children = Children::new()?;
        // In a thread: what others type must not wait for a process to start.
        let started = tokio::task::spawn_blocking(move || pty::start(argv, env, size)).await??;
        let (pty, output, child) = started.into_pty()?;
        let session = Arc::new(Session::new(terminal, owner, pty, child));
        self.shared.lock().insert(session.id, Arc::clone(&session));
        let by = session.lock().terminal.opened_by.clone();
        (setup.on_use)(LinkUse::TerminalOpened { terminal_id: session.id, by });
        tokio::spawn(live(Arc::clone(&self.shared), Arc::clone(&session), output, children));
        Ok(session)
    }

    /// The oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Terminal> {
        let sessions: Vec<_> = self.shared.lock().values().cloned().collect();
        sessions.iter().map(|session| session.describe()).collect()
    }

    #[must_use]
    pub fn get(&self, id: TerminalId) -> Option<Terminal> {
        self.find(id).map(|session| session.describe())
    }

    /// [`Opener::owner`] of whoever opened it.
    #[must_use]
    pub fn owner(&self, id: TerminalId) -> Option<String> {
        self.find(id).map(|session| session.owner.clone())
    }

    /// Names it anew, begins or ends its recording.
    ///
    /// # Errors
    /// See [`UpdateError`]; nothing was changed then.
    pub fn update(&self, id: TerminalId, update: &UpdateTerminal) -> Result<Terminal, UpdateError> {
        let session = self.find(id).ok_or(UpdateError::NotFound)?;
        let name = update.name.as_deref().map(check_name).transpose();
        let name = name.map_err(|message| UpdateError::Invalid { field: "name", message })?;
        match update.record {
            Some(true) => {
                let (ended, end) = {
                    let inner = session.lock();
                    (inner.terminal.ended.is_some(), inner.output.end())
                };
                if ended {
                    return Err(UpdateError::Ended);
                }
                record::start(&session, &self.shared.recordings, end).map_err(UpdateError::Failed)?;
            }
            Some(false) => record::stop(&session),
            None => {}
        }
        if let Some(name) = name {
            session.change(|inner| inner.terminal.name = name);
        }
        Ok(session.describe())
    }

    /// Asks for the end of a terminal and of everything started in it; one that has ended is forgotten. `false` when
    /// there is none.
    pub fn end(&self, id: TerminalId, by: &str) -> bool {
        let Some(session) = self.find(id) else { return false };
        let ended = session.lock().terminal.ended.is_some();
        if ended {
            self.shared.lock().remove(&id);
        } else {
            session.end(by);
        }
        true
    }

    /// Looks at a terminal from the byte `from` on, or from the first that is kept; with a `writer`, an id that the
    /// client keeps when it comes back, also writes.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach(
        &self,
        id: TerminalId,
        from: u64,
        writer: Option<&str>,
    ) -> Result<(Typing, Watching), AttachError> {
        attach::attach(self.find(id).ok_or(AttachError::NotFound)?, from, writer)
    }

    fn find(&self, id: TerminalId) -> Option<Arc<Session>> {
        self.shared.lock().get(&id).cloned()
    }
}

/// One terminal's life, to the day it is forgotten.
async fn live(shared: Arc<Shared>, session: Arc<Session>, output: Output, children: Children) {
    let status = pump::pump(&session, output, children).await;
    record::finish(&session).await;
    session.change(|inner| inner.finish(pump::ending(Moment::now().wall_ms, status)));
    let by = {
        let inner = session.lock();
        inner.ended_by.clone().unwrap_or_else(|| inner.terminal.opened_by.clone())
    };
    let id = session.id;
    drop(session);
    (shared.setup.on_use)(LinkUse::TerminalEnded { terminal_id: id, by });
    tokio::time::sleep(shared.setup.kept).await;
    shared.lock().remove(&id);
}

fn check_command(command: &[String]) -> Result<(), String> {
    let usable = |part: &String| !part.contains('\0');
    if command.first().is_some_and(String::is_empty) || !command.iter().all(usable) {
        return Err("A command begins with a program, and has no zero bytes.".to_owned());
    }
    if command.iter().map(|part| part.len() + 1).sum::<usize>() > MOST_COMMAND {
        return Err(format!("A command has at most {MOST_COMMAND} bytes."));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    let length = name.chars().count();
    if (1..=MOST_NAME).contains(&length) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(format!("A name has 1 to {MOST_NAME} characters, all of them visible."))
}

pub(super) fn clamp(cols: u16, rows: u16) -> (u16, u16) {
    (cols.clamp(2, 1000), rows.clamp(1, 1000))
}

/// What the policy decides about: the same as for a task.
fn task(request: &OpenTerminal) -> TaskSpec {
    let command = match request.command.split_first() {
        Some((program, args)) => TaskCommand::Program { program: program.clone(), args: args.to_vec() },
        None => TaskCommand::Shell { shell: String::new() },
    };
    TaskSpec { command, cwd: request.cwd.clone(), env: BTreeMap::new(), timeout_s: None }
}

/// Which setting refuses a task: the one without which it would be allowed.
fn setting(policy: &Policy, task: &TaskSpec) -> Option<&'static str> {
    if !policy.allow_bash {
        return Some("ALLOW_BASH");
    }
    let everywhere = Policy { allowed_paths: Vec::new(), blocked_paths: Vec::new(), ..policy.clone() };
    let unblocked = Policy { allowed_paths: policy.allowed_paths.clone(), ..everywhere.clone() };
    if check_run(&everywhere, task).is_err() {
        return None;
    }
    Some(if check_run(&unblocked, task).is_ok() { "BLOCKED_PATHS" } else { "ALLOWED_PATHS" })
}
