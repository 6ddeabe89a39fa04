//! The event log: every state change, by whom, from where, in one order.

use serde::{Deserialize, Serialize};

use crate::{
    ApiTokenId, ChatId, Device, DeviceId, Grant, LockedBecause, Millis, ModelKey, ModelKeyId, Provider,
    ProviderFault, ProviderId, ProviderState, PushKind, PushReceiverId, PushRemoved, RefusedBecause, Revoked,
    Role, Routing, SignInMeans, Task, TerminalId, UnlockedBy, UserId, VaultAttempt, VaultKeyId, VaultKeyName,
    VaultProvider,
};

/// Who caused something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    User {
        id: UserId,
        name: String,
    },
    /// A program with a bearer token.
    Token {
        id: ApiTokenId,
        name: String,
    },
    Device {
        id: DeviceId,
        name: String,
    },
    /// Someone with a shell on the server's host.
    Host,
    /// Foreman itself: a timer, a limit.
    System,
    /// Not signed in.
    Anonymous,
    /// Somebody at the device itself, over its link: the name that its owner gave to their grant, as the device says.
    Link {
        name: String,
    },
}

/// One row of the log. Applying it twice changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventRecord {
    /// Rises by one with each event of a tenant; the SSE id.
    pub cursor: i64,
    pub at: Millis,
    pub actor: Actor,
    /// Network address it came from, when it came from the network.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    #[serde(flatten)]
    pub event: Event,
    /// SHA-256 over the hash before and this row, hex.
    pub hash: String,
}

