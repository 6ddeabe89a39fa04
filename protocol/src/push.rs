//! Where a person is told when no page and no app is open: browsers, phones, ntfy topics.

use serde::{Deserialize, Serialize};

use crate::{Millis, NoticeRules, PushReceiverId};

/// Who carries a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PushKind {
    /// A browser, through its maker's push service, sealed for the browser.
    WebPush,
    /// An app on a phone, through a distributor of the person's choice, sealed for the app.
    UnifiedPush,
    Ntfy,
    Apns,
    Fcm,
}

impl PushKind {
    pub const ALL: [Self; 5] = [Self::WebPush, Self::UnifiedPush, Self::Ntfy, Self::Apns, Self::Fcm];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebPush => "web_push",
            Self::UnifiedPush => "unified_push",
            Self::Ntfy => "ntfy",
            Self::Apns => "apns",
            Self::Fcm => "fcm",
        }
    }

    /// A browser or an app: it tells one account of a server at a time.
    #[must_use]
    pub const fn is_of_one(self) -> bool {
        !matches!(self, Self::Ntfy)
    }
}

/// How to reach a receiver. Whoever knows it can write to it, so it is never shown again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PushTarget {
    WebPush(PushEndpoint),
    UnifiedPush(PushEndpoint),
    Ntfy {
        /// The topic's whole address: `https://ntfy.sh/my-topic`.
        address: String,
        /// An access token, where the topic wants one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    Apns(AppleDevice),
    /// The registration token that the system gave the app.
    Fcm {
        token: String,
    },
}

impl PushTarget {
    #[must_use]
    pub const fn kind(&self) -> PushKind {
        match self {
            Self::WebPush(_) => PushKind::WebPush,
            Self::UnifiedPush(_) => PushKind::UnifiedPush,
            Self::Ntfy { .. } => PushKind::Ntfy,
            Self::Apns(_) => PushKind::Apns,
            Self::Fcm { .. } => PushKind::Fcm,
        }
    }
}

impl std::fmt::Debug for PushTarget {
    /// Without the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind().as_str())
    }
}

/// A subscription of RFC 8030 with the keys of RFC 8291, base64url.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PushEndpoint {
    pub endpoint: String,
    /// The receiver's P-256 public key, uncompressed.
    pub p256dh: String,
    /// 16 bytes that only the receiver and this server know.
    pub auth: String,
}

/// The app on one of Apple's devices.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AppleDevice {
    /// The device token that the system gave the app, hex.
    pub token: String,
    /// Goes back to the app with each message: one token serves all its servers, and a press has to lead to the right one. At
    /// most 64 letters, digits, `-` and `_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// How much a push says. Whatever is not said is read after opening Foreman.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PushDetail {
    /// That something needs somebody.
    #[default]
    Little,
    /// What happened, and on which device.
    Title,
    /// The command and how it ended, too.
    Full,
}

/// The language of what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Language {
    #[default]
    En,
    De,
}

/// What this server can push to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushOffer {
    pub kinds: Vec<PushKind>,
    /// The server's VAPID key (RFC 8292), which browsers subscribe with: base64url, uncompressed.
    pub public_key: String,
    /// Receivers one account may have.
    pub most: u32,
}

/// What a receiver is told, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushChoice {
    #[serde(default)]
    pub rules: NoticeRules,
    #[serde(default)]
    pub says: PushDetail,
    #[serde(default)]
    pub language: Language,
    /// The IANA time zone that quiet hours are meant in; UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// Somewhere an account is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushReceiver {
    pub id: PushReceiverId,
    pub kind: PushKind,
    pub name: String,
    /// The host that carries it, for people; absent where the vendor is the kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub via: Option<String>,
    /// The first letters of the address's SHA-256, so that a browser finds itself in the list.
    pub fingerprint: String,
    #[serde(flatten)]
    pub choice: PushChoice,
    pub created_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_success_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_failure_at: Option<Millis>,
    /// Why the last push did not get through.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_failure: Option<PushFailure>,
}

/// Why a push did not get through: a code that readers have words for, and what the carrier itself said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PushFailure {
    pub code: PushFailureCode,
    /// The HTTP status of the carrier's answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// What the carrier or the network said, in its own words: one line of at most 160 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

impl PushFailure {
    #[must_use]
    pub const fn of(code: PushFailureCode) -> Self {
        Self { code, status: None, detail: None }
    }
}

/// What kept a push from its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PushFailureCode {
    /// This server is not configured for this kind any more.
    NotConfigured,
    /// The carrier does not let this server write there: a token that is missing or no longer good.
    NotAllowed,
    /// The carrier does not take this server's own account with it.
    AccountRefused,
    /// The receiver's keys cannot be used.
    UnusableKeys,
    /// This server does not write to such an address.
    AddressRefused,
    /// No answer in time.
    NoAnswer,
    /// No connection; `detail` says what the network said.
    Unreachable,
    /// The carrier asks to be left alone for a while.
    Busy,
    /// The carrier has trouble of its own.
    Trouble,
    /// The carrier refused this push.
    Refused,
    /// The receiver is no more.
    Gone,
    /// Something went wrong on this server; its log says more.
    Internal,
    /// One that this version does not know, or from before there were codes: `detail` says it.
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatePushReceiver {
    /// 1 to 64 characters.
    pub name: String,
    pub target: PushTarget,
    #[serde(flatten)]
    pub choice: PushChoice,
}

/// What is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct UpdatePushReceiver {
    /// 1 to 64 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<PushChoice>,
}

/// A browser or an app that is told already has another address now, or is somebody's who signed in there anew.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RenewPushReceiver {
    /// Where it is told from now on.
    pub target: RenewedTarget,
    /// `web_push`, also where it is absent, `unified_push`, or `apns` with a device token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PushKind>,
    /// The endpoint it had before, where it still knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged, expecting = "target should have endpoint, p256dh and auth, or token and mark")]
pub enum RenewedTarget {
    Endpoint(PushEndpoint),
    Apple(AppleDevice),
}

/// Why a receiver is told nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PushRemoved {
    /// Somebody removed it.
    Asked,
    /// The push service says that it is no more.
    Gone,
    /// The session or token that made it ended.
    SignedOut,
}
