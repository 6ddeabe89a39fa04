//! The router's wire types: how a model is chosen, keys for agents and clients, usage and what may be spent.

use serde::{Deserialize, Serialize};

use crate::{AccountId, DeviceId, Millis, ModelKeyId, ProviderId, TaskId, UseFor};

/// By what `auto` puts models in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RoutingOrder {
    /// One's own devices first, loaded models before others; then the default provider; then by price.
    LocalFirst,
    /// By the price of this request; one's own devices cost nothing.
    Cheapest,
    /// As `models` lists them, and nothing else.
    AsListed,
}

/// One way to choose a model, asked for by name: `auto`, `auto:private`, `auto:cheapest`, `auto:code`,
/// `auto:research`, `auto:long`, and those that people add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RoutingProfile {
    /// `auto` or `auto:` and `[a-z0-9-]{1,32}`.
    pub name: String,
    pub order: RoutingOrder,
    /// Only models whose requests stay on one's own devices.
    pub private_only: bool,
    /// Only providers that are used for this, or for all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub use_for: Option<UseFor>,
    /// Only models known to have at least this much context, tokens.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min_context: Option<u32>,
    /// `provider/model`, tried first and in this order.
    pub models: Vec<String>,
    /// For `auto` only: look at the request and use `auto:code`, `auto:research` or `auto:long` where it fits.
    pub by_request: bool,
}

/// What may be spent, micro-dollars. A request over it gets 402.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SpendCaps {
    /// A calendar day, UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub day_micros: Option<i64>,
    /// A calendar month, UTC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub month_micros: Option<i64>,
}

/// How requests find their model. Replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Routing {
    pub profiles: Vec<RoutingProfile>,
    pub caps: SpendCaps,
    /// Rises with each change; a change names the one it was made from, or gets 412.
    pub revision: i64,
}

/// Which model answered, or would, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Route {
    pub provider_id: ProviderId,
    /// The provider's name.
    pub provider: String,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_id: Option<DeviceId>,
    /// The device's name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<String>,
    pub because: Vec<RouteReason>,
    /// Models that were tried before it, and what they answered.
    pub instead_of: Vec<RouteMiss>,
    /// Whom nobody would have tried, of an answer in a conversation: of the first hundred such models, by provider.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_considered: Vec<RouteUnfitSome>,
}

/// Models of one provider that could not take a request for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteUnfitSome {
    pub provider: String,
    /// Absent when it is more than one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub model: Option<String>,
    pub because: UnfitBecause,
}

/// A reason for a choice; the UI has the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RouteReason {
    /// The request named it.
    Asked,
    Private,
    Local,
    Loaded,
    Cheapest,
    /// First in the profile's list.
    Listed,
    DefaultProvider,
    Code,
    Research,
    LongContext,
    /// The only one that can do it: tools, pictures, context.
    Able,
    /// Those before it failed.
    Fallback,
}

/// A model that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteMiss {
    pub provider: String,
    pub model: String,
    pub cause: MissCause,
    /// The upstream's status, when it answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// What did not come in time, of a [`MissCause::Timeout`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waited_for: Option<WaitedFor>,
}

/// What of an answer can be late; each has a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitedFor {
    Connection,
    /// Of a streamed answer.
    FirstToken,
    /// Of a streamed answer that had begun: in the details of the error that ends it.
    NextToken,
    /// All of an answer that is not streamed.
    Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MissCause {
    /// Refused the connection, or its device is offline.
    Unreachable,
    /// Did not answer in time.
    Timeout,
    /// Does not have the model.
    ModelMissing,
    RateLimited,
    /// 408 or 5xx.
    Failed,
    /// Paused after failures.
    Paused,
    /// Its key is in the locked vault.
    Locked,
    /// It does not take its key.
    KeyRefused,
    /// Its API has no word for something in the request.
    Format,
}

/// Asks which model a request would get. What is said of the request stands for the request itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExplainRoute {
    /// `auto`, a profile, `provider/model` or a model's bare name.
    pub model: String,
    /// It has tools.
    #[serde(default)]
    pub tools: bool,
    /// It has pictures.
    #[serde(default)]
    pub vision: bool,
    /// How long it is, tokens.
    #[serde(default)]
    pub input_tokens: u32,
    /// It looks like work on code.
    #[serde(default)]
    pub code: bool,
    /// It asks for a search of the web.
    #[serde(default)]
    pub research: bool,
    /// It wants embeddings, not an answer.
    #[serde(default)]
    pub embeddings: bool,
}

