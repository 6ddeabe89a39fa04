//! The picture of everything there is to choose from, put together from rows, devices and the vault.

use std::sync::Arc;

use foreman_protocol::{Device, DeviceStatus, Model, Provider, ProviderAuth, ProviderState, TenantId};

use super::{Catalogue, Known, Providers, store};
use crate::{App, devices, problem::ApiResult};

pub async fn read(app: &App, tenant: TenantId) -> ApiResult<Catalogue> {
    let rows = store::all(&app.db, tenant).await?;
    let unlocked = match rows.iter().any(|row| row.provider.auth != ProviderAuth::None) {
        true => app.vault.status(tenant).await?.unlocked,
        false => true,
    };
    let mut providers = Vec::with_capacity(rows.len());
    for row in rows {
        let mut provider = row.provider;
        let device = match provider.device_id {
            Some(id) => devices::store::find(app.db.read(), tenant, id).await?,
            None => None,
        };
        let online = provider.device_id.is_none() || device.as_ref().is_some_and(runs_ollama);
        provider.health.state = state(&app.providers, &mut provider, online, unlocked);
        let models: Vec<Model> = Vec::new();
        let device_name = device.as_ref().map(|device| device.name.clone());
        providers.push(Known { provider, models, device_name, online, device: device.map(Arc::new) });
    }
    Ok(Catalogue { providers })
}

fn runs_ollama(device: &Device) -> bool {
    device.status == DeviceStatus::Online
        && device.capabilities.as_ref().is_some_and(|found| found.ollama.is_some())
}

/// What keeps requests away first, then how they went, then how the last list went.
fn state(from: &Providers, provider: &mut Provider, online: bool, unlocked: bool) -> ProviderState {
    if !provider.enabled {
        return ProviderState::Disabled;
    }
    if !online {
        return ProviderState::Offline;
    }
    if provider.auth != ProviderAuth::None && !unlocked {
        return ProviderState::Locked;
    }
    match from.standing(provider.id) {
        Some(standing) => {
            provider.health.reason = standing.reason.or_else(|| provider.health.reason.take());
            provider.health.retry_at = standing.retry_at;
            standing.state
        }
        None => provider.health.state,
    }
}
