//! The holder: a small process that leads a terminal's session, starts its program and ends its whole tree.
//!
//! It ends as the program does, so that whoever waits for it knows, and with the other end of the terminal, because
//! when that is gone the agent is.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{ffi::OsString, io, time::Duration};

#[cfg(unix)]
use unix::{leave, run, say};
#[cfg(windows)]
use windows::{leave, run, say};

/// As shells say it.
const NOT_STARTED: u8 = 127;

/// What a holder is told on its command line.
pub(super) struct Orders {
    /// Between the request to end and the kill.
    pub(super) grace: Duration,
    pub(super) cwd: OsString,
    pub(super) arg0: OsString,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
}

impl Orders {
    pub(super) fn into_args(self) -> Vec<OsString> {
        let grace = self.grace.as_millis().to_string();
        let mut args = vec![grace.into(), self.cwd, self.arg0, self.program];
        args.extend(self.args);
        args
    }

    fn from_args(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let grace = Duration::from_millis(args.next()?.to_str()?.parse().ok()?);
        let (cwd, arg0, program) = (args.next()?, args.next()?, args.next()?);
        Some(Self { grace, cwd, arg0, program, args: args.collect() })
    }
}

/// Runs a terminal's program to its end. Must be the only thing its process does: it waits for every child, and may
/// not return. Standard input is the terminal; `args` come from the agent. What it returns is its exit code.
pub fn hold(args: impl Iterator<Item = OsString>) -> u8 {
    let Some(orders) = Orders::from_args(args) else {
        eprintln!("This is started by the agent, for each terminal.");
        return 1;
    };
    let held = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(run(&orders)));
    match held {
        Ok(ending) => leave(&ending),
        Err(error) => {
            say(&format!("The terminal could not be held: {error}."));
            1
        }
    }
}

fn why_not(orders: &Orders, error: &io::Error) -> String {
    let program = orders.program.to_string_lossy();
    if !std::path::Path::new(&orders.cwd).is_dir() {
        return format!("The directory {} does not exist on this device.", orders.cwd.to_string_lossy());
    }
    match error.kind() {
        io::ErrorKind::NotFound => format!("`{program}` was not found on this device."),
        io::ErrorKind::PermissionDenied => format!("The agent's user may not execute `{program}`."),
        _ => format!("`{program}` could not be started: {error}."),
    }
}
