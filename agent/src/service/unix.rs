//! systemd on Linux (of the whole system for root, of the user otherwise), launchd on macOS.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use service_manager::{
    RestartPolicy, ServiceInstallCtx, ServiceLabel, ServiceLevel, ServiceManager, ServiceManagerKind,
    ServiceStartCtx, ServiceStatus, ServiceStatusCtx, ServiceStopCtx, ServiceUninstallCtx,
};

use super::{Installed, RESTART_S, launchd, unit};

/// Installs and starts the service. Doing it again changes nothing. Returns what was done, one line each.
///
/// # Errors
/// When no service manager is there, or it refuses; its own words are in the error.
pub fn install(state_dir: &Path) -> anyhow::Result<Vec<String>> {
    let place = Place::find()?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let state_dir = std::path::absolute(state_dir).context("cannot make the state directory absolute")?;
    let contents = match place.kind {
        ServiceManagerKind::Systemd => Some(unit::render(&program, &state_dir, place.is_user())?),
        ServiceManagerKind::Launchd => Some(launchd::render(&program, &state_dir)?),
        _ => None,
    };
    let unchanged = match (&contents, place.unit_file()) {
        (Some(contents), Some(file)) => std::fs::read_to_string(file).is_ok_and(|old| old == *contents),
        _ => false,
    };
    let before = place.status();
    if unchanged && before == Installed::Running {
        return Ok(vec![format!("{} is installed and running already", place.name())]);
    }

    let mut done = Vec::new();
    place
        .manager
        .install(ServiceInstallCtx {
            label: label(),
            program,
            args: ["run".into(), "--state".into(), state_dir.into()].to_vec(),
            contents,
            username: None,
            working_directory: None,
            environment: None,
            autostart: true,
            restart_policy: RestartPolicy::Always { delay_secs: Some(RESTART_S) },
        })
        .with_context(|| format!("cannot install {}", place.name()))?;
    done.push(format!("Installed {}, which starts with {}", place.name(), place.begins_with()));
    if before == Installed::Running {
        place.stop().context("cannot stop the service to start it anew")?;
        done.push("Stopped the agent that ran before; its tasks go on".to_owned());
    }
    place.manager.start(ServiceStartCtx { label: label() }).context("cannot start the service")?;
    done.push("Started the agent".into());
    done.extend(place.keep_after_logout());
    Ok(done)
}

/// Stops and removes the service; the state directory stays. Returns what was done, one line each.
///
/// # Errors
/// When no service manager is there, or it refuses; its own words are in the error.
pub fn uninstall(state_dir: &Path) -> anyhow::Result<Vec<String>> {
    let place = Place::find()?;
    let before = place.status();
    if before == Installed::No {
        return Ok(vec![format!("{} is not installed; nothing to do", place.name())]);
    }
    let mut done = Vec::new();
    if before == Installed::Running {
        place.stop().context("cannot stop the service")?;
        done.push("Stopped the agent; tasks that run go on until they end".into());
    }
    place
        .manager
        .uninstall(ServiceUninstallCtx { label: label() })
        .with_context(|| format!("cannot remove {}", place.name()))?;
    place.forget();
    done.push(format!("Removed {}; what the agent keeps in {} stays", place.name(), state_dir.display()));
    Ok(done)
}

/// Whether the service is installed and runs. `None` where this machine has no service manager.
#[must_use]
pub fn status() -> Option<Installed> {
    Place::find().ok().map(|place| place.status())
}

/// `foreman-agent` under systemd, `foreman.agent` elsewhere.
fn label() -> ServiceLabel {
    ServiceLabel { qualifier: None, organization: Some("foreman".into()), application: "agent".into() }
}

/// The service manager of this machine, at the level this user may change.
struct Place {
    kind: ServiceManagerKind,
    manager: Box<dyn ServiceManager>,
}

