//! Server and agent as services of the person, so that they go on when the app is closed. The programs register
//! themselves; here is which of them, from where, and whether they run.
//!
//! ```text
//! kept            that they are services, and from which folder of `programs`
//! programs/…/     the programs that the services start: what comes with the app can move or be gone; and those that came
//!                 packed
//! ```

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use foreman_client::app::{ServerAddress, ServerLooks};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Bundled, NAMES, PROGRAMS, blocking, program, ready, remove_other_programs, storage};
use crate::failure::{AppCode, Failure};

/// How long a service may take until it answers, migrations of a new version included.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// How long services that were begun by the system, perhaps just now, are waited for.
const FIND_LIMIT: Duration = Duration::from_secs(10);
/// How long a program that was asked to end may hold its folder.
const FREE_LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Agents and servers that somebody installed without the app are none of its business.
const INSTANCE: &str = "app";

/// How this computer's server and agent are run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[ts(rename = "ThisComputer")]
pub struct Looks {
    /// As services, which go on without the app.
    pub kept: bool,
    /// They run, as far as the system knows, and the server answers.
    pub running: bool,
    /// This system has services that a person may make without being its administrator, and they can be reached.
    pub possible: bool,
    /// Services go on when the person signs out of the computer.
    pub after_logout: bool,
    /// What an administrator types so that they do, where the system has such a thing.
    pub linger: Option<String>,
}

/// What a program says of its service.
#[derive(Debug, Deserialize)]
struct Said {
    state: Installed,
    after_logout: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Installed {
    Running,
    Stopped,
    No,
}

/// The services of one folder of the app.
pub struct Kept<'a> {
    pub folder: &'a Path,
}

