//! What the server-sent event streams carry besides log rows.
//!
//! `GET /api/v1/events` sends, by SSE `event:` name:
//! - `ready` ([`StreamReady`]) once at the start, with `cursor` as SSE id: everything after it will follow;
//! - `event` ([`crate::EventRecord`]) with the cursor as SSE id;
//! - `sample` ([`StreamSample`]) without an id: measurements are not replayed;
//! - `provider` ([`StreamProvider`]) without an id: how a provider of models does now;
//! - `ping` ([`StreamPing`]) every 15 s;
//! - `reset` ([`StreamReady`]), with `cursor` as SSE id, when the asked-for position is no longer kept: take a snapshot, go
//!   on from `cursor`.
//!
//! `GET /api/v1/tasks/{id}/output` as SSE sends `output` ([`OutputChunk`]) with the offset after it as SSE id,
//! `gap` ([`OutputGap`]) where output was let go, `ping`, and `end` ([`crate::Task`]) when all is said.
//!
//! `GET /api/v1/devices/{id}/commands` sends `command` ([`crate::Command`]), `ping`, and `dial`
//! ([`crate::Dial`]) without an id when somebody waits for the device on the relay.

use serde::{Deserialize, Serialize};

use crate::{DeviceId, Millis, ProviderHealth, ProviderId, Sample};

/// How often a stream sends `ping` when there is nothing else to say, in seconds.
pub const PING_INTERVAL_S: u64 = 15;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamReady {
    pub cursor: i64,
    pub server_time: Millis,
    /// The server's version: a dashboard of another one offers to reload.
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamSample {
    pub device_id: DeviceId,
    pub at: Millis,
    pub sample: Sample,
}

/// How a provider of models does is in the memory of whoever asks it: it is told when it changes, never again, and
/// asked for anew by a reader whose stream broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamProvider {
    pub provider_id: ProviderId,
    pub health: ProviderHealth,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StreamPing {
    pub server_time: Millis,
}

/// A piece of a task's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputChunk {
    /// Of the first byte, counted from the task's first byte.
    pub offset: u64,
    /// Standard base64: output is bytes and need not be text.
    pub data: String,
}

/// Output that is no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutputGap {
    pub from: u64,
    pub to: u64,
}
