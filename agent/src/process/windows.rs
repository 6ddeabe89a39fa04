//! By the system's list of processes.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

fn look<T>(pid: u32, at: impl FnOnce(&sysinfo::Process) -> T) -> Option<T> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().ok()?;
    let _ = system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[pid]),
        true,
        ProcessRefreshKind::nothing(),
    );
    system.process(pid).map(at)
}

/// Whether a process of this number runs.
pub(crate) fn lives(pid: u32) -> bool {
    look(pid, |_| ()).is_some()
}

/// Ends a process: Windows has no request that every program hears.
pub(crate) fn end(pid: u32) {
    let _ = look(pid, sysinfo::Process::kill);
}

/// When a process began, in seconds of the wall clock; `None` when there is none.
pub(crate) fn began(pid: u32) -> Option<u64> {
    look(pid, sysinfo::Process::start_time)
}
