//! systemd on Linux (of the whole system for root, of the user otherwise), launchd on macOS.

mod find;

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use nix::unistd::geteuid;
use service_manager::{
    RestartPolicy, ServiceInstallCtx, ServiceLabel, ServiceLevel, ServiceManager, ServiceManagerKind,
    ServiceStartCtx, ServiceStatus, ServiceStatusCtx, ServiceStopCtx, ServiceUninstallCtx,
};

use super::{Installed, LINGER, Look, RESTART_S, Scope, Service, launchd, unit};
pub use find::find;

/// Installs and starts the service. Doing it again changes nothing. Returns what was done, one line each.
///
/// # Errors
/// When no service manager is there, or it refuses; its own words are in the error.
pub fn install(service: &Service) -> anyhow::Result<Vec<String>> {
    let place = Place::find(service)?;
    let contents = match place.kind {
        ServiceManagerKind::Systemd => Some(unit::render(service, place.is_user())?),
        ServiceManagerKind::Launchd => Some(launchd::render(service)?),
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
            label: place.label(),
            program: service.program.clone(),
            args: service.arguments.clone(),
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
        done.push(format!("Stopped the {} that ran before{}", service.what, service.goes_on()));
    }
    place.manager.start(ServiceStartCtx { label: place.label() }).context("cannot start the service")?;
    done.push(format!("Started the {}", service.what));
    done.extend(service.surroundings.told(&place.name()));
    done.extend(place.keep_after_logout());
    Ok(done)
}

/// Stops and removes the service; what it keeps stays. Returns what was done, one line each.
///
/// # Errors
/// When no service manager is there, or it refuses; its own words are in the error.
pub fn uninstall(service: &Service) -> anyhow::Result<Vec<String>> {
    let place = Place::find(service)?;
    let before = place.status();
    if before == Installed::No {
        return Ok(vec![format!("{} is not installed; nothing to do", place.name())]);
    }
    let mut done = Vec::new();
    if before == Installed::Running {
        place.stop().context("cannot stop the service")?;
        let tasks = if service.outlived { "; tasks that run go on until they end" } else { "" };
        done.push(format!("Stopped the {}{tasks}", service.what));
    }
    place
        .manager
        .uninstall(ServiceUninstallCtx { label: place.label() })
        .with_context(|| format!("cannot remove {}", place.name()))?;
    place.forget();
    done.push(format!("Removed {}", place.name()));
    Ok(done)
}

/// How the service is.
///
/// # Errors
/// When this machine, or this user, has no service manager that could be asked: one sentence.
pub fn look(service: &Service) -> anyhow::Result<Look> {
    Ok(Place::find(service)?.look())
}

/// The service manager of this machine, at the level this user may change, and the service there.
struct Place<'a> {
    kind: ServiceManagerKind,
    manager: Box<dyn ServiceManager>,
    service: &'a Service,
}

impl<'a> Place<'a> {
    fn find(service: &'a Service) -> anyhow::Result<Self> {
        let by_hand = service.by_hand;
        let what = service.what;
        let kind = ServiceManagerKind::native().with_context(|| {
            format!("this machine has neither systemd nor OpenRC; start the {what} with `{by_hand}` instead")
        })?;
        let mut manager = <dyn ServiceManager>::target(kind);
        if service.scope == Scope::User || !geteuid().is_root() {
            manager
                .set_level(ServiceLevel::User)
                .context("a service of this kind can only be installed by root")?;
        }
        let place = Self { kind, manager, service };
        if !place.is_reached() {
            if !Path::new("/run/systemd/system").exists() {
                bail!(
                    "systemd is installed but does not run this machine (a container?); \
                     start the {what} with `{by_hand}` instead"
                );
            }
            bail!(
                "your user's systemd cannot be reached: sign in to this machine as this user, and not by su or sudo; \
                 or start the {what} with `{by_hand}` instead"
            );
        }
        Ok(place)
    }

    /// Whether somebody answers. A user has a systemd of its own only while it is signed in, or lingers.
    fn is_reached(&self) -> bool {
        if self.kind != ServiceManagerKind::Systemd {
            return true;
        }
        if !self.is_user() {
            return Path::new("/run/systemd/system").exists();
        }
        let asked = self.systemctl().args(["show", "--property=Version"]).output();
        asked.is_ok_and(|said| said.status.success())
    }

    fn look(&self) -> Look {
        Look { name: self.name(), state: self.status(), after_logout: self.is_there_after_logout() }
    }

    fn is_user(&self) -> bool {
        self.manager.level() == ServiceLevel::User
    }

    /// `foreman-agent` under systemd, `foreman.agent` elsewhere.
    fn label(&self) -> ServiceLabel {
        ServiceLabel {
            qualifier: None,
            organization: Some("foreman".into()),
            application: self.service.application(),
        }
    }

    fn name(&self) -> String {
        let whose = if self.is_user() { "user" } else { "system" };
        let name = self.service.name();
        match self.kind {
            ServiceManagerKind::Launchd => {
                format!("the launchd {whose} service {}", launchd::label(self.service))
            }
            kind => format!("the {kind:?} {whose} service {name}").replace("Systemd", "systemd"),
        }
    }

    fn begins_with(&self) -> &'static str {
        if self.is_user() { "your login" } else { "the machine" }
    }

    /// The file that the service manager reads, where this program writes all of it.
    fn unit_file(&self) -> Option<PathBuf> {
        let unit = || format!("{}.service", self.service.name());
        let list = || format!("{}.plist", launchd::label(self.service));
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
        match self.manager.status(ServiceStatusCtx { label: self.label() }) {
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
        self.manager.stop(ServiceStopCtx { label: self.label() })
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
            format!("It stops when you log out; to keep it running: {LINGER}")
        })
    }

    fn is_there_after_logout(&self) -> bool {
        if !self.is_user() {
            return true;
        }
        let user = geteuid().to_string();
        let asked =
            Command::new("loginctl").args(["show-user", &user, "--property=Linger", "--value"]).output();
        self.kind == ServiceManagerKind::Systemd && asked.is_ok_and(|said| said.stdout.trim_ascii() == b"yes")
    }

    /// systemd remembers a removed unit until it is told to look again.
    fn forget(&self) {
        if self.kind == ServiceManagerKind::Systemd {
            // The service is gone either way.
            let _ = self.systemctl().arg("daemon-reload").output();
            let _ = self.systemctl().args(["reset-failed", &self.service.name()]).output();
        }
    }

    fn systemctl(&self) -> Command {
        let mut command = Command::new("systemctl");
        if self.is_user() {
            command.arg("--user");
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{agent, server};

    #[test]
    fn the_service_has_the_name_people_type() {
        for (service, script, label) in [
            (agent("/a", "/s"), "foreman-agent", "foreman.agent"),
            (server("/a", "/d"), "foreman-server-app", "foreman.server-app"),
        ] {
            let manager = <dyn ServiceManager>::target(ServiceManagerKind::Systemd);
            let place = Place { kind: ServiceManagerKind::Systemd, manager, service: &service };
            assert_eq!(place.label().to_script_name(), script);
            assert_eq!(place.label().to_qualified_name(), label);
            assert_eq!((service.name(), launchd::label(&service)), (script.to_owned(), label.to_owned()));
        }
    }
}
