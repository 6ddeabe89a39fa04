//! What the running agent says of itself, in a file, for `status` and for people.

use std::{fs, time::Duration};

use anyhow::Context;
use foreman_machine::{policy, run::Moment};
use foreman_protocol::{DeviceId, Policy, TaskId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    identity::{Identity, public_key},
    line::Line,
    link::{Ways, trust::Trust},
    state::{State, replace_file},
};

/// The running tasks are written this long after they changed, so that no task waits for it.
const SPACING: Duration = Duration::from_millis(250);

/// The contents of `status.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "agent", rename_all = "snake_case")]
pub enum Said {
    /// Runs without an identity and waits for `connect`.
    Waiting {
        pid: u32,
    },
    Running {
        pid: u32,
        version: String,
        line: Line,
        running: Vec<TaskId>,
        #[serde(default)]
        ways: Box<Ways>,
    },
    Stopped,
}

/// What `status --json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    pub server: Option<String>,
    pub device_id: Option<DeviceId>,
    pub name: Option<String>,
    /// The public key that clients have pinned, to compare: standard base64.
    pub identity: Option<String>,
    /// Whether an agent runs now.
    pub running: bool,
    /// Whether one runs and waits for `connect`.
    pub waiting: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Line>,
    pub tasks: Vec<TaskId>,
    /// The ways to this device that the running agent keeps open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ways: Option<Ways>,
    pub trust: Option<Trust>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_error: Option<String>,
    pub policy: Option<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_error: Option<String>,
    pub policy_file: String,
    pub version: &'static str,
}

/// Keeps the file true for as long as it is polled.
pub async fn keep(
    state: &State,
    mut line: watch::Receiver<Line>,
    mut ways: watch::Receiver<Ways>,
    mut running: watch::Receiver<Vec<TaskId>>,
) {
    loop {
        let said = Said::Running {
            pid: std::process::id(),
            version: crate::VERSION.to_owned(),
            line: line.borrow_and_update().clone(),
            running: running.borrow_and_update().clone(),
            ways: Box::new(ways.borrow_and_update().clone()),
        };
        write(state, &said);
        tokio::select! {
            changed = line.changed() => if changed.is_err() {
                return std::future::pending().await;
            },
            changed = ways.changed() => if changed.is_err() {
                return std::future::pending().await;
            },
            changed = running.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                let _ = tokio::time::timeout(SPACING, line.changed()).await;
            }
        }
    }
}

/// Replaces what is said. A full disk only makes it old.
pub fn write(state: &State, said: &Said) {
    let written = serde_json::to_vec(said)
        .map_err(Into::into)
        .and_then(|json| replace_file(&state.status(), &json, false));
    if let Err(error) = written {
        tracing::debug!(%error, "status.json cannot be written");
    }
}

/// What was last said, if anything.
#[must_use]
pub fn read(state: &State) -> Option<Said> {
    serde_json::from_slice(&fs::read(state.status()).ok()?).ok()
}

/// Whether a living agent waits for this machine to be connected.
#[must_use]
pub fn waiting(state: &State) -> bool {
    match read(state) {
        Some(Said::Waiting { pid }) => crate::process::lives(pid),
        _ => false,
    }
}

