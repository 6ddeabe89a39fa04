//! Firebase Cloud Messaging, HTTP v1: an access token for a service account's signed claims, then one request each.

use std::fmt;

use anyhow::Context;
use foreman_protocol::{Millis, PushFailureCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    carrier::{Outcome, answered, by_status, text, vendor_client, wait_asked},
    message::Message,
    options::ServiceAccount,
    signed::{Kept, Signer},
};
use crate::db::now;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLAIM_S: i64 = 3_600;
/// An access token is made anew so long before its end.
const MARGIN_MS: Millis = 60_000;

/// The project's account.
pub struct Fcm {
    client: reqwest::Client,
    url: String,
    account: ServiceAccount,
    signer: Signer,
    token: Kept,
}

impl fmt::Debug for Fcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fcm").field("project", &self.account.project_id).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: i64,
}

impl Fcm {
    pub fn new(url: &str, account: ServiceAccount) -> anyhow::Result<Self> {
        let signer = Signer::rs256_pem(&account.private_key).context("its private_key cannot be used")?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { client: vendor_client(false)?, url, account, signer, token: Kept::default() })
    }

    async fn bearer(&self) -> Result<String, Outcome> {
        if let Some(token) = self.token.get(now(), MARGIN_MS) {
            return Ok(token);
        }
        let claims = json!({
            "iss": self.account.client_email,
            "scope": SCOPE,
            "aud": self.account.token_uri,
            "iat": now() / 1_000,
            "exp": now() / 1_000 + CLAIM_S,
        });
        let assertion = self.signer.sign(self.account.private_key_id.as_deref(), &claims)?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT)
            .append_pair("assertion", &assertion)
            .finish();
        let answer = self
            .client
            .post(&self.account.token_uri)
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await?;
        let (status, after) = (answer.status(), wait_asked(&answer));
        if !status.is_success() {
            return Err(Outcome::Later { after, why: answered(PushFailureCode::AccountRefused, status, "") });
        }
        let token: Token = serde_json::from_str(&text(answer).await).map_err(|_| Outcome::Later {
            after: None,
            why: answered(PushFailureCode::Trouble, status, ""),
        })?;
        self.token.keep(&token.access_token, now() + token.expires_in.clamp(0, CLAIM_S) * 1_000);
        Ok(token.access_token)
    }

    /// `device` is a registration token.
    pub async fn carry(&self, device: &str, message: &Message) -> Result<Outcome, Outcome> {
        let bearer = self.bearer().await?;
        let over = if message.over { "true" } else { "false" };
        let body = json!({ "message": {
            "token": device,
            "notification": { "title": message.title, "body": message.body },
            "data": { "page": message.page, "tag": message.tag, "over": over },
            "android": {
                "collapse_key": message.tag,
                "priority": if message.urgent { "HIGH" } else { "NORMAL" },
                "ttl": format!("{}s", message.ttl_s),
                "notification": { "tag": message.tag },
            },
        }});
        let answer = self
            .client
            .post(format!("{}/v1/projects/{}/messages:send", self.url, self.account.project_id))
            .bearer_auth(bearer)
            .json(&body)
            .send()
            .await?;
        let (status, after) = (answer.status(), wait_asked(&answer));
        let said: Value = serde_json::from_str(&text(answer).await).unwrap_or_default();
        let code = said["error"]["details"]
            .as_array()
            .and_then(|details| details.iter().find_map(|detail| detail["errorCode"].as_str()))
            .or_else(|| said["error"]["status"].as_str())
            .unwrap_or_default();
        Ok(match (status.as_u16(), code) {
            (404, "UNREGISTERED") => Outcome::Gone,
            (401, _) => {
                self.token.forget();
                Outcome::Later { after: None, why: answered(PushFailureCode::AccountRefused, status, code) }
            }
            _ => by_status(status, after, code),
        })
    }
}
