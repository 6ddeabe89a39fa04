//! Newtype ids: UUIDv7 in text, so they sort by the time they were made and cannot be mixed up.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id, later than every id made before it on this machine.
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }

            /// When it was made, by the clock of whoever made it, in ms since the epoch; `None` for an id that holds no
            /// time.
            #[must_use]
            pub fn made_at(&self) -> Option<crate::Millis> {
                let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
                crate::Millis::try_from(seconds.checked_mul(1_000)? + u64::from(nanos / 1_000_000)).ok()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// Everything in the database belongs to a tenant.
    TenantId,
    UserId,
    DeviceId,
    TaskId,
    /// One instruction to a device; delivered until acknowledged, applied once.
    CommandId,
    /// A bearer token for programs.
    ApiTokenId,
    /// A signed-in browser.
    SessionId,
    /// A right on a device, signed by its owner.
    GrantId,
    /// Something a device tells of its link.
    LinkReportId,
    /// A terminal on a device.
    TerminalId,
    /// A file on its way to a device.
    UploadId,
    /// An API key in the vault.
    VaultKeyId,
    /// Somewhere that offers models.
    ProviderId,
    /// A key for asking models through Foreman.
    ModelKeyId,
    /// A conversation with models.
    ChatId,
    /// A question or an answer.
    MessageId,
    /// A file that goes with a question.
    AttachmentId,
    /// Somewhere an account is told without a page or an app.
    PushReceiverId,
}
