//! Web Push and UnifiedPush: RFC 8030, sealed by RFC 8291, with who sends by RFC 8292.

use foreman_protocol::{PushEndpoint, PushFailureCode};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::json;

use super::{
    carrier::{Carriers, Outcome, by_status, text, wait_asked},
    message::Message,
    place,
    seal::{self, BASE64, Keys},
};
use crate::{db::now, problem::ApiResult};
use base64::Engine;

/// Push services take claims for a day at most.
const CLAIM_S: i64 = 12 * 3_600;

pub async fn carry(carriers: &Carriers, to: &PushEndpoint, message: &Message) -> Result<Outcome, Outcome> {
    let url = place::checked("endpoint", &to.endpoint, carriers.private)?;
    let unusable = || Outcome::refused(PushFailureCode::UnusableKeys);
    let keys = Keys::read(&to.p256dh, &to.auth).ok_or_else(unusable)?;
    let body = seal::seal(&keys, payload(message).as_bytes()).map_err(|_| unusable())?;
    let urgency = match (message.urgent, message.over) {
        (true, _) => "high",
        (false, false) => "normal",
        (false, true) => "low",
    };
    let answer = carriers
        .client(url.scheme() == "http")
        .post(url.clone())
        .header("ttl", message.ttl_s)
        .header("urgency", urgency)
        .header("topic", &message.tag)
        .header(CONTENT_ENCODING, "aes128gcm")
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(AUTHORIZATION, vapid(carriers, &url)?)
        .body(body)
        .send()
        .await?;
    let (status, after) = (answer.status(), wait_asked(&answer));
    Ok(match status.as_u16() {
        404 | 410 => Outcome::Gone,
        200..=299 => Outcome::Taken,
        _ => by_status(status, after, text(answer).await.trim()),
    })
}

fn vapid(carriers: &Carriers, url: &reqwest::Url) -> ApiResult<String> {
    let claims = json!({
        "aud": url.origin().ascii_serialization(),
        "exp": now() / 1_000 + CLAIM_S,
        "sub": carriers.contact,
    });
    let token = carriers.signer.sign(None, &claims)?;
    Ok(format!("vapid t={token}, k={}", BASE64.encode(carriers.signer.public())))
}

/// What the service worker and the app read.
fn payload(message: &Message) -> String {
    let mut payload = json!({
        "title": message.title, "tag": message.tag, "subject": message.subject, "page": message.page,
    });
    if !message.body.is_empty() {
        payload["body"] = json!(message.body);
    }
    for (name, holds) in [("urgent", message.urgent), ("over", message.over)] {
        if holds {
            payload[name] = json!(true);
        }
    }
    payload.to_string()
}
