//! By signals, and by what the kernel tells.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn number(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 0).map(Pid::from_raw)
}

/// Whether a process of this number runs, and belongs to this user.
pub(crate) fn lives(pid: u32) -> bool {
    number(pid).is_some_and(|pid| kill(pid, None).is_ok())
}

/// Asks a process to end. One that is gone is no error.
pub(crate) fn end(pid: u32) {
    if let Some(pid) = number(pid) {
        let _ = kill(pid, Signal::SIGTERM);
    }
}

/// When a process began, in the kernel's ticks; `None` when there is none, or where that cannot be told.
pub(crate) fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; the time is the twentieth field after it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}
