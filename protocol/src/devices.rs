//! Devices: the registry's view of a machine, and how an agent joins and speaks.

use serde::{Deserialize, Serialize};

use crate::{
    Capabilities, CommandId, DeviceId, DeviceLink, LinkFacts, LinkReport, LocalTask, Millis, Policy, Sample,
    TaskId, TaskReport, TaskSpec, UserId,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeviceType {
    GpuCompute,
    Inference,
    LlmEndpoint,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    /// Made, but no agent has connected yet.
    Pending,
    Online,
    Offline,
}

/// A device as every client sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    pub id: DeviceId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
    pub name: String,
    #[serde(rename = "type")]
    pub device_type: DeviceType,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tunnel_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tunnel_hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub capabilities: Option<Capabilities>,
    /// The device's own rules, as it last reported them. Only the device can change them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<Policy>,
    /// How it can be reached directly, as it last reported.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<DeviceLink>,
    pub status: DeviceStatus,
    /// When `status` last changed.
    pub status_since: Millis,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_seen_at: Option<Millis>,
    pub created_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protocol_version: Option<u32>,
    /// GPU memory is over the limit and has not come back down.
    #[serde(default)]
    pub gpu_memory_high: bool,
    #[serde(default)]
    pub running_tasks: u32,
    #[serde(default)]
    pub queued_tasks: u32,
    /// The newest measurement. Not part of events: it comes as `sample` on the stream.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latest: Option<Sample>,
    /// Until when an unused connection token is valid; absent once connected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token_expires_at: Option<Millis>,
    /// The cursor of the last event about this device. An event at or below it is already included.
    pub version: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateDevice {
    /// 1 to 64 characters.
    pub name: String,
    #[serde(rename = "type")]
    pub device_type: DeviceType,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct UpdateDevice {
    /// 1 to 64 characters.
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub device_type: Option<DeviceType>,
}

/// A one-time connection token: shown once, valid for 24 h, burned by the first `connect`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectionToken {
    pub device: Device,
    pub token: String,
    pub expires_at: Millis,
    /// Ready to paste on the device, without any `--allow`.
    pub install_command: String,
    /// The same without the installation, for a machine that has the agent.
    pub connect_command: String,
}

/// `POST /api/v1/devices/connect`: spends the token, registers the device's public key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConnectRequest {
    pub token: String,
    /// Ed25519 public key, 32 bytes, standard base64.
    pub public_key: String,
    pub agent_version: String,
    pub protocol_version: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Connected {
    pub device_id: DeviceId,
    pub name: String,
    pub server_time: Millis,
    pub heartbeat_s: u32,
    /// The server's own X25519 link key, standard base64: what the device makes a grant for, if it is to be let in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_link_key: Option<String>,
}

/// `POST /api/v1/devices/{id}/challenge`: something fresh to sign; valid for 60 s, once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Challenge {
    /// Random, standard base64.
    pub challenge: String,
}

/// `POST /api/v1/devices/{id}/bearer`: the signed challenge for a short-lived bearer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    pub challenge: String,
    /// Ed25519 over [`challenge_message`], 64 bytes, standard base64.
    pub signature: String,
}

/// The bytes a device signs: bound to this use and this device, so a signature is good for nothing else.
#[must_use]
pub fn challenge_message(device: DeviceId, challenge: &str) -> Vec<u8> {
    format!("foreman device bearer v1\n{device}\n{challenge}").into_bytes()
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceBearer {
    pub bearer: String,
    /// Seconds from now; no clock has to agree.
    pub expires_in_s: u32,
    /// As in [`Connected`], for devices that joined a server which had no link key yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_link_key: Option<String>,
}

/// `PUT /api/v1/devices/{id}/facts`: what the device is and allows. Sent at start and when it changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceFacts {
    pub capabilities: Capabilities,
    pub policy: Policy,
    pub agent_version: String,
    pub protocol_version: u32,
    /// Absent from agents without a device link.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<LinkFacts>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatAnswer {
    pub server_time: Millis,
    /// The pace the server asks for, in seconds.
    pub heartbeat_s: u32,
}

/// An instruction to a device. Delivered again until acknowledged, so applying it twice must do nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    pub id: CommandId,
    /// Rises with each command of a device; the SSE id.
    pub seq: i64,
    #[serde(flatten)]
    pub action: CommandAction,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum CommandAction {
    StartTask {
        task_id: TaskId,
        spec: TaskSpec,
    },
    StopTask {
        task_id: TaskId,
    },
    /// Detect capabilities again and send the facts.
    Probe,
    /// An owner took a grant back; signed, so the server can carry it and not make it.
    Revoke {
        revocation: String,
    },
    /// An action this version does not know; acknowledged and ignored, so a newer server never blocks the queue.
    #[serde(other)]
    Unknown,
}

/// `POST /api/v1/devices/{id}/reports`: acknowledged commands and what became of tasks. Idempotent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Reports {
    /// At most 1,000.
    pub acknowledged: Vec<CommandId>,
    /// At most 1,000, in the order they happened.
    pub tasks: Vec<TaskReport>,
    /// At most 1,000: what became of the device link.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkReport>,
    /// At most 1,000: tasks that began at the device. Taken before what became of tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub started: Vec<LocalTask>,
}

/// The answer to output: everything before this byte is durable on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputAccepted {
    pub acknowledged: u64,
}

/// A measurement and when the server received it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimedSample {
    pub at: Millis,
    pub sample: Sample,
}

/// `GET /api/v1/devices/{id}/tunnel`, for the device itself: what cloudflared runs with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TunnelToken {
    pub token: String,
    pub hostname: String,
}

/// `GET /api/v1/devices/{id}/tunnel/access`: headers `CF-Access-Client-Id` and `CF-Access-Client-Secret` for the
/// way through Cloudflare.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TunnelAccess {
    pub hostname: String,
    pub client_id: String,
    pub client_secret: String,
}
