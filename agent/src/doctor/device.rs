//! What can be wrong on the device itself: its files, its room, its service, its GPU.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{fs, path::Path};

use foreman_machine::{
    policy,
    probe::{ProbeOptions, detect},
};
use foreman_protocol::Policy;
use foreman_services::{Installed, Look, Which};

use super::{Finding, Subject};
use crate::service;
#[cfg(unix)]
use unix::{KEY_IS_THERE, TO_STAY, free_space, most_open_files, shared, why_stopped};
#[cfg(windows)]
use windows::{KEY_IS_THERE, TO_STAY, free_space, most_open_files, shared, why_stopped};

/// Less free room than this stops work soon, in bytes.
const LITTLE_ROOM: u64 = 1 << 30;
/// What findings about services are called.
const SERVICE: &str = "service";
/// With less than this the agent can keep nothing, in bytes.
const NO_ROOM: u64 = 64 << 20;
/// Tasks with many files need more than the usual limit of old systems.
const FEW_FILES: u64 = 1024;

pub(super) async fn examine(subject: Subject<'_>) -> Vec<Finding> {
    let mut findings =
        vec![state_dir(subject.state_dir), identity(subject.identity), rules(subject.state_dir)];
    findings.push(running(subject.lock));
    findings.extend(installed(subject.state_dir));
    findings.extend(room(subject.state_dir));
    findings.extend(open_files());
    findings.extend(gpu(subject.state_dir).await);
    findings
}

fn state_dir(path: &Path) -> Finding {
    let name = "state_dir";
    match fs::metadata(path) {
        Err(error) => {
            return Finding::bad(
                name,
                format!("The state directory {} cannot be read: {error}", path.display()),
                "Connect this device first, or name the right directory with --state",
            );
        }
        Ok(found) if !found.is_dir() => {
            return Finding::bad(
                name,
                format!("{} is no directory", path.display()),
                "Name another one with --state",
            );
        }
        Ok(found) if shared(&found) => {
            return Finding::doubtful(
                name,
                format!("Other users can look into the state directory {}", path.display()),
                format!("chmod 700 {}", path.display()),
            );
        }
        Ok(_) => {}
    }
    match try_write(path) {
        Ok(()) => Finding::good(name, format!("The state directory {} can be written", path.display())),
        Err(error) => Finding::bad(
            name,
            format!("The state directory {} cannot be written: {error}", path.display()),
            "Run this as the user the agent runs as, or make room on the disk",
        ),
    }
}

fn try_write(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    fs::write(&probe, b"can this be written?")?;
    fs::remove_file(probe)
}

/// Whether other users can look into a file.
pub(super) fn shared_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| shared(&found))
}

fn identity(path: &Path) -> Finding {
    let name = "identity";
    let connect = "Add the device in the dashboard and run the command shown there";
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::bad(name, "This device has no identity yet", connect)
        }
        Err(error) => Finding::bad(
            name,
            format!("The identity cannot be read: {error}"),
            "Run this as the user the agent runs as",
        ),
        Ok(found) if found.len() == 0 => Finding::bad(name, "The identity is an empty file", connect),
        Ok(found) if shared(&found) => Finding::bad(
            name,
            "Other users can read this device's key",
            format!("chmod 600 {}; if somebody may have copied it, connect the device anew", path.display()),
        ),
        Ok(_) => Finding::good(name, KEY_IS_THERE),
    }
}

fn rules(state_dir: &Path) -> Finding {
    let name = "policy";
    let file = state_dir.join(policy::POLICY_FILE);
    match policy::load(&file) {
        Err(error) => Finding::bad(name, format!("{error:#}"), format!("Correct {}", file.display())),
        Ok(rules) if rules == Policy::default() => Finding::doubtful(
            name,
            "This device allows nothing, so no task can run",
            format!("To allow commands, set ALLOW_BASH=true in {}", file.display()),
        ),
        Ok(rules) => Finding::good(name, format!("This device allows {}", allowed(&rules))),
    }
}

fn allowed(rules: &Policy) -> String {
    let all = [
        (rules.allow_bash, "commands"),
        (rules.allow_file_read, "reading files"),
        (rules.allow_file_write, "writing files"),
        (rules.allow_logs, "reading logs"),
        (rules.allow_models, "its models"),
    ];
    let names: Vec<&str> = all.into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn running(lock: &Path) -> Finding {
    let name = "running";
    let start = "Start it with `foreman-agent run`, or for good with `foreman-agent install-service`";
    let Ok(file) = fs::File::open(lock) else {
        return Finding::doubtful(name, "The agent has not run here yet", start);
    };
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Finding::good(name, "The agent is running"),
        Err(fs::TryLockError::Error(error)) => {
            Finding::doubtful(name, format!("Whether the agent runs cannot be told: {error}"), start)
        }
        // Closing the file gives the lock back.
        Ok(()) => Finding::doubtful(name, "The agent is not running", start),
    }
}

/// The services that run this agent, whatever they are called and whoever's they are.
fn installed(state_dir: &Path) -> Vec<Finding> {
    let plain = Which { user: false, instance: None };
    let found = service::describe(plain, state_dir).and_then(|service| foreman_services::find(&service));
    match found {
        Err(_) => Vec::new(),
        Ok(found) if found.is_empty() => vec![Finding::doubtful(
            SERVICE,
            "No service is installed for this agent, so it does not start with the machine",
            "foreman-agent install-service",
        )],
        Ok(found) => found.iter().map(|(which, look)| service_finding(which, look)).collect(),
    }
}

