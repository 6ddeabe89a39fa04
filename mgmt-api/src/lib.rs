//! The control plane: accounts, device registry, tasks, the event log and its readers; serves the dashboard.
//!
//! Features are modules with their routes, queries and rules together. What travels sealed between a client and
//! a device is none of this crate's business.

mod accounts;
mod auth;
pub mod backup;
mod bounds;
mod chats;
pub mod cli;
mod commands;
pub mod config;
mod db;
mod devices;
mod events;
mod extract;
pub mod host;
mod link;
mod meters;
mod once;
mod problem;
mod providers;
mod push;
mod query;
mod router;
mod sealing;
mod secrets;
pub mod server;
mod tasks;
mod tunnels;
mod upkeep;
mod vault;
mod web;

use std::sync::Arc;

use foreman_protocol::TenantId;
use tokio_util::sync::CancellationToken;

/// This server's version, as in its package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What every request handler works with.
pub type App = Arc<Server>;

/// The parts of a running server. Built once at start and passed; there are no globals.
pub struct Server {
    pub(crate) db: db::Db,
    pub(crate) hub: events::hub::Hub,
    pub(crate) settings: config::Settings,
    /// The one tenant of an install that has not been split into several.
    pub(crate) tenant: TenantId,
    pub(crate) bearers: auth::device::Bearers,
    pub(crate) attempts: auth::attempts::Attempts,
    pub(crate) link: link::Links,
    pub(crate) heartbeats: devices::presence::Heartbeats,
    /// For secrets that the database must hold and not show.
    pub(crate) seal: sealing::Seal,
    /// Makes tunnels, when the operator named an account.
    pub(crate) tunnels: Option<Arc<tunnels::Tunnels>>,
    /// API keys of model providers.
    pub(crate) vault: vault::Vault,
    /// Where models are asked.
    pub(crate) providers: providers::Providers,
    /// Chooses among their models, and counts.
    pub(crate) router: router::Router,
    /// Tells accounts where no page is open.
    pub(crate) push: push::Push,
    pub(crate) metrics: metrics_exporter_prometheus::PrometheusHandle,
    /// Cancelled when the server begins to shut down: endless streams end then.
    pub(crate) closing: CancellationToken,
}
