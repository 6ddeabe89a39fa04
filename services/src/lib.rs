//! Makes a program of Foreman's a service of the system, so that it starts with the machine and comes back by itself.
//!
//! Each step says what it did; doing it again changes nothing. What each system is told is written by pure functions
//! ([`unit`], [`launchd`], [`registered`]), so that every system's tests see all three. What the program does is its own
//! matter: it says how it is called.

#[cfg(any(unix, test))]
mod launchd;
#[cfg(any(windows, test))]
mod registered;
mod started;
mod surroundings;
#[cfg(any(unix, test))]
mod unit;
#[cfg(unix)]
mod unix;
mod which;
#[cfg(windows)]
mod windows;

use std::{ffi::OsString, path::PathBuf};

use serde::Serialize;

pub use started::when_input_ends;
pub use surroundings::Surroundings;
#[cfg(unix)]
pub use unix::{find, install, look, uninstall};
pub use which::Which;
#[cfg(windows)]
pub use windows::{find, install, look, serve, uninstall};

/// So that a user's services of systemd go on after the last login, as an administrator types it.
pub const LINGER: &str = "sudo loginctl enable-linger $USER";

/// How long a system waits before it starts the program again, in seconds.
const RESTART_S: u32 = 5;

/// A program, and how the system has to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What it is, in one word: `agent`. It is in the service's name, and in what people are told.
    pub what: &'static str,
    /// What tells several of them on one machine apart; letters, digits and hyphens.
    pub instance: Option<String>,
    pub scope: Scope,
    /// Where the program stays.
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// What it keeps is here, and where a system asks for one its log.
    pub folder: PathBuf,
    /// What people type to run it without a service.
    pub by_hand: &'static str,
    /// What it started goes on without it, in cgroups that it makes, and is found again.
    pub outlived: bool,
    /// What it has of the environment of whoever installs it. Windows gives services the machine's own.
    pub surroundings: Surroundings,
}

/// Whose service it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The machine's where root asks, and the user's otherwise.
    Fitting,
    /// The user's, also where that is root.
    User,
}

/// Whether the service exists and runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Installed {
    Running,
    Stopped,
    No,
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Look {
    /// As people are told of it.
    pub name: String,
    pub state: Installed,
    /// It goes on when its user has signed out.
    pub after_logout: bool,
}

impl Service {
    /// As people type it: `foreman-agent`, or `foreman-agent-lab`.
    fn name(&self) -> String {
        format!("foreman-{}", self.application())
    }

    fn application(&self) -> String {
        match &self.instance {
            Some(instance) => format!("{}-{instance}", self.what),
            None => self.what.to_owned(),
        }
    }

    /// What people read in the system's lists.
    fn title(&self) -> String {
        match &self.instance {
            Some(instance) => format!("Foreman {} ({instance})", self.what),
            None => format!("Foreman {}", self.what),
        }
    }

    /// What is said beside "Stopped the agent".
    fn goes_on(&self) -> &'static str {
        if self.outlived { "; its tasks go on" } else { "" }
    }
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            Installed::Running => "runs",
            Installed::Stopped => "is installed and stopped",
            Installed::No => return write!(f, "{} is not installed", self.name),
        };
        let until = if self.after_logout { "also while you are logged out" } else { "until you log out" };
        write!(f, "{} {state}; it is there {until}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// As the agent registers itself.
    pub(crate) fn agent(program: &str, state: &str) -> Service {
        Service {
            what: "agent",
            instance: None,
            scope: Scope::Fitting,
            program: program.into(),
            arguments: ["run".into(), "--state".into(), state.into()].to_vec(),
            folder: state.into(),
            by_hand: "foreman-agent run",
            outlived: true,
            surroundings: Surroundings::default(),
        }
    }

    /// As the server does, for an app.
    pub(crate) fn server(program: &str, data: &str) -> Service {
        let arguments = ["serve", &format!("--data={data}"), "--listen=127.0.0.1:3001"];
        Service {
            what: "server",
            instance: Some("app".to_owned()),
            scope: Scope::User,
            program: program.into(),
            arguments: arguments.map(OsString::from).to_vec(),
            folder: data.into(),
            by_hand: "foreman-server serve",
            outlived: false,
            surroundings: Surroundings::default(),
        }
    }

    #[test]
    fn several_of_one_machine_have_names_of_their_own() {
        let one = agent("/a", "/s");
        let other = Service { instance: Some("lab-2".to_owned()), ..one.clone() };
        assert_eq!((one.name().as_str(), one.title().as_str()), ("foreman-agent", "Foreman agent"));
        assert_eq!(
            (other.name().as_str(), other.title().as_str()),
            ("foreman-agent-lab-2", "Foreman agent (lab-2)")
        );
        assert_eq!(server("/s", "/d").folder, Path::new("/d"));
    }
}
