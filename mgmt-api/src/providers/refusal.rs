//! A key that a provider does not take, found out by a request: shown like one that a look at its models found, until
//! a look goes well, another key is given, or a request is answered with it.

use axum::http::StatusCode;
use foreman_protocol::{
    Event, Millis, Provider, ProviderFault, ProviderId, ProviderKind, ProviderState, TenantId,
};
use serde_json::Value;

use super::{check, store};
use crate::{App, db::now, events::Cause, problem::ApiResult};

/// Whether an answer says that the key is not taken. Google says so with a status that bad requests get too, and where
/// it speaks OpenAI's format, in a list.
///
/// Source: <https://cloud.google.com/apis/design/errors>.
pub fn is_of_key(kind: ProviderKind, status: StatusCode, body: &[u8]) -> bool {
    if kind != ProviderKind::Google || status != StatusCode::BAD_REQUEST {
        return matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    }
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = if said.is_array() { &said[0] } else { &said };
    let details = said["error"]["details"].as_array();
    details.is_some_and(|details| details.iter().any(|detail| detail["reason"] == "API_KEY_INVALID"))
}

/// Its answer to a request of `asked_at` was that it does not take the key. Nobody waits for the log.
pub fn noted(app: &App, tenant: TenantId, provider: &Provider, status: u16, asked_at: Millis) {
    spawn(app, tenant, provider.id, Some(status), asked_at);
}

/// It answered with the key that it was thought to refuse.
pub fn taken(app: &App, tenant: TenantId, provider: &Provider) {
    spawn(app, tenant, provider.id, None, now());
}

fn spawn(app: &App, tenant: TenantId, id: ProviderId, refused: Option<u16>, asked_at: Millis) {
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = write(&app, tenant, id, refused, asked_at).await {
            tracing::warn!(%error, "whether a provider takes its key was not noted");
        }
    });
}

async fn write(
    app: &App,
    tenant: TenantId,
    id: ProviderId,
    refused: Option<u16>,
    asked_at: Millis,
) -> ApiResult<()> {
    let changed = app.db.write(move |tx| {
        Box::pin(async move {
            let provider = store::find(tx.conn(), tenant, id).await?.provider;
            let health = provider.health;
            // Whoever looked since knows better: the key may be another one.
            let known = (health.fault == Some(ProviderFault::KeyRefused)) == refused.is_some();
            if known || health.checked_at.is_some_and(|checked| checked > asked_at) {
                return Ok(false);
            }
            let fault = refused.map(|_| ProviderFault::KeyRefused);
            let check = store::Check {
                fault,
                reason: refused.map(check::key_refused),
                models: None,
                latency_ms: health.latency_ms,
                credit_micros: health.credit_micros,
                due_at: now() + check::EVERY_MS,
            };
            store::write_check(tx, id, &check).await?;
            let state = if fault.is_some() { ProviderState::Failing } else { ProviderState::Up };
            let event = Event::ProviderStateChanged { provider_id: id, name: provider.name, state, fault };
            tx.emit(&Cause::system(tenant), event).await?;
            Ok(true)
        })
    });
    if changed.await? {
        app.providers.renew(app, tenant).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn google_says_of_a_key_what_others_say_with_a_status() {
        let of = |kind, code: u16, body: &Value| {
            is_of_key(kind, StatusCode::from_u16(code).unwrap(), body.to_string().as_bytes())
        };
        let invalid = json!({ "error": { "code": 400, "status": "INVALID_ARGUMENT", "details": [
            { "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" } ] } });
        assert!(of(ProviderKind::Google, 400, &invalid) && of(ProviderKind::Google, 400, &json!([invalid])));
        let elsewhere = json!({ "error": { "code": 400, "status": "FAILED_PRECONDITION",
            "message": "User location is not supported for the API use." } });
        assert!(!of(ProviderKind::Google, 400, &elsewhere) && !of(ProviderKind::Google, 400, &Value::Null));
        assert!(!of(ProviderKind::Groq, 400, &invalid));
        for kind in [ProviderKind::Google, ProviderKind::Mistral] {
            assert!(
                of(kind, 401, &Value::Null) && of(kind, 403, &Value::Null) && !of(kind, 404, &Value::Null)
            );
        }
    }
}
