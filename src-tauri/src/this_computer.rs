//! "Use this computer": the server and the agent that came with the app, run beside it with their data in its folder.
//! They are joined as any machine is, by a one-time token that is spent once. They end with the app, unless the person
//! keeps them as services ([`kept`]).

mod bundled;
mod kept;
mod program;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use foreman_client::{Foreman, app::ServerAddress};
use foreman_protocol::{CreateDevice, DeviceType};
use serde::Serialize;
use tokio::sync::Mutex;
use ts_rs::TS;

use crate::{
    failure::{AppCode, Failure},
    sign_in::sysname,
};
use bundled::Bundled;
use kept::Kept;
pub use kept::Looks;
use program::Program;

/// How long the server may take to listen, a first start with its migrations included.
const START_LIMIT: Duration = Duration::from_secs(60);

const NAMES: [&str; 2] = ["server", "agent"];
/// Where programs are that do not run beside the app, below its folder.
const PROGRAMS: &str = "programs";

/// How far the first start has come, for people who wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Server,
    Account,
    Join,
    Agent,
}

pub struct ThisComputer {
    folder: PathBuf,
    /// What runs beside the app; nothing while it runs as services.
    running: Mutex<Option<Both>>,
}

struct Both {
    address: ServerAddress,
    server: Program,
    agent: Option<Program>,
}

/// What the first start made.
pub struct Began {
    pub address: ServerAddress,
    pub bearer: String,
}

impl ThisComputer {
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, running: Mutex::const_new(None) }
    }

    /// Whether the programs came with this app.
    pub fn is_possible() -> bool {
        cfg!(desktop) && Bundled::find().is_some()
    }

    /// Starts both and joins this machine. `bearer` is what an earlier start made, when it is still there; `owner` the
    /// public key that the device trusts.
    pub async fn begin(
        &self,
        bearer: Option<String>,
        owner: &str,
        tell: impl Fn(Step) + Send,
    ) -> Result<Began, Failure> {
        let mut running = self.running.lock().await;
        if let Some(both) = running.take() {
            both.end().await;
        }
        tell(Step::Server);
        let address = if self.kept().is_wanted() {
            self.find_services().await?
        } else {
            let (server, address) = self.start_server().await?;
            *running = Some(Both { address: address.clone(), server, agent: None });
            // What still runs of them keeps its file until it ends.
            remove_other_programs(&self.folder, &bundled()?.stamp().map_err(|error| storage(&error))?);
            address
        };
        tell(Step::Account);
        let bearer = match bearer {
            Some(bearer) if works(&address, &bearer).await => bearer,
            _ => self.owner_token().await?,
        };
        if !self.is_joined() {
            tell(Step::Join);
            self.join(&address, &bearer, owner).await?;
        }
        tell(Step::Agent);
        if let Some(both) = running.as_mut() {
            both.agent = Some(self.start_agent(&address).await?);
        }
        Ok(Began { address, bearer })
    }

    /// How both are run.
    pub async fn looks(&self) -> Looks {
        self.kept().looks(self.address().ok().as_ref()).await
    }

    /// Hands both over to services of the person. Tasks go on. When that does not come off, they run beside the app as
    /// before.
    pub async fn keep(&self) -> Result<(), Failure> {
        let mut running = self.running.lock().await;
        let kept = self.kept();
        if kept.is_wanted() {
            return Ok(());
        }
        let Some(address) = running.as_ref().map(|both| both.address.clone()) else {
            return Err(Failure::new(
                AppCode::ProgramFailed,
                "No server runs on this computer with the app.",
            ));
        };
        kept.are_possible().await?;
        kept.want(&bundled()?).await?;
        if let Some(both) = running.take() {
            both.end().await;
        }
        let Err(failure) = kept.start(&address).await else { return Ok(()) };
        if let Err(failure) = kept.stop().await {
            tracing::warn!(reason = failure.message, "services that did not start could not be removed");
        }
        kept.forget()?;
        *running = Some(self.start_both().await?);
        Err(failure)
    }

    /// Removes the services and runs both beside the app again. Tasks go on.
    pub async fn take_back(&self) -> Result<(), Failure> {
        let mut running = self.running.lock().await;
        if !self.kept().is_wanted() {
            return Ok(());
        }
        self.kept().stop().await?;
        self.kept().forget()?;
        *running = Some(self.start_both().await?);
        Ok(())
    }

    /// Starts services that are stopped, and makes them anew where somebody removed them.
    pub async fn start_services(&self) -> Result<(), Failure> {
        let _running = self.running.lock().await;
        self.kept().start(&self.address()?).await
    }

    /// Ends both for good: nothing is left that would start again without the app.
    pub async fn end_for_good(&self) -> Result<(), Failure> {
        self.end().await;
        let _running = self.running.lock().await;
        if self.kept().is_wanted() {
            self.kept().stop().await?;
            self.kept().forget()?;
        }
        Ok(())
    }

    /// Ends what runs beside the app, the agent first so that it can say goodbye. Tasks and services go on.
    pub async fn end(&self) {
        if let Some(both) = self.running.lock().await.take() {
            both.end().await;
        }
    }

    /// Looks after both once: what ended by itself is started again. The address stays.
    pub async fn look_after(&self) -> Result<(), Failure> {
        let mut running = self.running.lock().await;
        let Some(both) = running.as_mut() else { return Ok(()) };
        if both.server.has_ended() {
            (both.server, both.address) = self.start_server().await?;
        }
        if both.agent.as_mut().is_some_and(Program::has_ended) && self.is_joined() {
            both.agent = Some(self.start_agent(&both.address).await?);
        }
        Ok(())
    }

    fn kept(&self) -> Kept<'_> {
        Kept { folder: &self.folder }
    }

    /// Services that run, with the programs of this very app.
    async fn find_services(&self) -> Result<ServerAddress, Failure> {
        let (kept, address) = (self.kept(), self.address()?);
        // An app that was killed while it handed over left these.
        for name in ["agent", "server"] {
            program::end_left_behind(&self.folder.join(format!("{name}.pid")), &self.folder);
        }
        let bundled = bundled()?;
        let of_another = kept.are_of_another_app(&bundled);
        kept.want(&bundled).await?;
        if of_another {
            kept.start(&address).await?;
        } else {
            kept.find(&address).await?;
        }
        Ok(address)
    }

    /// Where the server was reached last, and will be.
    fn address(&self) -> Result<ServerAddress, Failure> {
        let listen = fs::read_to_string(self.folder.join("listen")).map_err(|error| storage(&error))?;
        Ok(ServerAddress::typed(&format!("http://{}", listen.trim()))?)
    }

    async fn start_both(&self) -> Result<Both, Failure> {
        let (server, address) = self.start_server().await?;
        let agent = Some(self.start_agent(&address).await?);
        Ok(Both { address, server, agent })
    }

    async fn start_server(&self) -> Result<(Program, ServerAddress), Failure> {
        private_folder(&self.folder)?;
        let data = self.folder.join("server");
        // The same port as before, so that agents and bookmarks find it.
        let kept = fs::read_to_string(self.folder.join("listen")).ok();
        let listen = kept.as_deref().map_or("127.0.0.1:0", str::trim);
        let args =
            ["serve".as_ref(), "--data".as_ref(), data.as_os_str(), "--listen".as_ref(), listen.as_ref()];
        let mut server = self.program("server").await?.start(&args)?;
        let url = server.says("listening on ", START_LIMIT).await?;
        let address = ServerAddress::typed(&url)?;
        fs::write(self.folder.join("listen"), address.host()).map_err(|error| storage(&error))?;
        Ok((server, address))
    }

    async fn owner_token(&self) -> Result<String, Failure> {
        let data = self.folder.join("server");
        let args = [
            "token".as_ref(),
            "create".as_ref(),
            "--data".as_ref(),
            data.as_os_str(),
            "--name".as_ref(),
            "Foreman app".as_ref(),
            "--role".as_ref(),
            "owner".as_ref(),
        ];
        self.program("server").await?.output(&args, None).await
    }

    async fn join(&self, address: &ServerAddress, bearer: &str, owner: &str) -> Result<(), Failure> {
        let server = Foreman::new(address.as_str(), bearer)?;
        let name: String = sysname().chars().take(64).collect();
        let device = CreateDevice { name, device_type: DeviceType::GpuCompute };
        let token = server.create_device(&device).await?.token;
        let state = self.folder.join("agent");
        let args = [
            "connect".as_ref(),
            "--detach".as_ref(),
            "--server".as_ref(),
            address.as_str().as_ref(),
            "--token".as_ref(),
            "-".as_ref(),
            "--allow".as_ref(),
            "bash,read,logs".as_ref(),
            "--owner".as_ref(),
            owner.as_ref(),
            "--state".as_ref(),
            state.as_os_str(),
        ];
        self.program("agent").await?.output(&args, Some(&token)).await?;
        // What says that the one-time token was spent for this machine.
        fs::write(self.folder.join("joined"), address.as_str()).map_err(|error| storage(&error))
    }

    fn is_joined(&self) -> bool {
        self.folder.join("joined").exists()
    }

    async fn start_agent(&self, address: &ServerAddress) -> Result<Program, Failure> {
        let state = self.folder.join("agent");
        let args = [
            "run".as_ref(),
            "--server".as_ref(),
            address.as_str().as_ref(),
            "--state".as_ref(),
            state.as_os_str(),
        ];
        self.program("agent").await?.start(&args)
    }

    async fn program(&self, name: &'static str) -> Result<program::Here<'_>, Failure> {
        Ok(program::Here::of(&ready(&self.folder).await?, name, &self.folder))
    }
}