fn service_finding(which: &Which, Look { name, state, after_logout }: &Look) -> Finding {
    let installed = format!("The agent is installed as {name}");
    if *state == Installed::Running {
        return match after_logout {
            true => Finding::good(SERVICE, format!("{installed}, which runs")),
            false => Finding::doubtful(
                SERVICE,
                format!("{installed}, which runs until this user logs out"),
                TO_STAY,
            ),
        };
    }
    let user = if which.user { " --user" } else { "" };
    let instance = which.instance.iter().map(|name| format!(" --instance {name}")).collect::<String>();
    let start = format!("foreman-agent install-service{user}{instance} starts it");
    Finding::doubtful(
        SERVICE,
        format!("{installed}, which is stopped"),
        format!("{start}; {}", why_stopped(which)),
    )
}

fn room(state_dir: &Path) -> Option<Finding> {
    let name = "disk";
    let free = free_space(state_dir)?;
    let found = format!("{:.1} GB are free for the agent", free as f64 / 1e9);
    let remedy = "Make room on the disk that holds the state directory";
    Some(match free {
        0..NO_ROOM => Finding::bad(name, found, remedy),
        NO_ROOM..LITTLE_ROOM => Finding::doubtful(name, found, remedy),
        _ => Finding::good(name, found),
    })
}

fn open_files() -> Option<Finding> {
    let most = most_open_files()?;
    let found = format!("Up to {most} files can be open at once");
    Some(if most < FEW_FILES {
        Finding::doubtful("open_files", found, "Raise it: LimitNOFILE in the service, or ulimit -n")
    } else {
        Finding::good("open_files", found)
    })
}

/// Only where the kernel sees an NVIDIA GPU: does its tool answer too?
async fn gpu(state_dir: &Path) -> Option<Finding> {
    if !nvidia_visible(Path::new("/")) {
        return None;
    }
    let found = detect(&ProbeOptions::new(state_dir)).await;
    let complaint = found.skipped.iter().find(|skipped| skipped.probe == "nvidia-smi");
    Some(match (complaint, found.gpus.first()) {
        (None, Some(gpu)) => Finding::good("gpu", format!("The GPU answers: {}", gpu.name)),
        (complaint, _) => {
            let why = complaint.map_or("no GPU was listed", |skipped| skipped.reason.as_str());
            Finding::doubtful(
                "gpu",
                format!("There is an NVIDIA GPU, but nvidia-smi gives nothing: {why}"),
                "Install or repair NVIDIA's driver, then restart the machine",
            )
        }
    })
}

fn nvidia_visible(root: &Path) -> bool {
    if root.join("proc/driver/nvidia/version").exists() {
        return true;
    }
    let Ok(devices) = fs::read_dir(root.join("sys/bus/pci/devices")) else { return false };
    devices.filter_map(Result::ok).any(|device| {
        let read = |name| fs::read_to_string(device.path().join(name)).unwrap_or_default();
        // Class 03 is a display controller; NVIDIA also makes network cards and bridges.
        read("vendor").trim() == "0x10de" && read("class").starts_with("0x03")
    })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{super::Outcome, *};

    fn private(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_state_directory_must_exist_and_be_private() {
        let folder = tempfile::tempdir().unwrap();
        private(folder.path(), 0o700);
        assert_eq!(state_dir(folder.path()).outcome, Outcome::Good);
        private(folder.path(), 0o755);
        assert_eq!(state_dir(folder.path()).outcome, Outcome::Doubtful);
        assert_eq!(state_dir(&folder.path().join("none")).outcome, Outcome::Bad);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_key_others_can_read_is_bad() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        assert_eq!(identity(&key).outcome, Outcome::Bad);
        fs::write(&key, "secret").unwrap();
        private(&key, 0o644);
        assert!(identity(&key).remedy.unwrap().contains("chmod 600"));
        private(&key, 0o600);
        assert_eq!(identity(&key).outcome, Outcome::Good);
    }

    #[test]
    fn rules_that_cannot_be_read_are_bad_and_none_is_doubtful() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(rules(folder.path()).outcome, Outcome::Doubtful);
        fs::write(folder.path().join(policy::POLICY_FILE), "ALLOW_BASH=perhaps\n").unwrap();
        assert_eq!(rules(folder.path()).outcome, Outcome::Bad);
        fs::write(folder.path().join(policy::POLICY_FILE), "ALLOW_BASH=true\nALLOW_LOGS=true\n").unwrap();
        assert_eq!(rules(folder.path()).found, "This device allows commands, reading logs, its models");
    }

    #[test]
    fn a_running_agent_is_known_by_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(running(&path).outcome, Outcome::Doubtful);
        let held = fs::File::create(&path).unwrap();
        held.lock().unwrap();
        assert_eq!(running(&path).outcome, Outcome::Good);
        drop(held);
        assert_eq!(running(&path).outcome, Outcome::Doubtful);
    }

    #[test]
    fn a_gpu_is_seen_by_its_vendor_and_class() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("sys/bus/pci/devices/0000:01:00.0");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("vendor"), "0x10de\n").unwrap();
        fs::write(device.join("class"), "0x020000\n").unwrap();
        assert!(!nvidia_visible(root.path()));
        fs::write(device.join("class"), "0x030200\n").unwrap();
        assert!(nvidia_visible(root.path()));
    }
}
