//! ntfy: published as JSON, taken away by its sequence id (from ntfy 2.16 on; older ones keep what was said).

use reqwest::Url;
use serde_json::{Value, json};

use super::{
    carrier::{Carriers, Outcome, by_status, text, wait_asked},
    message::Message,
    place,
};
use crate::problem::{ApiError, ApiResult};

/// Where to publish, and under which topic.
struct Topic {
    base: Url,
    name: String,
}

/// The topic's address, checked.
///
/// # Errors
/// `invalid_request` on `address`.
pub fn checked(address: &str, private: bool) -> ApiResult<String> {
    let topic = topic(address, private)?;
    Ok(topic.base.join(&topic.name).map_err(ApiError::internal)?.to_string())
}

fn topic(address: &str, private: bool) -> ApiResult<Topic> {
    let url = place::checked("address", address, private)?;
    let invalid =
        || ApiError::invalid("address", "Give the address of a topic, such as https://ntfy.sh/my-topic.");
    let (before, name) = url.path().trim_end_matches('/').rsplit_once('/').ok_or_else(invalid)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if url.query().is_some() || !(1..=64).contains(&name.len()) || !name.chars().all(fits) {
        return Err(invalid());
    }
    let mut base = url.clone();
    base.set_path(&format!("{before}/"));
    Ok(Topic { name: name.to_owned(), base })
}

/// Of an answer: ntfy says why in its `error`, what stands in between in its own way.
fn said(answer: &str) -> String {
    let known: Value = serde_json::from_str(answer).unwrap_or_default();
    known["error"].as_str().unwrap_or(answer.trim()).to_owned()
}

pub async fn carry(
    carriers: &Carriers,
    address: &str,
    token: Option<&str>,
    message: &Message,
) -> Result<Outcome, Outcome> {
    let Topic { base, name } = topic(address, carriers.private)?;
    let client = carriers.client(base.scheme() == "http");
    let request = if message.over {
        let said = base.join(&format!("{name}/{}", message.tag)).map_err(ApiError::internal)?;
        client.delete(said)
    } else {
        client.post(base).json(&json!({
            "topic": name,
            "title": message.title,
            // Without one ntfy says "triggered".
            "message": if message.body.is_empty() { &message.title } else { &message.body },
            "priority": if message.urgent { 4 } else { 3 },
            "tags": if message.urgent { ["warning"].as_slice() } else { &[] },
            "click": message.url,
            // Only what opens a page: any other action would carry a right through ntfy.
            "actions": [{ "action": "view", "label": "Foreman", "url": message.url }],
            "sequence_id": message.tag,
        }))
    };
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let answer = request.send().await?;
    let (status, after) = (answer.status(), wait_asked(&answer));
    Ok(match status.as_u16() {
        200..=299 => Outcome::Taken,
        // One that cannot take back, or has nothing to.
        404 | 405 if message.over => Outcome::Taken,
        _ => by_status(status, after, &said(&text(answer).await)),
    })
}
