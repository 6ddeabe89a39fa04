//! One request to a provider, with its key put in here and nowhere else.

use std::error::Error;

use axum::http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use foreman_protocol::{ProblemCode, Provider, ProviderAuth, ProviderKind, TenantId};
use http_body_util::{BodyExt, Full};

use super::{Answer, Call, Known, Providers, SendFailed, address, device, kinds, ways};
use crate::{
    App,
    problem::{ApiError, ApiResult},
};

/// What providers know this server as.
const PROGRAM: HeaderValue = HeaderValue::from_static(concat!("foreman/", env!("CARGO_PKG_VERSION")));

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
            // Boxed: a request to a cloud need not carry its room along.
            ProviderKind::Ollama => Box::pin(device::send(app, tenant, known, call)).await,
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
        let url = Uri::try_from(kinds::url(provider.kind, base, call.path));
        let url = url.map_err(|error| SendFailed::Refused(ApiError::internal(error)))?;
        headers.insert(header::USER_AGENT, PROGRAM);
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        kinds::announce(&mut headers, provider.kind);
        put_key(app, tenant, provider, call.path, &mut headers).await?;
        let way = self.ways.get(address::is_plain(base), call.connect).map_err(SendFailed::Refused)?;
        let mut request = Request::new(Full::default());
        if let Some(body) = call.body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.method_mut() = Method::POST;
            *request.body_mut() = Full::new(body);
        }
        *request.uri_mut() = url;
        *request.headers_mut() = headers;
        let (parts, body) = way.send(request).await.map_err(|error| failed(&*error))?.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body: body.boxed_unsync() })
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

fn failed(error: &(dyn Error + 'static)) -> SendFailed {
    if ways::is_late(error) {
        return SendFailed::Timeout;
    }
    let said = ways::innermost(error);
    SendFailed::Unreachable(said.split(" (os error").next().unwrap_or_default().to_owned())
}
