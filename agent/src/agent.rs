//! The running agent: everything at once, in one thread, until somebody ends it or the server lets it go.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use foreman_link::http;
use foreman_machine::run::{Launcher, Limits, Moment, delegated_cgroup};
use foreman_protocol::Capabilities;
use tokio::sync::{Notify, mpsc, watch};

use crate::{
    device_api::{self, Device, Parts, revocations::Revocations, uploads},
    ending,
    identity::Identity,
    journal::Journal,
    line::Line,
    link::{self, Gate, Link, tailscale, trust::Trust},
    state::{Lock, State, remove_file},
    status::{self, Said},
    tasks::{Choices, Desk, Event, Setup},
    uplink::{Delivery, Uplink},
    vitals::Vitals,
};

/// What somebody decides about a running agent.
#[derive(Debug, Clone)]
pub struct Settings {
    pub limits: Limits,
    pub most_running: usize,
    pub link: link::Wishes,
}

/// Steps on the way to a working agent, told as they become true.
#[derive(Debug)]
pub enum Progress {
    /// The command stream is open.
    Opened,
    Detected(Box<Capabilities>),
    /// The server has the facts.
    Told,
    /// The server has a heartbeat.
    Beat,
    /// The server cannot be reached; it is tried again.
    Lost(String),
}

/// Why an agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By a signal, or because whoever started it had enough. Tasks run on.
    Asked,
    /// The server deleted this device. Tasks were stopped and the identity removed.
    Gone,
}

/// Runs the agent of a state directory whose lock is held.
///
/// # Errors
/// When it cannot begin: the journal or the network client cannot be used.
pub async fn run(
    state: &State,
    _lock: Lock,
    identity: &Identity,
    settings: Settings,
    progress: Option<mpsc::UnboundedSender<Progress>>,
) -> anyhow::Result<Ended> {
    let client = http::client().context("Cannot make connections")?;
    let uplink = Uplink::new(client, &identity.server, identity.device_id, identity.key.clone());
    let journal = Arc::new(Journal::open(&state.journal(), identity.device_id)?);
    let gate = Gate::new(state, identity.key.clone().into(), &journal.revocations()?);
    let (line, line_heard) = watch::channel(Line::Down { since: now(), error: String::new() });
    let choices = Choices {
        launcher: launcher()?,
        limits: settings.limits,
        cgroup: delegated_cgroup(),
        policy: state.policy(),
        gate: Arc::clone(&gate),
        tasks: state.tasks(),
        most_running: settings.most_running,
    };
    let setup = Setup::new(Arc::clone(&uplink), line_heard.clone(), choices);
    let (reports, said) = link::reports();
    let choices = settings.link.kept(&state.link_choices())?;
    let probe = Arc::new(Notify::new());
    let mut desk = Desk::new(Arc::clone(&setup), Arc::clone(&journal), Arc::clone(&probe));
    let events = desk.sender();
    let tasks = device_api::tasks::Tasks::new(Arc::clone(&setup.board), events.clone(), state.tasks());
    let revocations =
        Revocations { gate: Arc::clone(&gate), journal: Arc::clone(&journal), reports: reports.clone() };
    let parts = Parts::new(state, setup.running.subscribe(), tasks, revocations)?;
    let files = Arc::clone(&parts.files);
    let models_changed = Arc::clone(&parts.models_changed);
    let device = Device::new(identity.device_id, identity.name.clone(), state.policy());
    let router = device_api::router(Arc::new(device), parts);
    let (link, handle) = Link::open(state, gate, choices, router, Arc::clone(&uplink), reports).await?;
    desk.resume().await?;
    let vitals = Vitals {
        uplink: Arc::clone(&uplink),
        state_dir: state.dir().to_owned(),
        policy: state.policy(),
        link: handle.clone(),
        running: setup.running.subscribe(),
        line: line_heard.clone(),
        probe,
        models_changed,
        progress: progress.clone(),
    };
    tracing::info!(server = %identity.server, device.id = %identity.device_id, "the agent is running");
    let ended = tokio::select! {
        () = desk.run() => Ended::Asked,
        () = listen(&uplink, &events, &handle, &line, progress.as_ref()) => Ended::Gone,
        () = setup.outbox.deliver(&setup, &events) => Ended::Gone,
        () = vitals.report() => Ended::Gone,
        () = link.run(line_heard.clone()) => Ended::Asked,
        () = uploads::keep_clean(files) => Ended::Asked,
        () = said.keep(journal, &setup.outbox) => Ended::Asked,
        () = status::keep(state, line_heard, handle.ways(), setup.running.subscribe()) => Ended::Asked,
        asked = asked_to_end(progress.as_ref()) => asked.map(|()| Ended::Asked)?,
    };
    if ended == Ended::Gone {
        tracing::warn!("this device was removed from the server: its tasks are stopped");
        desk.stop_all().await;
        forget(state)?;
    }
    if let Err(error) = withdraw(state).await {
        tracing::warn!("{error:#}");
    }
    status::write(state, &Said::Stopped);
    Ok(ended)
}

