//! What whoever runs the server says about pushes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

use super::{apns::Apns, fcm::Fcm};

/// Pushes to phones and browsers.
#[derive(Debug, Clone, Args)]
pub struct PushOptions {
    /// Push to addresses in private networks as well, for a ntfy or UnifiedPush server of your own. Without it only
    /// public addresses by https are taken.
    #[arg(long, env = "FOREMAN_PUSH_PRIVATE")]
    pub push_private: bool,
    /// Whom push services may write to about this server: mailto:you@example.org or an https address. The public URL
    /// unless told otherwise.
    #[arg(long, env = "FOREMAN_PUSH_CONTACT", value_name = "URL")]
    pub push_contact: Option<String>,
    /// File with Apple's signing key (.p8) for pushes to an app on iPhones and iPads.
    #[arg(long, env = "FOREMAN_APNS_KEY_FILE", value_name = "FILE", requires_all = ["apns_key_id", "apns_team_id", "apns_topic"])]
    pub apns_key_file: Option<PathBuf>,
    /// Id of that key.
    #[arg(long, env = "FOREMAN_APNS_KEY_ID", value_name = "ID", requires = "apns_key_file")]
    pub apns_key_id: Option<String>,
    /// Id of the team it belongs to.
    #[arg(long, env = "FOREMAN_APNS_TEAM_ID", value_name = "ID", requires = "apns_key_file")]
    pub apns_team_id: Option<String>,
    /// The app's bundle id.
    #[arg(long, env = "FOREMAN_APNS_TOPIC", value_name = "ID", requires = "apns_key_file")]
    pub apns_topic: Option<String>,
    /// Where Apple's push service is; https://api.sandbox.push.apple.com for apps in development.
    #[arg(long, env = "FOREMAN_APNS_URL", default_value = "https://api.push.apple.com")]
    pub apns_url: String,
    /// File with the key of a Google service account (JSON) that may send with Firebase Cloud Messaging, for pushes to
    /// an app on Android.
    #[arg(long, env = "FOREMAN_FCM_ACCOUNT_FILE", value_name = "FILE")]
    pub fcm_account_file: Option<PathBuf>,
    /// Where Firebase Cloud Messaging is.
    #[arg(long, env = "FOREMAN_FCM_URL", default_value = "https://fcm.googleapis.com")]
    pub fcm_url: String,
}

/// What the file of a service account says, as far as it is needed.
#[derive(Deserialize)]
pub struct ServiceAccount {
    pub project_id: String,
    pub client_email: String,
    pub private_key_id: Option<String>,
    pub private_key: String,
    pub token_uri: String,
}

impl PushOptions {
    /// # Errors
    /// When the key cannot be read or is none: one sentence.
    pub fn apns(&self) -> anyhow::Result<Option<Apns>> {
        let (Some(file), Some(key_id), Some(team), Some(topic)) =
            (&self.apns_key_file, &self.apns_key_id, &self.apns_team_id, &self.apns_topic)
        else {
            return Ok(None);
        };
        let pem = read("Apple's signing key", file)?;
        let apns = Apns::new(&self.apns_url, &pem, key_id.clone(), team.clone(), topic.clone());
        apns.map(Some).with_context(|| format!("{} is not a key that Apple gives", file.display()))
    }

    /// # Errors
    /// When the account cannot be read or is none: one sentence.
    pub fn fcm(&self) -> anyhow::Result<Option<Fcm>> {
        let Some(file) = &self.fcm_account_file else { return Ok(None) };
        let text = read("Google's service account", file)?;
        let account = serde_json::from_str::<ServiceAccount>(&text).map_err(Into::into);
        let fcm = account.and_then(|account| Fcm::new(&self.fcm_url, account));
        fcm.map(Some).with_context(|| format!("{} is not the key of a service account", file.display()))
    }
}

fn read(what: &str, file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{what} cannot be read from {}", file.display()))
}
