//! A server and an agent of a test's own, with data that is gone afterwards.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

use foreman_client::Foreman;
use foreman_protocol::{ConnectionToken, CreateDevice, DeviceId, DeviceType};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    database::Database,
    processes,
    program::{self, Program, Said},
};

const PREFIX: &str = "fm-journey-";
pub(crate) const CLUSTER_PREFIX: &str = "fm-pg-";

/// A folder that is removed at the end, with all processes that name it.
#[derive(Clone)]
pub struct Folder(Arc<Inner>);

struct Inner(TempDir);

impl Folder {
    /// # Panics
    /// When there is no place for it.
    #[must_use]
    pub fn new() -> Self {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().expect("a temporary folder");
        Self(Arc::new(Inner(folder)))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.0.path()
    }

    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

/// Takes away what tests left that were killed themselves: their folders are named after their process.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = |name: &str| {
            let rest = name.strip_prefix(PREFIX).or_else(|| name.strip_prefix(CLUSTER_PREFIX))?;
            rest.split('-').next()?.parse::<u32>().ok()
        };
        let Some(owner) = name.to_str().and_then(ours) else { continue };
        if !Path::new("/proc").join(owner.to_string()).exists() {
            processes::end_all_of(&entry.path());
            // A small disk of a test may still be mounted there; then the folder stays, which harms nobody.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        processes::end_all_of(self.0.path());
    }
}

/// How a server is started.
#[derive(Clone)]
pub struct Setting {
    pub database: Database,
    /// Environment of the server.
    pub env: Vec<(String, String)>,
    /// Put before the program, such as `unshare -rm sh -c …`.
    pub wrapper: Vec<String>,
}

impl Setting {
    #[must_use]
    pub fn on(database: Database) -> Self {
        Self { database, env: Vec::new(), wrapper: Vec::new() }
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A server; killed and started again it is at the same address.
pub struct Server {
    pub program: Program,
    pub said: Said,
    pub url: String,
    pub data: PathBuf,
    setting: Setting,
}

impl Server {
    /// # Panics
    /// When it does not come up.
    pub async fn start(data: PathBuf, setting: Setting) -> Self {
        let said = Said::default();
        let (program, url) = serve(&data, &setting, "127.0.0.1:0", &said).await;
        Self { program, said, url, data, setting }
    }

    /// After a kill or a stop, at the same address.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_again(&mut self) {
        let address = self.url.trim_start_matches("http://").to_owned();
        (self.program, self.url) = serve(&self.data, &self.setting, &address, &self.said).await;
    }

    /// Starts differently next time.
    pub fn change(&mut self, change: impl FnOnce(&mut Setting)) {
        change(&mut self.setting);
    }

    /// Runs a command of the host's operator and gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub async fn host(&self, args: &[&str]) -> String {
        let mut command = server_command(&self.setting);
        let output = command.args(args).arg("--data").arg(&self.data).output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// The SDK with a token of this role, and the token's secret.
    ///
    /// # Panics
    /// When there is none to be had.
    pub async fn client(&self, role: &str) -> (Foreman, String) {
        let secret = self.host(&["token", "create", "--name", "journey", "--role", role]).await;
        (Foreman::new(&self.url, &secret).expect("an address"), secret)
    }
}

fn server_command(setting: &Setting) -> Command {
    let mut command = program::command("foreman-server");
    if let Database::PostgreSql { url, .. } = &setting.database {
        command.env("DATABASE_URL", url);
    }
    command.envs(setting.env.iter().cloned());
    command
}

async fn serve(data: &Path, setting: &Setting, listen: &str, said: &Said) -> (Program, String) {
    let mut command = server_command(setting);
    if let [first, rest @ ..] = setting.wrapper.as_slice() {
        let mut wrapped = program::clean(Command::new(first));
        wrapped.args(rest).arg(command.as_std().get_program());
        for (name, value) in command.as_std().get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        command = wrapped;
    }
    command.args(["serve", "--listen", listen, "--data"]).arg(data);
    let mut program = Program::start("foreman-server", command, said.clone(), "");
    let line = program.line("listening on http://").await;
    let (_, url) = line.split_once("listening on ").expect("just found");
    (program, url.split_whitespace().next().expect("an address").to_owned())
}

/// An agent with a state folder of its own.
pub struct Agent {
    pub program: Program,
    pub said: Said,
    pub device: DeviceId,
    pub state: PathBuf,
    env: Vec<(String, String)>,
}

impl Agent {
    /// Makes a device through the SDK and joins as it, at `url`.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn join(foreman: &Foreman, url: &str, state: PathBuf, env: &[(&str, String)]) -> Self {
        Self::join_with(&new_device(foreman, "journey").await, url, state, env).await
    }

    /// The same as a device that was made before.
    pub async fn join_with(
        made: &ConnectionToken,
        url: &str,
        state: PathBuf,
        env: &[(&str, String)],
    ) -> Self {
        let said = Said::default();
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut command = agent_command(&state, &env, "connect");
        command.args(["--server", url, "--token", "-", "--allow", "bash,read,logs"]);
        let mut program = Program::start("foreman-agent", command, said.clone(), &made.token);
        program.line("Listening for tasks").await;
        Self { program, said, device: made.device.id, state, env }
    }

    /// After a kill or a stop.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_again(&mut self) {
        let command = agent_command(&self.state, &self.env, "run");
        self.program = Program::start("foreman-agent", command, self.said.clone(), "");
    }

    /// Runs a command of somebody at the device and gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub async fn says(&self, args: &[&str]) -> String {
        let mut command = program::command("foreman-agent");
        let output = command.arg("--state").arg(&self.state).args(args).output().await.expect("it runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }
}

fn agent_command(state: &Path, env: &[(String, String)], what: &str) -> Command {
    let mut command = program::command("foreman-agent");
    // Many agents run at once on one machine, and nobody on its network is to hear of them.
    command.env("FOREMAN_LINK_LISTEN", "127.0.0.1:0").env("FOREMAN_NO_MDNS", "true");
    command.envs(env.iter().cloned()).arg(what).arg("--state").arg(state);
    command
}

/// # Panics
/// When the server refuses.
pub async fn new_device(foreman: &Foreman, name: &str) -> ConnectionToken {
    let device = CreateDevice { name: name.to_owned(), device_type: DeviceType::GpuCompute };
    foreman.create_device(&device).await.expect("the server makes a device")
}

/// Both of them and an operator's view.
pub struct Stack {
    // Dropped in this order: the agent first, the folder last.
    pub agent: Agent,
    pub server: Server,
    pub foreman: Foreman,
    pub secret: String,
    pub folder: Folder,
}

impl Stack {
    /// # Panics
    /// When it does not come up.
    pub async fn start(setting: Setting) -> Self {
        let folder = Folder::new();
        let server = Server::start(folder.join("server"), setting).await;
        let (foreman, secret) = server.client("owner").await;
        let agent = Agent::join(&foreman, &server.url, folder.join("agent"), &[]).await;
        Self { agent, server, foreman, secret, folder }
    }
}