/// Which models a request would go to, in the order they would be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteExplained {
    /// The profile that was used; absent when a model was named.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub profile: Option<String>,
    /// The first is the one that would answer. At most 100.
    pub routes: Vec<Route>,
    /// Would be passed over now, and why: paused, rate-limited, its device offline, its key locked.
    pub passed_over: Vec<RouteMiss>,
    /// Considered and not fit. At most 100.
    pub unfit: Vec<RouteUnfit>,
}

/// A model that cannot take a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteUnfit {
    pub provider: String,
    pub model: String,
    pub because: UnfitBecause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnfitBecause {
    /// It, or its provider, is switched off.
    Disabled,
    /// Requests to it would leave one's own devices.
    NotPrivate,
    /// Its provider is not used for this.
    UseFor,
    /// Too little context, or not known to have enough.
    Context,
    Tools,
    Vision,
    /// Embeds and does not chat, or the other way round.
    Kind,
    /// The caller's key is not for it.
    Key,
    /// What may be spent is capped, and its price is not known.
    Price,
}

/// What each profile would take now for one question, and who would not answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoutingNow {
    pub profiles: Vec<ProfileNow>,
    /// Whose models would not answer now, and why.
    pub away: Vec<ProviderAway>,
}

/// What a profile would take now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProfileNow {
    pub profile: String,
    /// Absent when no model could answer. `instead_of` has one model of each provider that is passed over before it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub route: Option<Route>,
}

/// A provider whose models would not answer now: its device is offline, it is paused or asks for patience, its key is
/// locked or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderAway {
    pub provider_id: ProviderId,
    /// Its name.
    pub provider: String,
    pub cause: MissCause,
}

/// What a cap of a key counts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CapPeriod {
    Day,
    Month,
    Ever,
}

/// A placeholder key: lets an agent or a client ask models through Foreman without ever seeing a provider's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelKey {
    pub id: ModelKeyId,
    pub name: String,
    /// The last four characters of the secret.
    pub last_four: String,
    /// What it may ask for: `provider/model`, `provider/*`, profile names; empty: everything.
    pub models: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cap_micros: Option<i64>,
    pub cap_period: CapPeriod,
    /// Spent in the running period, micro-dollars.
    pub spent_micros: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revoked_at: Option<Millis>,
    /// Whose it is: made with this task, revoked at its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task_id: Option<TaskId>,
    pub created_at: Millis,
    pub created_by: AccountId,
    /// To the minute.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_used_at: Option<Millis>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddModelKey {
    /// 1 to 64 characters.
    pub name: String,
    #[serde(default)]
    pub models: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cap_micros: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cap_period: Option<CapPeriod>,
    /// 1 to 64 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
    /// Seconds from now; absent: until revoked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_in_s: Option<u32>,
}

/// A new key, with its secret this once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelKeyCreated {
    pub key: ModelKey,
    /// `fm-…`; goes where a client wants an OpenAI or Anthropic key.
    pub secret: String,
}

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UsageOutcome {
    Answered,
    /// The caller went away.
    Cancelled,
    /// The answer broke off.
    Broken,
    Failed,
    /// The server ended while it ran; what was counted until then.
    Interrupted,
}

/// By what usage is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    Model,
    Provider,
    Device,
    Key,
    Project,
    /// UTC days.
    Day,
}

/// Usage of one model, day, key …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageSum {
    /// The model as `provider/model`, the name of the provider, device, key or project, or the day as `2026-11-21`.
    /// Empty for requests that had none.
    pub name: String,
    pub requests: i64,
    pub failed: i64,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub cached_tokens: i64,
    /// Micro-dollars, of the requests whose price is known.
    pub cost_micros: i64,
    /// Requests whose price is not known.
    pub unpriced: i64,
    /// Median, whole answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency_ms: Option<i64>,
    /// Median, to the first token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_ms: Option<i64>,
}

/// What was used and what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageReport {
    pub from: Millis,
    /// Exclusive.
    pub to: Millis,
    pub by: UsageBy,
    pub total: UsageSum,
    /// Largest cost first, or days in order. At most 500.
    pub sums: Vec<UsageSum>,
    pub today_micros: i64,
    pub month_micros: i64,
    pub caps: SpendCaps,
    /// Models that did not answer what they were chosen for, and why; the most frequent first. At most 50.
    #[serde(default)]
    pub missed: Vec<UsageMiss>,
}

/// A model that did not answer for one reason: another one did, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageMiss {
    pub miss: RouteMiss,
    pub requests: i64,
    /// When the latest of these requests began.
    pub last_at: Millis,
}
