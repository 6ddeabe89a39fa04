//! The router: one address for every model. It chooses a model by rules that people see and edit, asks the provider
//! with a key that no client ever sees, says which model answered and why, and counts what was used.
//!
//! A request comes in at the [`door`], is looked at ([`peek`]), gets its candidates in order ([`choose`]) and goes to
//! one after the other until one answers ([`attempt`]); its answer is passed on as it comes ([`passing`]). On that way
//! nothing is read from the database: keys, rules, the catalogue and what was spent are in memory, renewed by events.
//!
//! It must not know how a provider is reached ([`crate::providers`]) nor what a conversation is.

mod access;
mod asking;
mod attempt;
mod breaker;
mod choose;
mod door;
mod explain;
pub(crate) mod keys;
mod ledger;
pub mod naming;
mod passing;
mod peek;
mod profiles;
mod report;
mod shape;
mod sse;
mod tally;
mod translate;
mod words;

use std::{
    path::Path,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use clap::Args;
use foreman_protocol::{
    ApiTokenId, MessageUsage, ModelKeyId, Provider, ProviderId, Route, Routing, TenantId, UserId,
};
use futures_util::Stream;
use memchr::memmem;
use tokio::sync::broadcast::error::RecvError;
use utoipa_axum::router::OpenApiRouter;

pub use keys::PREFIX as KEY_PREFIX;
pub use ledger::{keep, prune};

use crate::{
    App,
    db::Db,
    problem::{ApiError, ApiResult},
    providers::Catalogue,
};

/// What was missed of the log is looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How long models may take.
#[derive(Debug, Clone, Args)]
pub struct RouterOptions {
    /// Seconds until a connection to a model's provider must stand.
    #[arg(long, env = "FOREMAN_MODEL_CONNECT_S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub model_connect_s: u32,
    /// Seconds until the first token of a streamed answer, the connection included; then the next model is asked.
    #[arg(long, env = "FOREMAN_MODEL_FIRST_TOKEN_S", default_value_t = 180, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub model_first_token_s: u32,
    /// Seconds that a streamed answer may pause once it has begun.
    #[arg(long, env = "FOREMAN_MODEL_IDLE_S", default_value_t = 180, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub model_idle_s: u32,
    /// Seconds until an answer that is not streamed is there; then the next model is asked.
    #[arg(long, env = "FOREMAN_MODEL_WHOLE_S", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=7_200))]
    pub model_whole_s: u32,
}

/// The same, settled.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connect: Duration,
    first_token: Duration,
    idle: Duration,
    whole: Duration,
}

/// What requests to models work with, all of it in memory.
pub struct Router {
    limits: Limits,
    pub(crate) keys: keys::Ring,
    routing: RwLock<Arc<Routing>>,
    breakers: breaker::Breakers,
    ledger: Arc<ledger::Ledger>,
}

impl Router {
    /// Reads keys and rules, and brings what a server before left of its usage into the database.
    ///
    /// # Errors
    /// When the data folder or the database cannot be used.
    pub async fn open(
        db: Db,
        tenant: TenantId,
        data: &Path,
        options: &RouterOptions,
    ) -> anyhow::Result<Self> {
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        let keys = keys::Ring::default();
        keys.learn(&db).await?;
        Ok(Self {
            limits: Limits {
                connect: seconds(options.model_connect_s),
                first_token: seconds(options.model_first_token_s),
                idle: seconds(options.model_idle_s),
                whole: seconds(options.model_whole_s),
            },
            keys,
            routing: RwLock::new(Arc::new(profiles::load(&db, tenant).await?)),
            breakers: breaker::Breakers::default(),
            ledger: Arc::new(ledger::Ledger::open(db, data).await?),
        })
    }

