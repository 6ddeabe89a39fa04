//! Looking at processes from outside: memory, and what is left of tasks.

use std::path::Path;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The most memory a process has ever held, in bytes.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn peak_memory(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

/// The memory a process holds now, in bytes.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn held_memory(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with(field)).expect("Linux says");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kib * 1024
}

/// Ends every process that belongs to a test by its command line or environment naming the test's own folder: tasks
/// outlive the agent that started them.
pub fn end_all_of(folder: &Path) {
    let name = folder.as_os_str().as_encoded_bytes();
    let this = std::process::id();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let mentions = |file: &str| {
            std::fs::read(entry.path().join(file))
                .is_ok_and(|bytes| bytes.windows(name.len()).any(|part| part == name))
        };
        if pid != this && (mentions("cmdline") || mentions("environ")) {
            let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}
