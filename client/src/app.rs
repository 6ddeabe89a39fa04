//! What an app on a person's own machine needs beyond the SDK: which servers it knows, what a link or a typed address
//! means before anything is sent, and where its secrets are.
//!
//! This module must not know Tauri, windows or how anything is drawn.

mod address;
#[cfg(feature = "last-known")]
mod last_known;
mod looks;
pub mod notices;
mod preferences;
pub mod providers_sign_in;
#[cfg(feature = "secret-file")]
mod secret_file;
mod secrets;
mod servers;

pub use address::{AddressError, AppLink, PairLink, ServerAddress};
#[cfg(feature = "last-known")]
pub use last_known::{KeptAnswer, LastKnown, LastKnownError};
pub use looks::{Encryption, ServerLooks};
pub use preferences::{Language, Preferences, PreferencesFile};
#[cfg(feature = "secret-file")]
pub use secret_file::SecretFile;
pub use secrets::{SecretError, SecretStore};
pub use servers::{KnownServer, ServerId, Servers};