/// Everything that can happen. The payload is the thing's state after it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", content = "data")]
pub enum Event {
    #[serde(rename = "device.created")]
    DeviceCreated { device: Box<Device> },
    /// A new connection token replaced the one before.
    #[serde(rename = "device.token.created")]
    DeviceTokenCreated { device: Box<Device> },
    /// An agent spent the token and registered its key.
    #[serde(rename = "device.connected")]
    DeviceConnected { device: Box<Device> },
    /// The agent signed off for good.
    #[serde(rename = "device.disconnected")]
    DeviceDisconnected { device: Box<Device> },
    #[serde(rename = "device.online")]
    DeviceOnline { device: Box<Device> },
    #[serde(rename = "device.offline")]
    DeviceOffline { device: Box<Device> },
    /// Renamed, or its capabilities, policy or agent changed.
    #[serde(rename = "device.updated")]
    DeviceUpdated { device: Box<Device> },
    /// Someone asked for its capabilities to be detected again.
    #[serde(rename = "device.probe_requested")]
    DeviceProbeRequested { device: Box<Device> },
    #[serde(rename = "device.gpu_memory.high")]
    DeviceGpuMemoryHigh { device: Box<Device>, percent: f32 },
    #[serde(rename = "device.gpu_memory.normal")]
    DeviceGpuMemoryNormal { device: Box<Device>, percent: f32 },
    /// The device turned callers of its link away.
    #[serde(rename = "device.link.refused")]
    LinkRefused { device: Box<Device>, from: String, reason: RefusedBecause, count: u32 },
    #[serde(rename = "device.grant.added")]
    GrantAdded { device: Box<Device>, grant: Grant },
    /// A revocation is on its way; whether it holds, the device says.
    #[serde(rename = "device.grant.revocation_asked")]
    GrantRevocationAsked { device: Box<Device>, revoked: Revoked },
    /// The device said that it holds.
    #[serde(rename = "device.grant.revoked")]
    GrantRevoked { device: Box<Device>, revoked: Revoked },
    /// A terminal was opened on the device; `by` as the device knows them.
    #[serde(rename = "device.terminal.opened")]
    TerminalOpened { device: Box<Device>, terminal_id: TerminalId, by: String },
    #[serde(rename = "device.terminal.ended")]
    TerminalEnded { device: Box<Device>, terminal_id: TerminalId, by: String },
    /// A file was changed over the device link.
    #[serde(rename = "device.file.changed")]
    FileChanged { device: Box<Device>, action: String, path: String, by: String },
    /// Its Cloudflare Tunnel was made, mended or removed.
    #[serde(rename = "device.tunnel.changed")]
    TunnelChanged { device: Box<Device>, action: String },
    #[serde(rename = "device.deleted")]
    DeviceDeleted { device_id: DeviceId, name: String },
    #[serde(rename = "device.task.queued")]
    TaskQueued { task: Box<Task> },
    #[serde(rename = "device.task.started")]
    TaskStarted { task: Box<Task> },
    #[serde(rename = "device.task.stop_requested")]
    TaskStopRequested { task: Box<Task> },
    #[serde(rename = "device.task.completed")]
    TaskCompleted { task: Box<Task> },
    #[serde(rename = "device.task.failed")]
    TaskFailed { task: Box<Task> },
    #[serde(rename = "device.task.stopped")]
    TaskStopped { task: Box<Task> },
    #[serde(rename = "device.task.lost")]
    TaskLost { task: Box<Task> },
    #[serde(rename = "device.task.refused")]
    TaskRefused { task: Box<Task> },
    #[serde(rename = "user.created")]
    UserCreated { user_id: UserId, name: String, role: Role },
    #[serde(rename = "user.password_changed")]
    PasswordChanged { user_id: UserId, name: String },
    #[serde(rename = "session.created")]
    SessionCreated { user_id: UserId, name: String },
    #[serde(rename = "session.ended")]
    SessionEnded { user_id: UserId, name: String },
    /// Somebody did not prove who they are, or a program was turned away by a person: then there are no `means`.
    #[serde(rename = "sign_in.failed")]
    SignInFailed {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        means: Option<SignInMeans>,
        /// From now on nothing that comes from there is looked at for so many seconds.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        wait_s: Option<u32>,
    },
    #[serde(rename = "api_token.created")]
    ApiTokenCreated { token_id: ApiTokenId, name: String, role: Role },
    #[serde(rename = "api_token.revoked")]
    ApiTokenRevoked { token_id: ApiTokenId, name: String },
    /// The vault got its master password.
    #[serde(rename = "vault.initialised")]
    VaultInitialised { unattended: bool },
    #[serde(rename = "vault.unlocked")]
    VaultUnlocked { by: UnlockedBy },
    /// A wrong master password; `tries` in a row.
    #[serde(rename = "vault.unlock_failed")]
    VaultUnlockFailed { attempt: VaultAttempt, tries: u32 },
    #[serde(rename = "vault.locked")]
    VaultLocked { because: LockedBecause },
    #[serde(rename = "vault.key_added")]
    VaultKeyAdded { key_id: VaultKeyId, provider: VaultProvider, name: String },
    #[serde(rename = "vault.key_removed")]
    VaultKeyRemoved { key_id: VaultKeyId, provider: VaultProvider, name: String },
    /// A new master password; this many keys stay behind it.
    #[serde(rename = "vault.password_rotated")]
    VaultPasswordRotated { keys: u32 },
    /// All keys went out as an encrypted file.
    #[serde(rename = "vault.exported")]
    VaultExported { keys: Vec<VaultKeyName> },
    /// These keys came in from an encrypted file.
    #[serde(rename = "vault.imported")]
    VaultImported { keys: Vec<VaultKeyName> },
    #[serde(rename = "provider.added")]
    ProviderAdded { provider: Box<Provider> },
    #[serde(rename = "provider.updated")]
    ProviderUpdated { provider: Box<Provider> },
    #[serde(rename = "provider.removed")]
    ProviderRemoved { provider_id: ProviderId, name: String },
    /// It began to fail, was paused, or is back.
    #[serde(rename = "provider.state_changed")]
    ProviderStateChanged {
        provider_id: ProviderId,
        name: String,
        state: ProviderState,
        /// What is wrong with it, where that is known.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        fault: Option<ProviderFault>,
    },
    /// Somebody entered what is known of a model, or took it back.
    #[serde(rename = "model.updated")]
    ModelUpdated { provider_id: ProviderId, model: String },
    #[serde(rename = "model.pulled")]
    ModelPulled { provider_id: ProviderId, model: String },
    #[serde(rename = "model.deleted")]
    ModelDeleted { provider_id: ProviderId, model: String },
    #[serde(rename = "routing.changed")]
    RoutingChanged { routing: Box<Routing> },
    #[serde(rename = "model_key.created")]
    ModelKeyCreated { key: Box<ModelKey> },
    /// What it may ask is called otherwise: a provider was renamed or removed.
    #[serde(rename = "model_key.updated")]
    ModelKeyUpdated { key: Box<ModelKey> },
    #[serde(rename = "model_key.revoked")]
    ModelKeyRevoked { key_id: ModelKeyId, name: String },
    /// The first request over a cap in its period; `name` is the key's, absent for the caps of all.
    #[serde(rename = "spend_cap.reached")]
    SpendCapReached { name: Option<String>, cap_micros: i64, spent_micros: i64 },
    /// Made, renamed, asked in, answered in, or shown at another branch.
    #[serde(rename = "chat.changed")]
    ChatChanged { chat_id: ChatId, owner: UserId },
    #[serde(rename = "chat.deleted")]
    ChatDeleted { chat_id: ChatId, owner: UserId },
    /// An account is told there from now on.
    #[serde(rename = "push.receiver_added")]
    PushReceiverAdded { receiver_id: PushReceiverId, kind: PushKind, name: String },
    /// Renamed, or it is told other things.
    #[serde(rename = "push.receiver_updated")]
    PushReceiverUpdated { receiver_id: PushReceiverId, kind: PushKind, name: String },
    #[serde(rename = "push.receiver_removed")]
    PushReceiverRemoved { receiver_id: PushReceiverId, kind: PushKind, name: String, because: PushRemoved },
}