/// Whoever waits for this agent to end does not wait for a tailnet.
const FAREWELL: Duration = Duration::from_secs(10);

/// Nobody answers any more at what was offered elsewhere. Says whether something was.
///
/// # Errors
/// With what still stands, and how to take it back.
pub(crate) async fn withdraw(state: &State) -> anyhow::Result<bool> {
    let withdrawn = tokio::time::timeout(FAREWELL, tailscale::withdraw(&state.tailscale())).await;
    withdrawn.unwrap_or_else(|elapsed| Err(elapsed.into())).map_err(|error| {
        anyhow::anyhow!(
            "What was offered in the tailnet still stands there: {error:#}. Take it back with `{}`, or let \
             `foreman-agent disconnect` try again",
            tailscale::undo()
        )
    })
}

/// Removes everything that belongs to this device's life on its server; the policy and the owners stay.
///
/// # Errors
/// When the file system refuses.
pub fn forget(state: &State) -> anyhow::Result<()> {
    let own = [state.identity(), state.link_key(), state.server_grant(), state.journal(), state.status()];
    for path in own {
        remove_file(&path).with_context(|| format!("Cannot remove {}", path.display()))?;
    }
    match Trust::load(&state.trust()) {
        Ok(Trust { server_link_key: Some(_), owners, dashboard }) => {
            Trust { server_link_key: None, owners, dashboard }.save(&state.trust())?;
        }
        Ok(_) => {}
        // Trusts nobody, and says so whenever it is read.
        Err(error) => tracing::warn!("{error:#}"),
    }
    // What still runs there is found and left alone by its own lock; an empty directory is no loss.
    let _ = std::fs::remove_dir_all(state.tasks());
    Ok(())
}

/// Hears the server's commands; ends when the device is gone.
async fn listen(
    uplink: &Arc<Uplink>,
    events: &mpsc::UnboundedSender<Event>,
    link: &link::Handle,
    line: &watch::Sender<Line>,
    progress: Option<&mpsc::UnboundedSender<Progress>>,
) {
    let tell = |step| {
        if let Some(progress) = progress {
            let _ = progress.send(step);
        }
    };
    let mut commands = uplink.commands();
    loop {
        match commands.next().await {
            Delivery::Opened => {
                tracing::info!("connected: commands can come");
                line.send_replace(Line::Up { since: now() });
                tell(Progress::Opened);
            }
            Delivery::Commands(commands) => {
                let _ = events.send(Event::Commands(commands));
            }
            Delivery::Dial(dial) => link.dial(dial),
            Delivery::Lost { error, retry_in } => {
                let retry_ms = retry_in.as_millis();
                tracing::warn!(%error, retry_ms, "the connection is lost and is tried again; tasks run on");
                line.send_modify(|line| {
                    let since = match line {
                        Line::Down { since, .. } => *since,
                        Line::Up { .. } => now(),
                    };
                    *line = Line::Down { since, error: error.clone() };
                });
                tell(Progress::Lost(error));
            }
            Delivery::Gone => return,
        }
    }
}

/// By a signal, or because nobody wants to know the progress any more.
async fn asked_to_end(progress: Option<&mpsc::UnboundedSender<Progress>>) -> anyhow::Result<()> {
    let closed = async {
        match progress {
            Some(progress) => progress.closed().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = closed => {}
        how = ending::asked() => tracing::info!("{}: running tasks run on and are found again", how?),
    }
    Ok(())
}

fn launcher() -> anyhow::Result<Launcher> {
    let own = std::env::current_exe().context("Cannot find this program")?;
    // Once the file was replaced by a newer one its name leads nowhere, but the system still has it.
    let program = if own.exists() { own } else { PathBuf::from("/proc/self/exe") };
    Ok(Launcher::new(program, vec![crate::SUPERVISE.into()], "FOREMAN_"))
}

fn now() -> foreman_protocol::Millis {
    Moment::now().wall_ms
}

/// How often a waiting agent looks whether it may begin.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits until this machine is connected and no other agent holds the state directory.
///
/// # Errors
/// When the identity or the lock cannot be read, or a signal ends the wait: then `None`.
pub async fn wait_for_turn(state: &State) -> anyhow::Result<Option<(Identity, Lock)>> {
    let waiting = async {
        let mut said = "";
        loop {
            let why = match Identity::load(&state.identity())? {
                None => {
                    // So that `connect` knows who goes on when it is done.
                    let waiting = Said::Waiting { pid: std::process::id() };
                    if status::read(state).as_ref() != Some(&waiting) {
                        status::write(state, &waiting);
                    }
                    "not connected to a server yet; run `foreman-agent connect`"
                }
                Some(identity) => match state.lock()? {
                    Some(lock) => return anyhow::Ok((identity, lock)),
                    None => "another agent uses this state directory",
                },
            };
            if said != why {
                tracing::info!("waiting: {why}");
                said = why;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        turn = waiting => turn.map(Some),
        asked = asked_to_end(None) => asked.map(|()| None),
    }
}
