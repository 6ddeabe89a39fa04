//! The device link: which keys, who may do what, and how it is said.
//!
//! The link itself (Noise, HTTP/2) is the `link` crate's. Here is what several parts must agree on: the public
//! facts of a device's link, the grants that its owner signs, and what the device reports about its use.

use serde::{Deserialize, Serialize};

use crate::{ApiTokenId, DeviceId, GrantId, LinkReportId, Millis, Policy, TerminalId, UserId};

/// The version of the device link, bound into every handshake.
///
/// History:
/// - 1 (2026-11-21): first version.
pub const LINK_VERSION: u16 = 1;

/// Where an agent listens on the local network unless told otherwise.
pub const LINK_PORT: u16 = 9981;

/// The mDNS service of a device: its TXT record `id` is the device's id.
pub const LINK_SERVICE: &str = "_foreman._tcp.local.";

/// What a client may do on a device; each includes the ones before it. The device's policy still has the last
/// word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// See: watch terminals, read files and logs.
    View,
    /// Do: open terminals and write in them, change files, forward ports, run tasks.
    Operate,
    /// Decide: end what others opened, record terminals, rotate the device's keys.
    Admin,
}

impl Level {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// What an owner's key signs: this client may do this much on this device until then.
///
/// On the wire it is one line of text, `base64url(JSON) "." base64url(signature)`, see `foreman_link::grant`; what
/// is checked are the very bytes that were signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    pub id: GrantId,
    /// The device's Ed25519 identity, standard base64: an id alone is the server's to give.
    pub device: String,
    /// The client's X25519 key, standard base64.
    pub client: String,
    /// For people: "Mia's phone".
    pub name: String,
    pub level: Level,
    pub issued_at: Millis,
    pub expires_at: Millis,
    /// Who signs: an Ed25519 key the device trusts, standard base64.
    pub issuer: String,
}

/// What an issuer signs to take grants back. Kept on the device for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The device's Ed25519 identity, standard base64.
    pub device: String,
    pub revokes: Revoked,
    pub at: Millis,
    pub issuer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Revoked {
    Grant(GrantId),
    /// Every grant for this X25519 key, present and future.
    Client(String),
}

/// A device's current link key, signed by its identity; a client keeps the highest serial it has seen and takes
/// no lower one, so a rotated key is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkKey {
    /// X25519, standard base64.
    pub public_key: String,
    pub serial: u64,
    /// Ed25519 of the device's identity over [`link_key_message`], standard base64.
    pub signature: String,
}

/// The bytes a device signs for its link key.
#[must_use]
pub fn link_key_message(public_key: &str, serial: u64) -> Vec<u8> {
    format!("foreman link key v1\n{public_key}\n{serial}").into_bytes()
}

/// How a device can be reached, as it says itself. Part of a device; none of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceLink {
    /// The device's Ed25519 identity, standard base64. A client pins it.
    pub identity: String,
    pub key: LinkKey,
    /// `address:port` on its networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Its name in a tailnet where `tailscale serve` runs, without a scheme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tailscale: Option<String>,
    /// What the device lets its server do; absent: nothing, so no page of the dashboard reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_level: Option<Level>,
}

/// The grant a device gives to its server, in [`crate::DeviceFacts`]. It is signed by the device's own identity:
/// whoever set the device up decided it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkFacts {
    #[serde(flatten)]
    pub link: DeviceLink,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_grant: Option<String>,
}

/// `POST /api/v1/devices/{id}/grants`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddGrant {
    /// Signed; see [`Grant`].
    pub grant: String,
}

/// `POST /api/v1/devices/{id}/revocations`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddRevocation {
    /// Signed; see [`Revocation`].
    pub revocation: String,
}

/// A grant as the server carries it: the text, and what it says (which the server shows and cannot change).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CarriedGrant {
    pub signed: String,
    pub grant: Grant,
    /// Somebody signed that it is taken back, and the device was sent it. Whether they may, the device decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_asked_at: Option<Millis>,
    /// The device said that it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Millis>,
}

/// SSE `dial` on a device's command stream: somebody waits on the relay. Not a command: it is worth nothing later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dial {
    /// For the header [`RELAY_TICKET_HEADER`] of `GET /api/v1/devices/{id}/relay/accept`; one use, 30 s.
    pub ticket: String,
    /// The base address of the replica where somebody waits; absent: the one this came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Which account waits, so that the failures of one are not counted against all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

/// A person or a program of the server's, as far as a device tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AccountId {
    User(UserId),
    Token(ApiTokenId),
}

impl std::fmt::Display for AccountId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::Token(id) => write!(f, "token {id}"),
        }
    }
}

/// Carries [`Dial::ticket`]: a secret does not belong into an address.
pub const RELAY_TICKET_HEADER: &str = "x-foreman-ticket";

/// What travels first in a fresh link, sealed: the client's right to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Signed; see [`Grant`].
    pub grant: String,
    /// Which way this came, for people: `lan`, `tailscale`, `cloudflare`, `relay`, `server`.
    pub path: String,
    /// For people and the audit log, when a server speaks for somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Who that is: names repeat, ids do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of_id: Option<String>,
    /// No more than this, whatever the grant says: the most that a server lets the one it speaks for do. A device
    /// that does not know it goes by the grant alone and says so in its welcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Level>,
}

impl Hello {
    /// Of a client that speaks for itself, and wants all that its grant gives.
    #[must_use]
    pub fn new(grant: String, path: &str) -> Self {
        Self { grant, path: path.to_owned(), on_behalf_of: None, on_behalf_of_id: None, at_most: None }
    }
}

/// `GET /hello` of a device: who it is, what the caller may do, what the device allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceHello {
    pub device_id: DeviceId,
    pub name: String,
    pub level: Level,
    pub expires_at: Millis,
    pub policy: Policy,
    pub agent_version: String,
    pub link_version: u16,
    /// The device's clock.
    pub time: Millis,
}

/// What a device tells about the use of its link; becomes an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkReport {
    /// Made on the device: told twice, it counts once.
    pub id: LinkReportId,
    /// By the device's clock.
    pub at: Millis,
    #[serde(flatten)]
    pub what: LinkUse,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum LinkUse {
    /// Callers without a valid grant were turned away; counted, so that a flood is one report.
    Refused {
        /// Where from: an address, or the path when there is none.
        from: String,
        reason: RefusedBecause,
        count: u32,
    },
    TerminalOpened {
        terminal_id: TerminalId,
        by: String,
    },
    TerminalEnded {
        terminal_id: TerminalId,
        by: String,
    },
    /// Files changed: `write`, `rename`, `trash`, `mkdir`.
    FileChanged {
        action: String,
        path: String,
        by: String,
    },
    /// An owner took a right back: it holds on the device, whoever carried it there.
    TakenBack {
        revoked: Revoked,
        by: String,
    },
    #[serde(other)]
    Unknown,
}

/// Why a caller was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RefusedBecause {
    /// No handshake, or one with another key or version.
    Handshake,
    /// Not signed by a key this device trusts, or for another device or client.
    Forged,
    Expired,
    Revoked,
    /// Too many tries from there; not even looked at.
    TooMany,
    /// Its own share of the links at the same time is open already, or nobody has room for one more.
    TooManyLinks,
    #[serde(other)]
    Unknown,
}