/// The pattern of every event that carries a device.
macro_rules! about_a_device {
    ($device:ident) => {
        Event::DeviceCreated { device: $device }
            | Event::DeviceTokenCreated { device: $device }
            | Event::DeviceConnected { device: $device }
            | Event::DeviceDisconnected { device: $device }
            | Event::DeviceOnline { device: $device }
            | Event::DeviceOffline { device: $device }
            | Event::DeviceUpdated { device: $device }
            | Event::DeviceProbeRequested { device: $device }
            | Event::DeviceGpuMemoryHigh { device: $device, .. }
            | Event::DeviceGpuMemoryNormal { device: $device, .. }
            | Event::LinkRefused { device: $device, .. }
            | Event::GrantAdded { device: $device, .. }
            | Event::GrantRevocationAsked { device: $device, .. }
            | Event::GrantRevoked { device: $device, .. }
            | Event::TerminalOpened { device: $device, .. }
            | Event::TerminalEnded { device: $device, .. }
            | Event::FileChanged { device: $device, .. }
            | Event::TunnelChanged { device: $device, .. }
    };
}

/// The pattern of every event that carries a task.
macro_rules! about_a_task {
    ($task:ident) => {
        Event::TaskQueued { task: $task }
            | Event::TaskStarted { task: $task }
            | Event::TaskStopRequested { task: $task }
            | Event::TaskCompleted { task: $task }
            | Event::TaskFailed { task: $task }
            | Event::TaskStopped { task: $task }
            | Event::TaskLost { task: $task }
            | Event::TaskRefused { task: $task }
    };
}

