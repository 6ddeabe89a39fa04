//! Apple's push service: HTTP/2, with a token signed by the team's key.

use std::fmt;

use foreman_protocol::{AppleDevice, PushFailureCode};
use serde_json::{Value, json};

use super::{
    carrier::{Outcome, answered, by_status, text, vendor_client, wait_asked},
    message::Message,
    signed::{Kept, Signer},
};
use crate::{db::now, problem::ApiResult};

/// Apple wants a token made anew after 20 to 60 minutes.
const TOKEN_MS: i64 = 40 * 60_000;

/// The team's account.
pub struct Apns {
    client: reqwest::Client,
    url: String,
    signer: Signer,
    key_id: String,
    team: String,
    topic: String,
    token: Kept,
}

impl fmt::Debug for Apns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Apns").field("url", &self.url).field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Apns {
    pub fn new(url: &str, pem: &str, key_id: String, team: String, topic: String) -> anyhow::Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        let signer = Signer::es256_pem(pem)?;
        // Apple speaks nothing else.
        let client = vendor_client(true)?;
        Ok(Self { client, url, signer, key_id, team, topic, token: Kept::default() })
    }

    fn bearer(&self) -> ApiResult<String> {
        if let Some(token) = self.token.get(now(), 0) {
            return Ok(token);
        }
        let claims = json!({ "iss": self.team, "iat": now() / 1_000 });
        let token = self.signer.sign(Some(&self.key_id), &claims)?;
        self.token.keep(&token, now() + TOKEN_MS);
        Ok(token)
    }

    pub async fn carry(&self, device: &AppleDevice, message: &Message) -> Result<Outcome, Outcome> {
        let level = match (message.urgent, message.over) {
            (true, _) => "time-sensitive",
            (false, false) => "active",
            (false, true) => "passive",
        };
        let mut aps = json!({
            "alert": { "title": message.title, "body": message.body },
            "interruption-level": level,
        });
        if !message.over {
            aps["sound"] = json!("default");
        }
        let mut body = json!({ "aps": aps, "page": message.page, "tag": message.tag, "over": message.over });
        if let Some(mark) = &device.mark {
            body["mark"] = json!(mark);
        }
        let answer = self
            .client
            .post(format!("{}/3/device/{}", self.url, device.token))
            .bearer_auth(self.bearer()?)
            .header("apns-topic", &self.topic)
            .header("apns-push-type", "alert")
            .header("apns-priority", if message.over { "5" } else { "10" })
            .header("apns-expiration", now() / 1_000 + i64::from(message.ttl_s))
            .header("apns-collapse-id", &message.tag)
            .json(&body)
            .send()
            .await?;
        let (status, after) = (answer.status(), wait_asked(&answer));
        let answer: Value = serde_json::from_str(&text(answer).await).unwrap_or_default();
        let reason = answer["reason"].as_str().unwrap_or_default();
        Ok(match (status.as_u16(), reason) {
            (410, _) | (400, "BadDeviceToken" | "DeviceTokenNotForTopic") => Outcome::Gone,
            (403, "ExpiredProviderToken") => {
                self.token.forget();
                Outcome::Later { after: None, why: answered(PushFailureCode::AccountRefused, status, reason) }
            }
            (403, "InvalidProviderToken" | "MissingProviderToken") => {
                Outcome::Refused { why: answered(PushFailureCode::AccountRefused, status, reason) }
            }
            _ => by_status(status, after, reason),
        })
    }
}