    /// The rules as they stand.
    fn routing(&self) -> Arc<Routing> {
        Arc::clone(&self.routing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tokens of context that a request to a model or a profile of this name can count on; `unknown` stands for a model
    /// that does not tell. `None` where nothing fits.
    #[must_use]
    pub fn context(&self, catalogue: &Catalogue, name: &str, unknown: u32) -> Option<u32> {
        choose::context(catalogue, &self.routing(), name, unknown)
    }

    /// Somebody saw that a provider answers: nothing holds requests to it back any more. Whether anything did.
    pub fn reopen(&self, app: &App, tenant: TenantId, provider: &Provider) -> bool {
        let change = self.breakers.reset(provider.id);
        if let Some(change) = change {
            breaker::tell(app, tenant, provider, change, None);
        }
        change.is_some()
    }

    /// A provider has another key or address, or is gone: what is known of it is of no use.
    pub fn forget(&self, provider: ProviderId) {
        self.breakers.reset(provider);
    }

    /// Reads keys and rules anew, after something else changed them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn learn(&self, app: &App) -> ApiResult<()> {
        self.keys.learn(&app.db).await?;
        self.learn_routing(app).await
    }

    async fn learn_routing(&self, app: &App) -> ApiResult<()> {
        let fresh = Arc::new(profiles::load(&app.db, app.tenant).await?);
        *self.routing.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

pub fn router() -> OpenApiRouter<App> {
    door::router()
        .merge(profiles::router())
        .merge(explain::router())
        .merge(keys::router())
        .merge(report::router())
}

/// Renews what is in memory when the log says that it changed, here or on another server.
pub async fn follow(app: App) {
    let mut news = app.hub.subscribe(app.tenant);
    loop {
        let heard = tokio::select! {
            () = app.closing.cancelled() => return,
            heard = tokio::time::timeout(LOOK_EVERY, news.recv()) => heard,
        };
        let (keys, routing, vault) = match heard {
            Ok(Ok(frame)) => {
                let says = |word: &str| memmem::find(&frame.bytes, word.as_bytes()).is_some();
                (says("\"model_key."), says("\"routing.changed\""), says("\"vault."))
            }
            // Too much happened to hear all of it, or nothing for a while.
            Ok(Err(RecvError::Lagged(_))) | Err(_) => (true, true, true),
            Ok(Err(RecvError::Closed)) => return,
        };
        if vault {
            app.vault.forget();
        }
        let mut outcome = Ok(());
        if keys {
            outcome = app.router.keys.learn(&app.db).await;
        }
        if routing {
            outcome = outcome.and(app.router.learn_routing(&app).await);
        }
        if let Err(error) = outcome {
            tracing::warn!(%error, "what changed for models could not be read; trying again");
        }
    }
}

/// On whose account a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payer {
    User(UserId),
    Token(ApiTokenId),
    Key(ModelKeyId),
}

/// A request from within this process.
pub struct Question {
    pub tenant: TenantId,
    pub payer: Payer,
    /// `auto`, a profile, `provider/model` or a model's bare name.
    pub model: String,
    pub project: Option<String>,
    /// OpenAI's chat completions request, without `model` and `stream`.
    pub body: serde_json::Value,
}

/// What came of a question. Dropping `pieces` cancels upstream at once.
pub struct Reply {
    pub route: Route,
    pub pieces: Pin<Box<dyn Stream<Item = Result<Piece, ApiError>> + Send>>,
}

/// A piece of an answer on its way.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(String),
    Reasoning(String),
    /// The last one. `finish` is OpenAI's word for why it ended: `stop`, `length`, `tool_calls`, `content_filter`.
    Done {
        usage: MessageUsage,
        finish: String,
    },
}

/// Asks a model. Returns when the first token is there; before that, other models may have been tried.
///
/// # Errors
/// `model_unavailable`, `upstream_failed`, `spend_cap_reached`, `vault_locked`, `rate_limited`; what arrived before a
/// broken answer is in the pieces before the error.
pub async fn ask(app: &App, question: Question) -> ApiResult<Reply> {
    asking::ask(app, question).await
}
