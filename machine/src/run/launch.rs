//! The agent's side of a supervisor: starts one, finds one again, hears it and speaks to it.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use tokio::process::{Child, Command};

use super::notices;

#[cfg(unix)]
pub use unix::{Launcher, Supervised, adopt};
#[cfg(windows)]
pub use windows::{Launcher, Supervised, adopt};

/// What a supervisor tells.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// It has started or there is output: look into the folder.
    Activity,
    /// The ending is written down.
    Ended,
    /// Another supervisor has this task: [`adopt`] finds it.
    Taken,
    /// Nothing was started, for this reason.
    NotStarted(String),
    /// The supervisor is gone. When there is no ending in the folder, nobody knows it.
    Gone,
}

fn news(bytes: &[u8]) -> News {
    if let Some(reason) = bytes.strip_prefix(&[notices::FAILED]) {
        return News::NotStarted(String::from_utf8_lossy(reason).into_owned());
    }
    if bytes.contains(&notices::TAKEN) {
        return News::Taken;
    }
    if bytes.contains(&notices::ENDED) { News::Ended } else { News::Activity }
}

/// Environment variables that are the agent's own.
fn hide(command: &mut Command, prefix: &str) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

/// Waits for a supervisor, so that it does not stay behind as a dead entry.
fn collect(mut child: Child) {
    tokio::spawn(async move { child.wait().await });
}
