//! Where an app keeps what nobody else may read. Two places do: the system's keychain, and a file sealed with a
//! passphrase where there is no keychain and the user agreed to it.

use zeroize::Zeroizing;

/// Why a secret cannot be had or kept. Its text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("the keychain is locked ({reason}). Unlock it and try again")]
    Locked { reason: String },
    #[error("there is no keychain here ({reason})")]
    Missing { reason: String },
    #[error("the kept secrets are damaged ({reason}); they were left as they are")]
    Damaged { reason: String },
    #[error("the file with the secrets of this app is locked. Give its passphrase")]
    PassphraseNeeded,
    #[error("this is not the passphrase")]
    WrongPassphrase,
    #[error("a passphrase has at least {least} characters")]
    WeakPassphrase { least: usize },
}

/// Secrets by their name.
pub trait SecretStore: Send + Sync {
    /// # Errors
    /// See [`SecretError`]; a name that nothing is kept by is `None`.
    fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, SecretError>;

    /// # Errors
    /// See [`SecretError`].
    fn set(&self, name: &str, secret: &str) -> Result<(), SecretError>;

    /// # Errors
    /// See [`SecretError`]; nothing to remove is none.
    fn remove(&self, name: &str) -> Result<(), SecretError>;
}
