//! The device's own API: what a client of the device link may ask of this machine, the same on every path.
//!
//! Who calls is known before a request is looked at: the link puts a [`Caller`] into each. What the caller may do is
//! decided by their grant first and by this device's policy last. This must not know how the bytes came here.

#[cfg_attr(windows, path = "device_api/files/absent.rs")]
pub mod files;
mod forward;
pub mod logs;
pub mod metrics;
mod models;
mod policy_file;
mod precedence;
mod problem;
pub mod revocations;
pub mod tasks;
pub mod terminals;
#[cfg_attr(windows, path = "device_api/uploads/absent.rs")]
pub mod uploads;

use std::{path::PathBuf, sync::Arc};

use axum::{Extension, Json, Router, extract::State, routing::get};
use foreman_machine::{
    files::Files,
    logs::{Logs, SYSTEM},
    probe::ProbeOptions,
    sample::SamplerOptions,
    terminal::Terminals,
};
use foreman_protocol::{
    DeviceHello, DeviceId, LINK_VERSION, Level, LinkUse, Millis, Policy, ProblemCode, TaskId,
};
use serde_json::json;
use tokio::sync::{Notify, watch};

use crate::state;
use metrics::Metrics;
use policy_file::PolicyFile;
use revocations::Revocations;
use tasks::Tasks;

pub use precedence::Precedence;
pub use problem::{ApiError, ApiResult};

/// Who calls, as their grant says.
#[derive(Debug, Clone)]
pub struct Caller {
    /// As the owner named the grant: "Mia's phone".
    pub name: String,
    /// X25519, standard base64.
    pub client_key: String,
    pub level: Level,
    pub expires_at: Millis,
    /// The way they came: `lan`, `relay`, `server`, …
    pub path: String,
    /// The person a server speaks for, as it says.
    pub on_behalf_of: Option<Person>,
}

/// See [`Caller::on_behalf_of`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// For people: several may have the same.
    pub name: String,
    /// Absent from servers that do not tell it.
    pub id: Option<String>,
}

/// A caller as far as shared places go: [`Caller::owner`], and whether it is `admin`.
pub type Sharer = (String, bool);

impl Caller {
    /// # Errors
    /// `grant_not_enough` when the grant says less.
    pub fn need(&self, level: Level) -> ApiResult<()> {
        if self.level >= level {
            return Ok(());
        }
        Err(ApiError::new(
            ProblemCode::GrantNotEnough,
            format!(
                "This needs the right to {} on this device; yours is to {}. The device's owner can grant it.",
                level.as_str(),
                self.level.as_str()
            ),
        )
        .with(json!({ "needed": level })))
    }

    /// For the audit log and for others at the same terminal.
    #[must_use]
    pub fn who(&self) -> String {
        self.on_behalf_of.as_ref().map_or_else(|| self.name.clone(), |person| person.name.clone())
    }

    /// The same for one and the same person only: a server speaks for many, and all with one key.
    #[must_use]
    pub fn owner(&self) -> String {
        let person = self.on_behalf_of.as_ref();
        let person = person.map_or("", |person| person.id.as_deref().unwrap_or(&person.name));
        format!("{} {person}", self.client_key)
    }

    /// For places that all callers share: whose they are, and how many of them one may take. Half, so that a right to
    /// look is none to shut out the others; who may do everything may have all.
    #[must_use]
    pub fn share(&self, places: usize) -> (Sharer, usize) {
        // Whoever asks for less than their right gives is still the same one.
        let all = self.level == Level::Admin;
        ((self.owner(), all), if all { places } else { places / 2 })
    }
}

/// What every part of the API knows of this device.
#[derive(Debug)]
pub struct Device {
    pub id: DeviceId,
    pub name: String,
    policy: PolicyFile,
    pub precedence: Precedence,
}

