//! Why a command did not succeed, for the dashboard: a code to branch on, a sentence, and what the server said.

use std::sync::Arc;

use foreman_client::{
    Error, SignInError, StoreError,
    app::{AddressError, SaveError, SecretError, providers_sign_in::ProviderSignInError},
    device::OpenError,
};
use serde::Serialize;
use serde_json::Value;
use ts_rs::TS;

/// The app's own codes; a server's come through as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum AppCode {
    /// Nobody answered.
    Unreachable,
    /// The answer made no sense.
    Unreadable,
    /// No server was added, or none is signed in to.
    NoServer,
    /// What was typed, pasted or scanned is no address or link.
    NotAnAddress,
    /// The server shows another certificate than the link said.
    OtherCertificate,
    KeychainLocked,
    KeychainMissing,
    /// The file in place of the keychain wants its passphrase.
    PassphraseNeeded,
    PassphraseWrong,
    /// Too short for a passphrase.
    PassphraseWeak,
    /// Whoever was asked said no.
    SignInDenied,
    /// Nobody decided in time, or the attempt was given up.
    SignInExpired,
    /// The server is too old to sign in by the browser.
    NoBrowserSignIn,
    /// The browser came back from another sign-in or another server.
    WrongReturn,
    /// A file of the app cannot be read or written.
    Storage,
    /// A program that came with the app is not there or does not start.
    ProgramFailed,
    /// What a person filled in cannot be used; the message says why.
    WrongConfiguration,
    /// A provider refused, or answered what makes no sense.
    ProviderFailed,
    /// The provider no longer takes the sign-in.
    SignInAgain,
    /// The device cannot be called directly.
    NoLink,
    /// The device shows another identity than the one this app knows, or a key that its identity did not sign.
    NotBelieved,
    /// Nobody shows notifications here, or not this app's.
    NoNotifications,
    /// The system did not take a setting.
    NotTaken,
    /// The phone's person has to show who they are first.
    Locked,
    /// Whoever holds the phone did not show that it is theirs.
    NotTheirs,
    /// This system has no services that its person may make, or they cannot be reached.
    NoServices,
    /// Services could not be made or did not start.
    ServicesFailed,
    /// Services that were made do not run.
    ServicesStopped,
    /// Who brings messages to this phone did not answer.
    #[cfg_attr(not(target_os = "android"), allow(dead_code, reason = "what brings messages is on Android"))]
    PushUnanswered,
    /// It has no connection itself.
    #[cfg_attr(not(target_os = "android"), allow(dead_code, reason = "what brings messages is on Android"))]
    PushOffline,
    /// It wants something of its person first.
    #[cfg_attr(not(target_os = "android"), allow(dead_code, reason = "what brings messages is on Android"))]
    PushWaits,
    /// It brings none here.
    #[cfg_attr(not(target_os = "android"), allow(dead_code, reason = "what brings messages is on Android"))]
    PushRefused,
    UpdateFailed,
    /// What was offered as an update is not signed as it has to be. Phones have theirs from a shop.
    #[cfg(desktop)]
    UpdateForged,
}

/// An unsuccessful answer.
#[derive(Debug, Clone, PartialEq, Serialize, TS)]
pub struct Failure {
    /// An [`AppCode`], or a problem code of the API.
    pub code: String,
    /// In English; what happened, what was kept, what to do.
    pub message: String,
    /// HTTP status; 0 when nobody answered.
    pub status: u16,
    #[ts(type = "Record<string, unknown>")]
    pub details: Value,
}

impl Failure {
    pub fn new(code: AppCode, message: impl Into<String>) -> Self {
        Self {
            code: wire_name(code),
            message: message.into(),
            status: 0,
            details: Value::Object(Default::default()),
        }
    }

    /// There was no answer at all, or only one of something on the way.
    pub fn nobody_answered(&self) -> bool {
        self.code == wire_name(AppCode::Unreachable)
    }

