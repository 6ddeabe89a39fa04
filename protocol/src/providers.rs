//! Model providers and the models they offer: clouds by API key, and Ollama on one's own devices.

use serde::{Deserialize, Serialize};

use crate::{DeviceId, Millis, ProviderId, Secret};

/// Which API a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    Anthropic,
    Openai,
    Google,
    Mistral,
    Groq,
    Cerebras,
    Openrouter,
    /// Any other address that speaks OpenAI's API.
    OpenaiCompatible,
    /// Ollama on a connected device, reached over the device link.
    Ollama,
}

/// How Foreman proves itself to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProviderAuth {
    ApiKey,
    Oauth,
    /// One's own device, or an address that asks for nothing.
    None,
}

/// What a provider or a model is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UseFor {
    Code,
    Research,
    All,
}

/// Whether requests to a provider get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProviderState {
    /// Nothing was sent yet.
    Unknown,
    Up,
    /// The last request failed.
    Failing,
    /// Failed too often: nothing is sent before `retry_at`.
    Paused,
    /// Its device is offline.
    Offline,
    /// Its key is in the vault, and the vault is locked.
    Locked,
    Disabled,
}

/// What went wrong when a provider was asked for its models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProviderFault {
    /// It does not take the key.
    KeyRefused,
    /// Nothing answers at its address, or Ollama does not run on its device.
    Unreachable,
    /// Something answers that does not speak the API.
    NotAnApi,
    RateLimited,
    /// It did not answer in time.
    Timeout,
    /// It answered with an error of its own.
    Failed,
    VaultLocked,
    VaultMissing,
    /// Its key is no longer in the vault.
    KeyMissing,
    DeviceOffline,
    /// The device lets this server do nothing, or not enough.
    NotTrusted,
    /// The device's policy says no: `ALLOW_MODELS`.
    PolicyForbids,
    /// The device's agent is from before models.
    AgentTooOld,
}

/// How a provider has answered lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderHealth {
    pub state: ProviderState,
    /// What went wrong when it was last asked for its models.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fault: Option<ProviderFault>,
    /// Why, in the provider's or Foreman's words; no secrets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// When it was last asked for its models.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checked_at: Option<Millis>,
    /// How many models it named then.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub models: Option<u32>,
    /// How long that answer took.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency_ms: Option<u32>,
    /// What could still be spent with its key then, micro-dollars; absent where the key has no limit or the provider
    /// does not tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub credit_micros: Option<i64>,
    /// While paused or rate-limited: when it is tried again.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_at: Option<Millis>,
}

/// A provider of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Provider {
    pub id: ProviderId,
    pub kind: ProviderKind,
    pub auth: ProviderAuth,
    /// Unique; what people and `provider/model` names call it: `[a-z0-9-]{1,40}`.
    pub name: String,
    /// Where its API is, without a path of a call; the vendor's own unless it was changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base_url: Option<String>,
    /// The device an Ollama runs on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_id: Option<DeviceId>,
    /// What its key is called in the vault.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vault_key: Option<String>,
    /// Found on a device, not added by a person.
    pub found: bool,
    pub enabled: bool,
    /// Where a request without a wish goes first.
    pub is_default: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_model: Option<String>,
    /// What coding agents and `auto` use it for; none: only when named.
    pub use_for: Vec<UseFor>,
    pub health: ProviderHealth,
    pub created_at: Millis,
}

/// Adds a provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddProvider {
    pub kind: ProviderKind,
    /// `oauth`: `key` is a token that somebody signed in for. Absent: what fits the rest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auth: Option<ProviderAuth>,
    /// Absent: after its kind or its device.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Needed for `openai_compatible`. `http` only to private addresses.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base_url: Option<String>,
    /// Needed for `ollama`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device_id: Option<DeviceId>,
    /// Goes into the vault under the provider's name; the vault must be unlocked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Secret>,
    /// A key that is in the vault already.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vault_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub use_for: Option<Vec<UseFor>>,
}

/// Changes what is given and leaves the rest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateProvider {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// With a key of the vault, the key must be given again: it is for the address it was given for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base_url: Option<String>,
    /// Replaces the key in the vault.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub enabled: Option<bool>,
    /// `true` takes the mark from the one that had it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub is_default: Option<bool>,
    /// Empty: none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub use_for: Option<Vec<UseFor>>,
}

/// Micro-dollars for a million tokens: 3 $ is 3,000,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    pub input_micros: i64,
    pub output_micros: i64,
    /// For input that the provider had cached; `input_micros` where absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cached_micros: Option<i64>,
}

/// Where what is known of a model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum KnownFrom {
    Provider,
    /// Foreman's own table; `known_at` is its date.
    Table,
    /// A person entered it.
    Person,
    Unknown,
}

/// A model of a provider. What is absent is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Model {
    pub provider_id: ProviderId,
    /// The provider's name: `provider/id` names the model without doubt.
    pub provider: String,
    /// What the provider calls it.
    pub id: String,
    /// What a request can count on. Ollama runs a model with less than it can do unless it is told otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub context_tokens: Option<u32>,
    /// On a device: what the model can do at most, however it is run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub most_context_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tools: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vision: Option<bool>,
    /// Makes embeddings and does not chat.
    pub embeddings: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub price: Option<ModelPrice>,
    pub known_from: KnownFrom,
    /// The day, as `2026-11-01`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub known_at: Option<String>,
    /// Requests to it stay on one's own devices.
    pub private: bool,
    /// Bytes on the device's disk.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// In the device's memory now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loaded: Option<bool>,
    pub enabled: bool,
    /// What of it a person entered; the rest is what the provider or the table says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entered: Option<UpdateModel>,
}

/// Enters what is known of a model; `null`s go back to what the provider or the table says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateModel {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub context_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tools: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vision: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub price: Option<ModelPrice>,
    pub enabled: bool,
}

/// Asks a device's Ollama for a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PullModel {
    /// As in `ollama pull`: 1 to 256 characters.
    pub model: String,
}

/// How far a model has come. One SSE event each, `progress`, until `done` or `failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullProgress {
    /// What Ollama says it does now.
    pub status: String,
    /// Bytes of the layer in work.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub completed: Option<u64>,
}

/// A model on its way to a device. It goes on when nobody looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunningPull {
    pub device_id: DeviceId,
    pub model: String,
    pub started_at: Millis,
    /// Who asked for it.
    pub by: String,
    pub progress: PullProgress,
}
