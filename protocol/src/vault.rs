//! The vault: API keys of model providers, kept encrypted. What is said about them, never what they are: the only
//! type here that carries a key or a password goes towards the server and prints nothing of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::{Millis, VaultKeyId};

/// A password or a key on its way to the server. Wiped when dropped, and shown by no log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Whose API a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum VaultProvider {
    Anthropic,
    Openai,
    Google,
    Mistral,
    Groq,
    Cerebras,
    Openrouter,
    /// Any other address that speaks OpenAI's API.
    OpenaiCompatible,
}

impl VaultProvider {
    pub const ALL: [Self; 8] = [
        Self::Anthropic,
        Self::Openai,
        Self::Google,
        Self::Mistral,
        Self::Groq,
        Self::Cerebras,
        Self::Openrouter,
        Self::OpenaiCompatible,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::Google => "google",
            Self::Mistral => "mistral",
            Self::Groq => "groq",
            Self::Cerebras => "cerebras",
            Self::Openrouter => "openrouter",
            Self::OpenaiCompatible => "openai_compatible",
        }
    }
}

/// How the vault stands. Everybody who is signed in may know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VaultStatus {
    /// It has a master password.
    pub initialised: bool,
    pub unlocked: bool,
    /// It opens by itself when the server starts.
    pub unattended: bool,
    /// What it then opens with; absent also from servers that know only the key file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unattended_by: Option<UnlockedBy>,
    /// Seconds without use after which it locks; 0 when it does not.
    pub locks_after_s: u32,
    /// When it locks unless it is used before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub locks_at: Option<Millis>,
    /// After too many wrong passwords: no password is looked at before this time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blocked_until: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_at: Option<Millis>,
    /// When the master password was last changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rotated_at: Option<Millis>,
}

/// A key in the vault, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VaultKey {
    pub id: VaultKeyId,
    pub provider: VaultProvider,
    /// Unique for the provider.
    pub name: String,
    /// Absent for a key so short that four characters would give much of it away.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_four: Option<String>,
    pub created_at: Millis,
    /// To the minute.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_used_at: Option<Millis>,
}

/// What a key is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VaultKeyName {
    pub provider: VaultProvider,
    pub name: String,
}

/// Makes the vault. Nobody can recover the password.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InitialiseVault {
    /// 10 to 256 characters.
    pub password: Secret,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UnlockVault {
    pub password: Secret,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateVaultPassword {
    pub password: Secret,
    /// 10 to 256 characters.
    pub new_password: Secret,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AddVaultKey {
    pub provider: VaultProvider,
    /// 1 to 64 characters.
    pub name: String,
    /// Up to 4,096 visible ASCII characters; blanks around it are dropped.
    pub key: Secret,
}

/// Asks for all keys as an encrypted file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExportVault {
    /// The master password, again: the file holds every key.
    pub password: Secret,
    /// What opens the file: 10 to 256 characters.
    pub file_password: Secret,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportVault {
    pub file: VaultFile,
    pub file_password: Secret,
}

/// How a key is made from a password: Argon2id with these parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VaultKdf {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
    /// 16 bytes, standard base64 without padding.
    pub salt: String,
}

/// An exported vault. Everything but `sealed` is bound into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VaultFile {
    /// `foreman-vault`
    pub format: String,
    /// 1
    pub version: u32,
    pub created_at: Millis,
    pub kdf: VaultKdf,
    /// XChaCha20-Poly1305: 24 bytes of nonce and the ciphertext, standard base64 without padding.
    pub sealed: String,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VaultImported {
    pub added: Vec<VaultKeyName>,
    /// In the vault before under the same name, and not touched.
    pub kept: Vec<VaultKeyName>,
}

/// What opened the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnlockedBy {
    Password,
    /// The operator's.
    KeyFile,
    /// That of the system, of the person in whose session the server runs.
    Keychain,
}

/// Why the vault locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LockedBecause {
    Asked,
    /// Not used for the time the operator set.
    Idle,
}

/// What a wrong master password was given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum VaultAttempt {
    Unlock,
    Rotate,
    Export,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let request = AddVaultKey {
            provider: VaultProvider::Openai,
            name: "main".into(),
            key: Secret::new("sk-hidden"),
        };
        assert!(!format!("{request:?}").contains("hidden"));
    }

    #[test]
    fn providers_are_called_the_same_everywhere() {
        for provider in VaultProvider::ALL {
            assert_eq!(serde_json::to_value(provider).unwrap(), provider.as_str());
        }
    }
}
