//! What an app on a person's own machine needs beyond the SDK: which servers it knows, what a link or a typed address
//! means before anything is sent, and where its secrets are.
//!
//! This module must not know Tauri, windows or how anything is drawn.

mod address;
mod awaited_return;
#[cfg(feature = "last-known")]
mod drafts;
#[cfg(feature = "last-known")]
mod heard;
#[cfg(feature = "last-known")]
mod last_known;
mod looks;
#[cfg(feature = "last-known")]
mod outbox;
mod place;
mod preferences;
pub mod providers_sign_in;
mod save;
#[cfg(feature = "last-known")]
mod sealed;
#[cfg(feature = "secret-file")]
mod secret_file;
mod secrets;
mod servers;
#[cfg(feature = "last-known")]
mod tail;

pub use address::{AddressError, AppLink, PairLink, ServerAddress};
pub use awaited_return::{AwaitedReturn, Waiting};
#[cfg(feature = "last-known")]
pub use drafts::{Drafts, DraftsError};
pub use foreman_notices as notices;
#[cfg(feature = "last-known")]
pub use last_known::{KeptAnswer, LastKnown, LastKnownError};
pub use looks::{Encryption, ServerLooks};
#[cfg(feature = "last-known")]
pub use outbox::{Change, Outbox, OutboxError, Queued, Refusal, Step};
pub use place::place_of;
pub use preferences::{Language, Preferences, PreferencesFile};
pub use save::{Progress, SaveError, SavePart, SaveSource, Saving, UnfinishedSave, UnfinishedSaves};
#[cfg(feature = "secret-file")]
pub use secret_file::SecretFile;
pub use secrets::{SecretError, SecretStore};
pub use servers::{KnownServer, ServerId, Servers};
#[cfg(feature = "last-known")]
pub use tail::OutputTail;
