//! Providers of models and what they offer: clouds by API key, other addresses, and Ollama on connected devices.
//!
//! Everything a choice is made from is kept in memory as one [`Catalogue`], renewed whenever something of it changed,
//! here or in another process. Keys stay in the vault until the moment a request goes out ([`Providers::send`]).
//! Which model is chosen for a request, and what it costs, is not known here.

pub mod address;
mod catalogue;
mod change;
mod check;
mod device;
mod keep;
mod kinds;
mod lists;
mod models;
mod pulls;
pub mod refusal;
mod routes;
mod send;
pub mod store;
mod table;
mod ways;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use foreman_link::{carrier::Dialer, h2::BoxError};
use foreman_protocol::{Device, Millis, Model, Provider, ProviderId, ProviderState, TenantId};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;

pub use keep::run as keep;
#[allow(unused_imports, reason = "the router chooses the format by it")]
pub use kinds::{Wire, wire};
pub use lists::is_remote;

use crate::{
    App,
    db::now,
    problem::{ApiError, ApiResult},
};

/// The providers of this server's tenants.
pub struct Providers {
    ways: ways::Ways,
    kept: RwLock<HashMap<TenantId, Arc<Catalogue>>>,
    /// One at a time, so that an older picture never replaces a newer one.
    renewing: tokio::sync::Mutex<()>,
    /// With the time each was taken note of.
    standings: Mutex<HashMap<ProviderId, (Millis, Standing)>>,
    standing_changed: Notify,
    /// Whose turn it is to look at a provider.
    turns: Mutex<HashMap<ProviderId, Arc<tokio::sync::Mutex<()>>>>,
    pulls: pulls::Pulls,
}

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(routes::router()).merge(models::router()).merge(pulls::router())
}

/// Everything the router may choose from, as it stands now.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// By the time they were added.
    pub providers: Vec<Known>,
}

/// A provider and its models.
#[derive(Debug, Clone)]
pub struct Known {
    pub provider: Provider,
    /// In the provider's order by name, those that are switched off included.
    pub models: Vec<Model>,
    pub device_name: Option<String>,
    /// Its device is connected and Ollama runs there; `true` for what is not on a device.
    pub online: bool,
    /// What an Ollama runs on.
    pub device: Option<Arc<Device>>,
    /// When its models are listed again by itself.
    pub due_at: Millis,
}

/// How requests to a provider went lately, as whoever sends them sees it.
#[derive(Debug, Clone)]
pub struct Standing {
    pub state: ProviderState,
    pub reason: Option<String>,
    pub retry_at: Option<Millis>,
}

/// One request to a provider's own API.
#[derive(Debug)]
pub struct Call {
    /// After the base address: `chat/completions`, `embeddings`, `messages`, `models`.
    pub path: &'static str,
    /// JSON, sent by POST; without one it is a GET.
    pub body: Option<Bytes>,
    /// How long the way there may take to open.
    pub connect: Duration,
    /// Besides the key and the content type.
    pub headers: HeaderMap,
}

/// What the provider answered, whatever it says. Dropping the body ends the request at the provider.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: UnsyncBoxBody<Bytes, BoxError>,
}

/// Why a provider did not answer.
#[derive(Debug)]
pub enum SendFailed {
    /// Its address refuses connections, its device is offline, or its Ollama is not running. In words.
    Unreachable(String),
    /// The way to it did not open in time.
    Timeout,
    /// Its key is in a vault that is locked or missing.
    Locked(ApiError),
    /// A device does not allow it, or the key is gone.
    Refused(ApiError),
}

impl Providers {
    /// `dialer` knows the proxies that lead to providers.
    pub fn new(dialer: Dialer) -> Self {
        Self {
            ways: ways::Ways::new(dialer),
            kept: RwLock::default(),
            renewing: tokio::sync::Mutex::default(),
            standings: Mutex::default(),
            standing_changed: Notify::new(),
            turns: Mutex::default(),
            pulls: pulls::Pulls::default(),
        }
    }

    /// Everything there is to choose from.
    ///
    /// # Errors
    /// When it is not in memory yet and the database cannot be read.
    pub async fn catalogue(&self, app: &App, tenant: TenantId) -> ApiResult<Arc<Catalogue>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        match kept {
            Some(kept) => Ok(kept),
            // Boxed, as all that is rare: else every request carries its room along.
            None => Box::pin(self.renew(app, tenant)).await,
        }
    }

    /// Reads everything anew.
    ///
    /// # Errors
    /// When the database cannot be read; what was known stays.
    pub async fn renew(&self, app: &App, tenant: TenantId) -> ApiResult<Arc<Catalogue>> {
        let _turn = self.renewing.lock().await;
        let fresh = Arc::new(catalogue::read(app, tenant).await?);
        self.kept.write().unwrap_or_else(PoisonError::into_inner).insert(tenant, Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Takes note of how requests to a provider go; what it shows as its health follows. `None` after its address or
    /// key changed: nothing is known again.
    pub fn stands(&self, provider: ProviderId, standing: Option<Standing>) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        match standing {
            Some(standing) => standings.insert(provider, (now(), standing)),
            None => standings.remove(&provider),
        };
        self.standing_changed.notify_one();
    }

    fn turn(&self, provider: ProviderId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|id, turn| *id == provider || Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(provider).or_default())
    }

    /// When the first of those that ask for patience may be asked again, after this moment.
    fn patience_ends(&self, after: Millis) -> Option<Millis> {
        let standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        standings.values().filter_map(|(_, standing)| standing.retry_at).filter(|until| *until > after).min()
    }

    fn standing(&self, provider: ProviderId) -> Option<(Millis, Standing)> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).get(&provider).cloned()
    }
}
