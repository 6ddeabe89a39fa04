//! A task's whole process tree.
//!
//! The supervisor is the reaper of its descendants, so a process cannot leave the tree: one whose parent dies
//! becomes a child of the supervisor, whatever group or session it made for itself. Without such a reaper
//! (outside Linux) only the task's process group is reached.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Sends a signal to every process of the tree. Those that end meanwhile are no error.
pub(crate) fn signal(main: Pid, main_alive: bool, signal: Signal) {
    for pid in members(main, main_alive) {
        let _ = kill(pid, signal);
        if matches!(signal, Signal::SIGTERM | Signal::SIGHUP) {
            // A stopped process would not hear it.
            let _ = kill(pid, Signal::SIGCONT);
        }
    }
}

#[cfg(target_os = "linux")]
fn members(_main: Pid, _main_alive: bool) -> Vec<Pid> {
    descendants(Pid::this())
}

#[cfg(not(target_os = "linux"))]
fn members(main: Pid, main_alive: bool) -> Vec<Pid> {
    // The number of a process that was waited for may belong to another by now.
    if main_alive { vec![main, Pid::from_raw(-main.as_raw())] } else { Vec::new() }
}

#[cfg(target_os = "linux")]
fn descendants(root: Pid) -> Vec<Pid> {
    let mut children: std::collections::HashMap<i32, Vec<i32>> = std::collections::HashMap::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read(entry.path().join("stat")) else { continue };
        if let Some(parent) = parent_in(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut unvisited = vec![root.as_raw()];
    while let Some(pid) = unvisited.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            found.push(Pid::from_raw(child));
            unvisited.push(child);
        }
    }
    found
}

/// The parent in `/proc/<pid>/stat`: the second field after the name, which is in brackets and may hold anything.
#[cfg(target_os = "linux")]
fn parent_in(stat: &[u8]) -> Option<i32> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_parent_is_found_behind_an_odd_name() {
        assert_eq!(parent_in(b"7 (a) b (c)) S 42 7 7 0"), Some(42));
        assert_eq!(parent_in(b"7 (a"), None);
    }

    #[test]
    fn a_child_is_a_descendant() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = descendants(Pid::this());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&Pid::from_raw(i32::try_from(child.id()).unwrap())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parent_in(&bytes);
        }
    }
}