/// Everything known about this device's agent, without asking the server.
///
/// # Errors
/// When the state directory cannot be read.
pub fn report(state: &State) -> anyhow::Result<Report> {
    let identity = Identity::load(&state.identity())?;
    let exists = state.dir().exists();
    let running = exists && state.lock()?.is_none();
    let (line, tasks, ways) = match read(state).filter(|_| running) {
        Some(Said::Running { line, running, ways, .. }) => (Some(line), running, Some(*ways)),
        _ => (None, Vec::new(), None),
    };
    let (trust, trust_error) = match Trust::load(&state.trust()) {
        Ok(trust) => (Some(trust), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let (policy, policy_error) = match policy::load(&state.policy()) {
        Ok(policy) => (Some(policy), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    Ok(Report {
        server: identity.as_ref().map(|identity| identity.server.clone()),
        device_id: identity.as_ref().map(|identity| identity.device_id),
        identity: identity.as_ref().map(|identity| public_key(&identity.key)),
        name: identity.map(|identity| identity.name),
        running,
        waiting: waiting(state),
        line,
        tasks,
        ways,
        trust,
        trust_error,
        policy,
        policy_error,
        policy_file: state.policy().display().to_string(),
        version: crate::VERSION,
    })
}

/// Prints the report, for people or as JSON. `true` when the agent runs and is connected.
///
/// # Errors
/// When the state directory cannot be read.
pub fn print(state: &State, json: bool) -> anyhow::Result<bool> {
    let report = report(state).context("The status cannot be told")?;
    let connected = report.line.as_ref().is_some_and(Line::is_up);
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", text(&report));
    }
    Ok(connected)
}

fn text(report: &Report) -> String {
    let (Some(server), Some(device), Some(name)) = (&report.server, report.device_id, &report.name) else {
        let and_waits = if report.waiting { " The agent is waiting for that." } else { "" };
        return format!(
            "Not connected. Run `foreman-agent connect` with a token from the dashboard.{and_waits}\n"
        );
    };
    let agent = match (&report.line, report.running) {
        (_, false) => "not running; start it with `foreman-agent run`".to_owned(),
        (Some(Line::Up { since }), true) => format!("connected for {}", ago(*since)),
        (Some(Line::Down { since, error }), true) if error.is_empty() => {
            format!("connecting for {}", ago(*since))
        }
        (Some(Line::Down { since, error }), true) => format!("reconnecting for {} ({error})", ago(*since)),
        (None, true) => "starting".to_owned(),
    };
    let tasks = match report.tasks.as_slice() {
        [] => "none running".to_owned(),
        tasks => tasks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let policy = match (&report.policy, &report.policy_error) {
        (Some(policy), _) => allowed(policy),
        (None, error) => format!("nothing is allowed: {}", error.as_deref().unwrap_or("unreadable")),
    };
    let file = &report.policy_file;
    let identity = report.identity.as_deref().unwrap_or_default();
    let mut text = format!(
        "Device   {name} ({device})\nIdentity {identity}\nServer   {server}\nAgent    {agent}\nTasks    {tasks}\nPolicy   {policy}\n         {file}\n",
    );
    text += &report.ways.as_ref().map(ways_text).unwrap_or_default();
    text += &trust_text(report);
    text
}

fn ways_text(ways: &Ways) -> String {
    let listening = ways.listening.map_or("does not listen".to_owned(), |at| format!("listens at {at}"));
    let mut text = format!("Link     {listening}\n");
    let named = [("mDNS", &ways.mdns), ("Tailscale", &ways.tailscale), ("Cloudflare", &ways.cloudflare)];
    for (name, way) in named {
        if let Some(way) = way {
            text += &format!("         {name}: {way}\n");
        }
    }
    text
}

fn trust_text(report: &Report) -> String {
    let Some(trust) = &report.trust else {
        let error = report.trust_error.as_deref().unwrap_or("unreadable");
        return format!("Trust    nobody: {error}\n");
    };
    let named = |owner: &crate::link::trust::Owner| owner.name.clone().unwrap_or_else(|| owner.key.clone());
    let owners = match trust.owners.as_slice() {
        [] => "no owner".to_owned(),
        owners => owners.iter().map(named).collect::<Vec<_>>().join(", "),
    };
    format!("Trust    {owners}; dashboard: {}\n", trust.dashboard.as_str())
}

fn allowed(policy: &Policy) -> String {
    let switches = [
        (policy.allow_bash, "commands"),
        (policy.allow_file_read, "reading files"),
        (policy.allow_file_write, "writing files"),
        (policy.allow_logs, "logs"),
        (policy.allow_models, "models"),
    ];
    let on: Vec<&str> = switches.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    if on.is_empty() {
        return "nothing is allowed".to_owned();
    }
    let mut text = format!("allows {}", on.join(", "));
    if !policy.allowed_paths.is_empty() {
        text += &format!(" in {}", policy.allowed_paths.join(", "));
    }
    if !policy.blocked_paths.is_empty() {
        text += &format!(", never in {}", policy.blocked_paths.join(", "));
    }
    text
}

fn ago(since: i64) -> String {
    let seconds = (Moment::now().wall_ms - since).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::trust::Dashboard;

    #[test]
    fn people_read_what_is_so() {
        let mut report = Report {
            server: None,
            device_id: None,
            name: None,
            identity: None,
            running: false,
            waiting: false,
            line: None,
            tasks: Vec::new(),
            ways: None,
            trust: Some(Trust { dashboard: Dashboard::Operate, ..Trust::default() }),
            trust_error: None,
            policy: Some(Policy {
                allow_bash: true,
                blocked_paths: vec!["/etc".to_owned()],
                ..Policy::default()
            }),
            policy_error: None,
            policy_file: "/x/policy.env".to_owned(),
            version: "0",
        };
        assert!(text(&report).starts_with("Not connected. Run `foreman-agent connect`"));
        report.server = Some("http://127.0.0.1:3001".to_owned());
        report.device_id = Some(DeviceId::fresh());
        report.name = Some("Spark".to_owned());
        assert!(text(&report).contains("Agent    not running"));
        report.running = true;
        let since = Moment::now().wall_ms - 61_000;
        report.line = Some(Line::Down { since, error: "connection refused".to_owned() });
        assert!(text(&report).contains("reconnecting for 61 s (connection refused)"));
        assert!(text(&report).contains("allows commands, never in /etc"));
        assert!(text(&report).contains("Trust    no owner; dashboard: operate"));
        let error = "`tailscale` is not installed".to_owned();
        let listening = Some("0.0.0.0:9981".parse().unwrap());
        report.ways =
            Some(Ways { listening, tailscale: Some(crate::link::Way::Down { error }), ..Ways::default() });
        let said = text(&report);
        assert!(said.contains("listens at 0.0.0.0:9981\n         Tailscale: does not work"), "{said}");
    }
}
