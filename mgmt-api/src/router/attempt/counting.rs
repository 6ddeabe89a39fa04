//! How many tokens a request has, without asking it: Anthropic counts what goes to its models; for others, and while
//! Anthropic cannot be asked, it is our estimate and marked as one. It costs nothing and is no usage.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use bytes::Bytes;
use foreman_protocol::WaitedFor;
use serde_json::json;

use super::{
    Answered, Content, Inquiry, Try, chosen, nothing_fits,
    open::{self, Deadline},
};
use crate::{
    App,
    db::now,
    problem::ApiResult,
    providers::{Call, SendFailed, Wire, wire},
    router::{choose::Candidate, words},
};

/// A count that is our own.
const ESTIMATED: HeaderName = HeaderName::from_static("x-foreman-estimated");
/// The longest count, bytes.
const MOST: usize = 64 * 1024;

type Said = (StatusCode, HeaderMap, Bytes);

/// Counts for the model that the request would go to first.
///
/// # Errors
/// `model_unavailable`, `vault_locked`, and `upstream_failed` when the provider does not take its key.
pub async fn count(app: &App, asked: &Inquiry) -> ApiResult<Answered> {
    let routing = app.router.routing();
    let catalogue = app.providers.catalogue(app, asked.who.tenant).await?;
    let choice = chosen(asked, &catalogue, &routing);
    let Some(first) = choice.candidates.first() else { return Err(nothing_fits(asked, &choice)) };
    let (status, mut headers, body) = match of_vendor(app, asked, first).await? {
        Some(said) => said,
        None => estimate(asked),
    };
    let route = first.route(&[]);
    words::tell(&route, &mut headers);
    Ok(Answered { route, status, headers, content: Content::Whole(body), usage: None })
}

fn estimate(asked: &Inquiry) -> Said {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ESTIMATED, HeaderValue::from_static("true"));
    // No request is empty for any model.
    let body = json!({ "input_tokens": asked.peek.needs.input_tokens.max(1) });
    (StatusCode::OK, headers, body.to_string().into())
}

/// What the vendor says: its count, or why it refuses the request. `None` when it does not count, or not now.
async fn of_vendor(app: &App, asked: &Inquiry, candidate: &Candidate<'_>) -> ApiResult<Option<Said>> {
    let provider = &candidate.known.provider;
    if wire(provider.kind) != Wire::Anthropic || app.router.breakers.standing(provider.id).is_some() {
        return Ok(None);
    }
    let limits = &app.router.limits;
    let call = Call {
        path: "messages/count_tokens",
        body: Some(asked.peek.request(&asked.body, &candidate.model.id, false)?),
        connect: limits.connect,
        headers: asked.headers.clone(),
    };
    let (deadline, asked_at) = (Deadline::after(limits.first_token, WaitedFor::Answer), now());
    let sent = deadline.within(app.providers.send(app, asked.who.tenant, candidate.known, call)).await;
    let answer = match sent {
        Ok(Ok(answer)) => answer,
        Ok(Err(SendFailed::Locked(error) | SendFailed::Refused(error))) => return Err(error),
        Ok(Err(SendFailed::Unreachable(_) | SendFailed::Timeout)) | Err(_) => return Ok(None),
    };
    if !answer.status.is_success() {
        let tried = open::unsuccessful(app, asked, candidate, answer, asked_at);
        return match deadline.within(tried).await {
            Ok(Try::Answered { status, headers, content: Content::Whole(body), .. }) => {
                Ok(Some((status, headers, body)))
            }
            Ok(Try::Over(error)) => Err(error),
            _ => Ok(None),
        };
    }
    let (status, headers) = (answer.status, open::told(&answer.headers));
    let body = deadline.within(open::collect(answer.body, MOST)).await;
    Ok(body.ok().and_then(Result::ok).map(|body| (status, headers, body)))
}