impl Event {
    /// The public name, as in the `type` field.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Event::DeviceCreated { .. } => "device.created",
            Event::DeviceTokenCreated { .. } => "device.token.created",
            Event::DeviceConnected { .. } => "device.connected",
            Event::DeviceDisconnected { .. } => "device.disconnected",
            Event::DeviceOnline { .. } => "device.online",
            Event::DeviceOffline { .. } => "device.offline",
            Event::DeviceUpdated { .. } => "device.updated",
            Event::DeviceProbeRequested { .. } => "device.probe_requested",
            Event::DeviceGpuMemoryHigh { .. } => "device.gpu_memory.high",
            Event::DeviceGpuMemoryNormal { .. } => "device.gpu_memory.normal",
            Event::LinkRefused { .. } => "device.link.refused",
            Event::GrantAdded { .. } => "device.grant.added",
            Event::GrantRevocationAsked { .. } => "device.grant.revocation_asked",
            Event::GrantRevoked { .. } => "device.grant.revoked",
            Event::TerminalOpened { .. } => "device.terminal.opened",
            Event::TerminalEnded { .. } => "device.terminal.ended",
            Event::FileChanged { .. } => "device.file.changed",
            Event::TunnelChanged { .. } => "device.tunnel.changed",
            Event::DeviceDeleted { .. } => "device.deleted",
            Event::TaskQueued { .. } => "device.task.queued",
            Event::TaskStarted { .. } => "device.task.started",
            Event::TaskStopRequested { .. } => "device.task.stop_requested",
            Event::TaskCompleted { .. } => "device.task.completed",
            Event::TaskFailed { .. } => "device.task.failed",
            Event::TaskStopped { .. } => "device.task.stopped",
            Event::TaskLost { .. } => "device.task.lost",
            Event::TaskRefused { .. } => "device.task.refused",
            Event::UserCreated { .. } => "user.created",
            Event::PasswordChanged { .. } => "user.password_changed",
            Event::SessionCreated { .. } => "session.created",
            Event::SessionEnded { .. } => "session.ended",
            Event::SignInFailed { .. } => "sign_in.failed",
            Event::ApiTokenCreated { .. } => "api_token.created",
            Event::ApiTokenRevoked { .. } => "api_token.revoked",
            Event::VaultInitialised { .. } => "vault.initialised",
            Event::VaultUnlocked { .. } => "vault.unlocked",
            Event::VaultUnlockFailed { .. } => "vault.unlock_failed",
            Event::VaultLocked { .. } => "vault.locked",
            Event::VaultKeyAdded { .. } => "vault.key_added",
            Event::VaultKeyRemoved { .. } => "vault.key_removed",
            Event::VaultPasswordRotated { .. } => "vault.password_rotated",
            Event::VaultExported { .. } => "vault.exported",
            Event::VaultImported { .. } => "vault.imported",
            Event::ProviderAdded { .. } => "provider.added",
            Event::ProviderUpdated { .. } => "provider.updated",
            Event::ProviderRemoved { .. } => "provider.removed",
            Event::ProviderStateChanged { .. } => "provider.state_changed",
            Event::ModelUpdated { .. } => "model.updated",
            Event::ModelPulled { .. } => "model.pulled",
            Event::ModelDeleted { .. } => "model.deleted",
            Event::RoutingChanged { .. } => "routing.changed",
            Event::ModelKeyCreated { .. } => "model_key.created",
            Event::ModelKeyUpdated { .. } => "model_key.updated",
            Event::ModelKeyRevoked { .. } => "model_key.revoked",
            Event::SpendCapReached { .. } => "spend_cap.reached",
            Event::ChatChanged { .. } => "chat.changed",
            Event::ChatDeleted { .. } => "chat.deleted",
            Event::PushReceiverAdded { .. } => "push.receiver_added",
            Event::PushReceiverUpdated { .. } => "push.receiver_updated",
            Event::PushReceiverRemoved { .. } => "push.receiver_removed",
        }
    }

    /// The device it carries.
    #[must_use]
    pub const fn device(&self) -> Option<&Device> {
        match self {
            about_a_device!(device) => Some(device),
            _ => None,
        }
    }

    /// The task it carries.
    #[must_use]
    pub const fn task(&self) -> Option<&Task> {
        match self {
            about_a_task!(task) => Some(task),
            _ => None,
        }
    }

    /// The device it is about, for filters.
    #[must_use]
    pub const fn device_id(&self) -> Option<DeviceId> {
        match self {
            about_a_device!(device) => Some(device.id),
            about_a_task!(task) => Some(task.device_id),
            Event::DeviceDeleted { device_id, .. } => Some(*device_id),
            _ => None,
        }
    }

    /// Writes the log position into the thing the event carries, so that clients can tell old from new.
    pub fn set_version(&mut self, cursor: i64) {
        match self {
            about_a_device!(device) => device.version = cursor,
            about_a_task!(task) => task.version = cursor,
            _ => {}
        }
    }
}

/// Whether the log's chain of hashes holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditVerification {
    pub intact: bool,
    /// Events checked.
    pub checked: u64,
    /// The first event that does not fit, when the chain is broken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub broken_at: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name is written in two places; every event must say the same in both.
    #[test]
    fn the_name_is_the_type_on_the_wire() {
        let id = DeviceId::fresh();
        for event in [
            Event::DeviceDeleted { device_id: id, name: String::new() },
            Event::SignInFailed { name: String::new(), means: Some(SignInMeans::Link), wait_s: None },
            Event::ApiTokenRevoked { token_id: ApiTokenId::fresh(), name: String::new() },
            Event::SessionCreated { user_id: UserId::fresh(), name: String::new() },
            Event::VaultInitialised { unattended: false },
            Event::VaultUnlocked { by: UnlockedBy::Password },
            Event::VaultUnlockFailed { attempt: VaultAttempt::Unlock, tries: 1 },
            Event::VaultLocked { because: LockedBecause::Idle },
            Event::VaultPasswordRotated { keys: 0 },
            Event::VaultExported { keys: Vec::new() },
            Event::VaultImported { keys: Vec::new() },
        ] {
            let written = serde_json::to_value(&event).unwrap();
            assert_eq!(written["type"], event.name());
        }
    }
}
