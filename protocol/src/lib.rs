//! What travels between the control plane, the agents and the clients: ids, wire types, events, problem codes.
//!
//! Every part of Foreman agrees on these types and nothing else. This crate must not know IO, a database,
//! axum or Tauri, so that each of those can change without the wire noticing.

mod accounts;
mod browser_sign_in;
mod chats;
mod devices;
mod events;
mod files;
mod ids;
mod link;
mod logs;
mod machine;
mod notices;
mod problem;
mod providers;
mod push;
mod routing;
mod stream;
mod tasks;
mod terminal;
mod vault;

pub use accounts::*;
pub use browser_sign_in::*;
pub use chats::*;
pub use devices::*;
pub use events::*;
pub use files::*;
pub use ids::*;
pub use link::*;
pub use logs::*;
pub use machine::*;
pub use notices::*;
pub use problem::*;
pub use providers::*;
pub use push::*;
pub use routing::*;
pub use stream::*;
pub use tasks::*;
pub use terminal::*;
pub use vault::*;

use serde::{Deserialize, Serialize};

/// The version of the conversation between agent and server; both sides announce theirs.
///
/// History:
/// - 1 (2026-11-21): first version.
pub const PROTOCOL_VERSION: u32 = 1;

/// The oldest agent this server still serves.
pub const OLDEST_PROTOCOL_VERSION: u32 = 1;

/// Milliseconds since the Unix epoch, UTC.
pub type Millis = i64;

/// One page of a list. `next` is the cursor for the following page, absent on the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    pub items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// The most items one page can hold.
pub const MAX_PAGE: u32 = 200;