impl Device {
    /// `policy` is its policy file.
    #[must_use]
    pub fn new(id: DeviceId, name: String, policy: PathBuf) -> Self {
        Self { id, name, policy: PolicyFile::at(policy), precedence: Precedence::default() }
    }

    /// The policy as it is now. One that cannot be read allows nothing.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy.now().unwrap_or_else(|error| {
            tracing::error!(error = format!("{error:#}"), "the policy cannot be read, so nothing is allowed");
            Policy::default()
        })
    }

    /// # Errors
    /// `policy_forbids` with the setting's name when the policy does not allow it.
    pub fn allow(&self, setting: &str, allowed: impl FnOnce(&Policy) -> bool) -> ApiResult<Policy> {
        let policy = self.policy();
        if allowed(&policy) {
            return Ok(policy);
        }
        Err(ApiError::policy(setting))
    }
}

/// What the parts of the API work on.
pub struct Parts {
    pub terminals: Arc<Terminals>,
    pub files: Arc<Files>,
    pub logs: Arc<Logs>,
    pub metrics: Arc<Metrics>,
    pub tasks: Tasks,
    /// Rung when models came or went through this API.
    pub models_changed: Arc<Notify>,
    pub revocations: Revocations,
}

impl Parts {
    /// For an agent with this state directory. `running` are the tasks that run now.
    ///
    /// # Errors
    /// When the program cannot find itself, which it is started as again for each terminal.
    pub fn new(
        state: &state::State,
        running: watch::Receiver<Vec<TaskId>>,
        tasks: Tasks,
        revocations: Revocations,
    ) -> anyhow::Result<Self> {
        let reports = &revocations.reports;
        let (of_terminals, of_files) = (reports.clone(), reports.clone());
        let files = Files::new(state.dir().to_owned()).on_change(move |change| {
            let action = change.action.to_owned();
            of_files.tell(LinkUse::FileChanged { action, path: change.path, by: change.by });
        });
        let logs = Logs {
            policy: state.policy(),
            state_dir: state.dir().to_owned(),
            system: SYSTEM.into(),
            tasks: state.tasks(),
            search_path: None,
        };
        Ok(Self {
            terminals: terminals::terminals(state.dir(), move |what| of_terminals.tell(what))?,
            files: Arc::new(files),
            logs: Arc::new(logs),
            metrics: Metrics::new(ProbeOptions::new(state.dir()), SamplerOptions::new(state.dir()), running),
            tasks,
            models_changed: Arc::default(),
            revocations,
        })
    }
}

/// Every route. Each feature brings its own router; they are merged here and nowhere else.
pub fn router(device: Arc<Device>, parts: Parts) -> Router {
    let Parts { terminals, files, logs, metrics, tasks, models_changed, revocations } = parts;
    Router::new()
        .route("/hello", get(hello))
        .with_state(Arc::clone(&device))
        .merge(terminals::router(Arc::clone(&device), terminals))
        .merge(files::router(Arc::clone(&device), Arc::clone(&files)))
        .merge(uploads::router(Arc::clone(&device), files))
        .merge(logs::router(Arc::clone(&device), logs))
        .merge(metrics::router(metrics))
        .merge(tasks::router(Arc::clone(&device), tasks))
        .merge(models::router(Arc::clone(&device), models_changed))
        .merge(forward::router(device))
        .merge(revocations::router(revocations))
        .fallback(|| async { ApiError::not_found("address on this device") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(ProblemCode::MethodNotAllowed, "This address does not take this method.")
        })
}

async fn hello(State(device): State<Arc<Device>>, Extension(caller): Extension<Caller>) -> Json<DeviceHello> {
    Json(DeviceHello {
        device_id: device.id,
        name: device.name.clone(),
        level: caller.level,
        expires_at: caller.expires_at,
        policy: device.policy(),
        agent_version: crate::VERSION.to_owned(),
        link_version: LINK_VERSION,
        time: foreman_machine::run::Moment::now().wall_ms,
    })
}
