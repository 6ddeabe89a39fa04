//! A key that a provider does not take, found out by a request: shown like one that a look at its models found, until
//! a look goes well, another key is given, or a request is answered with it.

use foreman_protocol::{Event, Millis, Provider, ProviderFault, ProviderId, ProviderState, TenantId};

use super::{check, store};
use crate::{App, db::now, events::Cause, problem::ApiResult};

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