impl Kept<'_> {
    /// Whether they are wanted as services. It is noted before anything is handed over and forgotten after all is taken
    /// back, so that an app that was killed in between never starts a second server beside a service.
    pub fn is_wanted(&self) -> bool {
        self.mark().exists()
    }

    /// How both are. `listen` is where the server was told to.
    pub async fn looks(&self, address: Option<&ServerAddress>) -> Looks {
        let kept = self.is_wanted();
        let (server, agent) = (self.said("server").await, self.said("agent").await);
        let (Ok(server), Ok(agent)) = (server, agent) else {
            return Looks { kept, running: false, possible: false, after_logout: false, linger: None };
        };
        let both = server.state == Installed::Running && agent.state == Installed::Running;
        let answers = match address {
            Some(address) if kept && both => ServerLooks::of(address).await.is_ok(),
            _ => false,
        };
        let lingers = server.after_logout;
        let linger = (cfg!(target_os = "linux") && !lingers).then(|| {
            let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
            format!("sudo loginctl enable-linger {}", name.as_deref().unwrap_or("$USER"))
        });
        Looks { kept, running: answers, possible: true, after_logout: lingers, linger }
    }

    /// # Errors
    /// When this person can have no services here: nothing was changed.
    pub async fn are_possible(&self) -> Result<(), Failure> {
        for name in NAMES {
            self.said(name).await?;
        }
        Ok(())
    }

    /// Notes that they are wanted, run by the programs that came with this app.
    pub async fn want(&self, bundled: &Bundled) -> Result<(), Failure> {
        let (bundled, to) = (bundled.clone(), self.folder.join(PROGRAMS));
        let stamp = blocking(move || bundled.place(&to)).await?;
        let fresh = self.mark().with_extension("new");
        fs::write(&fresh, stamp)
            .and_then(|()| fs::rename(&fresh, self.mark()))
            .map_err(|error| storage(&error))
    }

    /// Whether the services start other programs than came with this app.
    pub fn are_of_another_app(&self, bundled: &Bundled) -> bool {
        bundled.stamp().is_ok_and(|stamp| self.stamp() != stamp)
    }

    /// Installs and starts both, the server first, and waits until it answers. Again changes nothing; with other programs
    /// than before they are started anew.
    pub async fn start(&self, address: &ServerAddress) -> Result<(), Failure> {
        let (data, state) = (self.folder.join("server"), self.folder.join("agent"));
        let listen = address.host();
        let server = ["--data".as_ref(), data.as_os_str(), "--listen".as_ref(), listen.as_ref()];
        self.asked("server", "install-service", &server).await?;
        let agent = ["--state".as_ref(), state.as_os_str()];
        self.asked("agent", "install-service", &agent).await?;
        if !answers(address, ANSWER_LIMIT).await {
            let message = "The services were started, and the server does not answer; its log says why: \
                           journalctl --user -u foreman-server-app";
            return Err(Failure::new(AppCode::ServicesFailed, message));
        }
        remove_other_programs(self.folder, &self.stamp());
        Ok(())
    }

    /// Waits for services that the system started.
    pub async fn find(&self, address: &ServerAddress) -> Result<(), Failure> {
        if answers(address, FIND_LIMIT).await {
            return Ok(());
        }
        let message = "The services of this computer are stopped. What they have kept is there.";
        Err(Failure::new(AppCode::ServicesStopped, message))
    }

    /// Stops and removes both, the agent first so that it can say goodbye. Tasks go on.
    pub async fn stop(&self) -> Result<(), Failure> {
        for name in NAMES.iter().rev() {
            self.asked(name, "uninstall-service", &[]).await?;
        }
        wait_until_free(&self.folder.join("agent/agent.lock")).await;
        wait_until_free(&self.folder.join("server/server.lock")).await;
        Ok(())
    }

    /// Forgets that they were wanted.
    pub fn forget(&self) -> Result<(), Failure> {
        let _ = fs::remove_dir_all(self.folder.join(PROGRAMS));
        match fs::remove_file(self.mark()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(storage(&error)),
            _ => Ok(()),
        }
    }

    async fn asked(&self, name: &'static str, verb: &str, more: &[&OsStr]) -> Result<String, Failure> {
        let args = [&[verb.as_ref()], &which()[..], more].concat();
        let refused = |failure: Failure| Failure::new(AppCode::ServicesFailed, failure.message);
        self.here(name).await?.output(&args, None).await.map_err(refused)
    }

    /// What the system knows of one of them.
    async fn said(&self, name: &'static str) -> Result<Said, Failure> {
        let args = [&["service-status".as_ref(), "--json".as_ref()], &which()[..]].concat();
        let (said, words) = self.here(name).await?.heard(&args).await?;
        serde_json::from_str(&said).map_err(|_| Failure::new(AppCode::NoServices, words))
    }

    async fn here(&self, name: &'static str) -> Result<program::Here<'_>, Failure> {
        let folder = match self.is_wanted() {
            true => self.folder.join(PROGRAMS).join(self.stamp()),
            false => ready(self.folder).await?,
        };
        Ok(program::Here::of(&folder, name, self.folder))
    }

    fn mark(&self) -> PathBuf {
        self.folder.join("kept")
    }

    fn stamp(&self) -> String {
        fs::read_to_string(self.mark()).unwrap_or_default().trim().to_owned()
    }
}

/// Which services are meant: this person's, and the app's among them.
fn which() -> [&'static OsStr; 3] {
    ["--user", "--instance", INSTANCE].map(OsStr::new)
}

async fn answers(address: &ServerAddress, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    loop {
        if ServerLooks::of(address).await.is_ok() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until nobody holds a lock any more. Where that cannot be told, the next one finds out.
async fn wait_until_free(lock: &Path) {
    let until = Instant::now() + FREE_LIMIT;
    while let Ok(file) = fs::File::open(lock)
        && let Err(fs::TryLockError::WouldBlock) = file.try_lock()
        && Instant::now() < until
    {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_programs_of_services_are_those_that_are_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("programs");
        let kept = Kept { folder: folder.path() };
        for stamp in ["first", "second"] {
            fs::create_dir_all(to.join(stamp)).unwrap();
        }
        assert!(!kept.is_wanted());
        fs::write(kept.mark(), "first\n").unwrap();
        assert!(kept.is_wanted());
        assert_eq!(
            kept.here("agent").await.unwrap().path,
            to.join("first").join(super::super::file_name("foreman-agent"))
        );
        fs::write(kept.mark(), "second").unwrap();
        remove_other_programs(kept.folder, &kept.stamp());
        assert!(!to.join("first").exists() && to.join("second").exists());
        kept.forget().unwrap();
        assert!(!kept.is_wanted() && !to.exists());
    }
}