impl Both {
    async fn end(self) {
        if let Some(agent) = self.agent {
            agent.end().await;
        }
        self.server.end().await;
    }
}

async fn works(address: &ServerAddress, bearer: &str) -> bool {
    match Foreman::new(address.as_str(), bearer) {
        Ok(server) => server.me().await.is_ok(),
        Err(_) => false,
    }
}

fn bundled() -> Result<Bundled, Failure> {
    Bundled::find().ok_or_else(|| {
        Failure::new(AppCode::ProgramFailed, "This app came without foreman-server and foreman-agent.")
    })
}

/// Where the programs are that came with this app, to run beside it.
async fn ready(folder: &Path) -> Result<PathBuf, Failure> {
    let (bundled, to) = (bundled()?, folder.join(PROGRAMS));
    blocking(move || bundled.ready(&to)).await
}

/// Programs of apps before this one.
fn remove_other_programs(folder: &Path, stamp: &str) {
    for entry in fs::read_dir(folder.join(PROGRAMS)).into_iter().flatten().flatten() {
        if entry.file_name() != stamp {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Files that take long, off the threads that answer.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| io::Error::other(error.to_string())).flatten().map_err(|error| storage(&error))
}

fn file_name(program: &str) -> String {
    format!("{program}{}", std::env::consts::EXE_SUFFIX)
}

fn storage(error: &io::Error) -> Failure {
    Failure::new(AppCode::Storage, format!("The app's folder cannot be written: {error}"))
}

/// Keys and a database are in it: for this account only.
fn private_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| storage(&error))
}