    pub fn no_server() -> Self {
        Self::new(AppCode::NoServer, "No server was added yet, or you are signed out there.")
    }
}

fn wire_name(code: impl Serialize) -> String {
    match serde_json::to_value(code) {
        Ok(Value::String(name)) => name,
        _ => "unreadable".to_owned(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Refused { status, problem } => Self {
                code: wire_name(problem.code),
                message: problem.message.clone(),
                status,
                details: problem.details.clone().unwrap_or_else(|| Value::Object(Default::default())),
            },
            Error::Unrecognised { status: 404, .. } => {
                Self { code: "not_found".to_owned(), status: 404, ..Self::new(AppCode::Unreadable, message) }
            }
            Error::Unrecognised { status, .. } if (502..=504).contains(&status) => {
                Self { code: "unavailable".to_owned(), status, ..Self::new(AppCode::Unreadable, message) }
            }
            Error::Unreachable { .. } => Self::new(AppCode::Unreachable, message),
            other => {
                Self { status: other.status().unwrap_or_default(), ..Self::new(AppCode::Unreadable, message) }
            }
        }
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        Self::new(AppCode::NotAnAddress, error.to_string())
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let code = match error {
            SecretError::Locked { .. } => AppCode::KeychainLocked,
            SecretError::PassphraseNeeded => AppCode::PassphraseNeeded,
            SecretError::WrongPassphrase => AppCode::PassphraseWrong,
            SecretError::WeakPassphrase { .. } => AppCode::PassphraseWeak,
            SecretError::Missing { .. } => AppCode::KeychainMissing,
            SecretError::Damaged { .. } => AppCode::Storage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(AppCode::Storage, error.to_string())
    }
}

impl From<SaveError> for Failure {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Asked(error) => error.into(),
            error => Self::new(AppCode::Storage, error.to_string()),
        }
    }
}

impl From<SignInError> for Failure {
    fn from(error: SignInError) -> Self {
        let message = error.to_string();
        match error {
            SignInError::Denied => Self::new(AppCode::SignInDenied, message),
            SignInError::Expired => Self::new(AppCode::SignInExpired, message),
            SignInError::NotOffered => Self::new(AppCode::NoBrowserSignIn, message),
            SignInError::WrongReturn | SignInError::TurnedDown => Self::new(AppCode::WrongReturn, message),
            SignInError::Server(error) => error.into(),
        }
    }
}

impl From<ProviderSignInError> for Failure {
    fn from(error: ProviderSignInError) -> Self {
        let message = error.to_string();
        let code = match error {
            ProviderSignInError::Secret(error) => return error.into(),
            ProviderSignInError::Server(error) => {
                return Arc::try_unwrap(error)
                    .map_or_else(|_| Self::new(AppCode::Unreadable, message), Into::into);
            }
            ProviderSignInError::Storage(_) => AppCode::Storage,
            ProviderSignInError::Denied => AppCode::SignInDenied,
            ProviderSignInError::Expired | ProviderSignInError::Cancelled => AppCode::SignInExpired,
            ProviderSignInError::SignedOut | ProviderSignInError::SignInAgain => AppCode::SignInAgain,
            ProviderSignInError::Unreachable { .. } => AppCode::ProviderFailed,
            ProviderSignInError::Unknown
            | ProviderSignInError::NotConfigured
            | ProviderSignInError::NoVault => AppCode::WrongConfiguration,
            ProviderSignInError::WrongReturn
            | ProviderSignInError::Refused { .. }
            | ProviderSignInError::Garbage { .. } => AppCode::ProviderFailed,
        };
        Self::new(code, message)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let message = error.to_string();
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Server(error) => error.into(),
            OpenError::NotBelieved(_) => Self::new(AppCode::NotBelieved, message),
            OpenError::Unknown | OpenError::NoLink { .. } => Self::new(AppCode::NoLink, message),
        }
    }
}