impl Place {
    fn find() -> anyhow::Result<Self> {
        let kind = ServiceManagerKind::native().context(
            "this machine has neither systemd nor OpenRC; start the agent with `foreman-agent run` instead",
        )?;
        match kind {
            ServiceManagerKind::Systemd if !Path::new("/run/systemd/system").exists() => bail!(
                "systemd is installed but does not run this machine (a container?); \
                 start the agent with `foreman-agent run` instead"
            ),
            _ => {}
        }
        let mut manager = <dyn ServiceManager>::target(kind);
        if !is_root() {
            manager
                .set_level(ServiceLevel::User)
                .context("a service of this kind can only be installed by root")?;
        }
        Ok(Self { kind, manager })
    }

    fn is_user(&self) -> bool {
        self.manager.level() == ServiceLevel::User
    }

    fn name(&self) -> String {
        let whose = if self.is_user() { "user" } else { "system" };
        match self.kind {
            ServiceManagerKind::Launchd => format!("the launchd {whose} service {}", launchd::LABEL),
            kind => format!("the {kind:?} {whose} service foreman-agent").replace("Systemd", "systemd"),
        }
    }

    fn begins_with(&self) -> &'static str {
        if self.is_user() { "your login" } else { "the machine" }
    }

    /// The file that the service manager reads, where this program writes all of it.
    fn unit_file(&self) -> Option<PathBuf> {
        let unit = || format!("{}.service", label().to_script_name());
        let list = || format!("{}.plist", launchd::LABEL);
        Some(match (self.kind, self.is_user()) {
            (ServiceManagerKind::Systemd, true) => {
                service_manager::systemd_user_dir_path().ok()?.join(unit())
            }
            (ServiceManagerKind::Systemd, false) => service_manager::systemd_global_dir_path().join(unit()),
            (ServiceManagerKind::Launchd, true) => {
                std::env::home_dir()?.join("Library/LaunchAgents").join(list())
            }
            (ServiceManagerKind::Launchd, false) => Path::new("/Library/LaunchDaemons").join(list()),
            _ => return None,
        })
    }

    fn status(&self) -> Installed {
        let file_missing = self.unit_file().is_some_and(|file| !file.exists());
        match self.manager.status(ServiceStatusCtx { label: label() }) {
            Ok(ServiceStatus::Running) => Installed::Running,
            Ok(ServiceStatus::Stopped(_)) if !file_missing => Installed::Stopped,
            Err(_) if self.unit_file().is_some() && !file_missing => Installed::Stopped,
            _ => Installed::No,
        }
    }

    /// Whoever installs or removes a service of launchd has ended it before, and what is only stopped comes back.
    fn stop(&self) -> io::Result<()> {
        if self.kind == ServiceManagerKind::Launchd {
            return Ok(());
        }
        self.manager.stop(ServiceStopCtx { label: label() })
    }

    /// A user's services end with the last login unless the user lingers. Says what became of it.
    fn keep_after_logout(&self) -> Option<String> {
        if self.kind != ServiceManagerKind::Systemd || !self.is_user() {
            return None;
        }
        let lingers =
            Command::new("loginctl").arg("enable-linger").output().is_ok_and(|out| out.status.success());
        Some(if lingers {
            "It also runs while you are logged out (loginctl enable-linger)".into()
        } else {
            "It stops when you log out; to keep it running: sudo loginctl enable-linger $USER".into()
        })
    }

    /// systemd remembers a removed unit until it is told to look again.
    fn forget(&self) {
        if self.kind == ServiceManagerKind::Systemd {
            let mut command = Command::new("systemctl");
            if self.is_user() {
                command.arg("--user");
            }
            // The service is gone either way.
            let _ = command.arg("daemon-reload").output();
        }
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_has_the_name_people_type() {
        assert_eq!(label().to_script_name(), "foreman-agent");
        assert_eq!(label().to_qualified_name(), launchd::LABEL);
    }
}
