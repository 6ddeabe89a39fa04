//! One request to a provider, with its key put in here and nowhere else.

use axum::http::{HeaderMap, HeaderValue, header};
use foreman_link::h2::BoxError;
use foreman_protocol::{ProblemCode, Provider, ProviderAuth, ProviderKind, TenantId};
use http_body_util::BodyExt;

use super::{Answer, Call, Known, Providers, SendFailed, address, device, kinds};
use crate::{
    App,
    problem::{ApiError, ApiResult},
};

impl Providers {
    /// Sends one request to the provider's own API, with the key from the vault. Only the headers given here go out.
    /// The answer is whatever the provider says, its errors included; there is no time-out but for connecting.
    ///
    /// # Errors
    /// See [`SendFailed`].
    pub async fn send(
        &self,
        app: &App,
        tenant: TenantId,
        known: &Known,
        call: Call,
    ) -> Result<Answer, SendFailed> {
        match known.provider.kind {
            ProviderKind::Ollama => device::send(app, tenant, known, call).await,
            _ => self.send_out(app, tenant, &known.provider, call).await,
        }
    }

    /// The same for what has an address of its own.
    pub(super) async fn send_out(
        &self,
        app: &App,
        tenant: TenantId,
        provider: &Provider,
        call: Call,
    ) -> Result<Answer, SendFailed> {
        let base = provider.base_url.as_deref().or_else(|| kinds::vendor_address(provider.kind));
        let base = base.ok_or_else(|| SendFailed::Unreachable("It has no address.".into()))?;
        let mut headers = call.headers;
        let url = kinds::url(provider.kind, base, call.path);
        kinds::announce(&mut headers, provider.kind);
        put_key(app, tenant, provider, call.path, &mut headers).await?;
        let client = self.ways.get(address::is_plain(base), call.connect).map_err(SendFailed::Refused)?;
        let request = match call.body {
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                client.post(url).body(body)
            }
            None => client.get(url),
        };
        let answer = request.headers(headers).send().await.map_err(failed)?;
        let (parts, body) = axum::http::Response::from(answer).into_parts();
        let body = body.map_err(|error| Box::new(error) as BoxError).boxed_unsync();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

async fn put_key(
    app: &App,
    tenant: TenantId,
    provider: &Provider,
    path: &str,
    headers: &mut HeaderMap,
) -> Result<(), SendFailed> {
    if provider.auth == ProviderAuth::None {
        return Ok(());
    }
    let key = key(app, tenant, provider).await.map_err(|error| match error.code {
        ProblemCode::VaultLocked | ProblemCode::VaultMissing => SendFailed::Locked(error),
        _ => SendFailed::Refused(error),
    })?;
    kinds::show_key(headers, provider.kind, provider.auth, path, &key).map_err(SendFailed::Refused)
}

async fn key(app: &App, tenant: TenantId, provider: &Provider) -> ApiResult<zeroize::Zeroizing<String>> {
    let (Some(under), Some(name)) = (kinds::vault_provider(provider.kind), &provider.vault_key) else {
        return Err(ApiError::not_found("key in the vault"));
    };
    app.vault.key(tenant, under, name).await
}

fn failed(error: reqwest::Error) -> SendFailed {
    if error.is_timeout() {
        return SendFailed::Timeout;
    }
    // The innermost cause says what happened; the address is known.
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let said = cause.to_string();
    SendFailed::Unreachable(said.split(" (os error").next().unwrap_or_default().to_owned())
}
