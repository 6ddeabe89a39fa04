//! A control group for each task where the agent was given its own (a systemd service with `Delegate=yes`).
//!
//! Only for the last step of a stop: the kernel ends a group at once, even one that forks faster than it can be
//! walked. Everything works without it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, Pid, access};

/// The agent's own cgroup v2 directory when a service manager delegated it, `None` elsewhere.
#[must_use]
pub fn delegated_cgroup() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let dir = Path::new("/sys/fs/cgroup").join(service_group(&groups)?);
    let controls = dir.join("cgroup.procs");
    access(&controls, AccessFlags::W_OK).ok()?;
    // Present only in version 2, from Linux 5.14 on.
    dir.join("cgroup.kill").exists().then_some(dir)
}

/// The path of a version 2 group that belongs to a service, without its leading slash. A login's or a
/// container's own group is not ours to divide.
fn service_group(groups: &str) -> Option<&str> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    path.ends_with(".service").then_some(path)
}

pub(super) struct TaskGroup(PathBuf);

impl TaskGroup {
    /// A group for one task below `parent`, holding its main process. `None` when the system refuses.
    pub(super) fn around(parent: &Path, name: &str, main: Pid) -> Option<Self> {
        let dir = parent.join(format!("task-{name}"));
        fs::create_dir(&dir).ok()?;
        let group = Self(dir);
        fs::write(group.0.join("cgroup.procs"), main.to_string()).ok()?;
        Some(group)
    }

    pub(super) fn kill(&self) {
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
    }
}

impl Drop for TaskGroup {
    fn drop(&mut self) {
        // Refused while background children live on in it.
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_services_group_is_divided() {
        let service = "0::/system.slice/foreman-agent.service\n";
        assert_eq!(service_group(service), Some("system.slice/foreman-agent.service"));
        assert_eq!(service_group("0::/user.slice/user-0.slice/session-1.scope\n"), None);
        assert_eq!(service_group("0::/\n"), None);
        assert_eq!(service_group("4:memory:/x.service\n"), None);
    }
}
