//! The picture of everything there is to choose from, put together from rows, devices, the table and the vault.

use std::{collections::HashMap, sync::Arc};

use foreman_protocol::{
    Device, DeviceStatus, KnownFrom, Model, ModelPrice, Provider, ProviderAuth, ProviderKind, ProviderState,
    TenantId,
};

use super::{Catalogue, Known, Providers, lists, store, store::StoredModel, table};
use crate::{App, db::now, devices, problem::ApiResult};

pub async fn read(app: &App, tenant: TenantId) -> ApiResult<Catalogue> {
    let rows = store::all(app.db.read(), tenant).await?;
    let mut models = match rows.is_empty() {
        true => HashMap::new(),
        false => store::models(app.db.read(), tenant).await?,
    };
    let unlocked = match rows.iter().any(|row| row.provider.auth != ProviderAuth::None) {
        true => app.vault.status(tenant).await?.unlocked,
        false => true,
    };
    let mut providers = Vec::with_capacity(rows.len());
    for store::Stored { mut provider, due_at } in rows {
        let device = match provider.device_id {
            Some(id) => devices::store::find(app.db.read(), tenant, id).await?,
            None => None,
        };
        let online = provider.device_id.is_none() || device.as_ref().is_some_and(runs_ollama);
        provider.health.state = state(&app.providers, &mut provider, online, unlocked);
        let rows = models.remove(&provider.id).unwrap_or_default();
        let models = models_of(&provider, device.as_ref(), online, rows);
        let device_name = device.as_ref().map(|device| device.name.clone());
        providers.push(Known { provider, models, device_name, online, device: device.map(Arc::new), due_at });
    }
    Ok(Catalogue { providers })
}

fn runs_ollama(device: &Device) -> bool {
    device.status == DeviceStatus::Online
        && device.capabilities.as_ref().is_some_and(|found| found.ollama.is_some())
}

/// What keeps requests away first, then how the last of them went, the one for the list among them.
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
    let looked = provider.health.state;
    let Some((at, standing)) = from.standing(provider.id) else { return looked };
    let looked_later = provider.health.checked_at.is_some_and(|checked| checked >= at);
    // It was asked for patience, and there was enough of it.
    let over = standing.retry_at.is_some_and(|until| until <= now());
    // What is paused gets no requests, whatever the list says.
    if (looked_later || over) && standing.state != ProviderState::Paused {
        return looked;
    }
    provider.health.reason = standing.reason.or_else(|| provider.health.reason.take());
    provider.health.retry_at = standing.retry_at;
    standing.state
}

fn models_of(
    provider: &Provider,
    device: Option<&Device>,
    online: bool,
    mut rows: Vec<(String, StoredModel)>,
) -> Vec<Model> {
    // Before anything was asked of it, a device has told what it has.
    let found = device.and_then(|device| device.capabilities.as_ref()?.ollama.as_ref());
    if let Some(found) = found.filter(|_| provider.health.models.is_none()) {
        for model in &found.models {
            if !rows.iter().any(|(id, _)| *id == model.name) {
                let listed = lists::Listed {
                    id: model.name.clone(),
                    size: Some(model.size),
                    remote: lists::is_remote(&model.name),
                    ..lists::Listed::default()
                };
                rows.push((model.name.clone(), StoredModel { listed: Some(listed), entered: None }));
            }
        }
    }
    let loaded = device.and_then(|device| device.latest.as_ref()).map(|sample| &sample.loaded_models);
    let is_loaded = |id: &str| loaded.map(|loaded| online && loaded.iter().any(|name| name == id));
    let running = device.and_then(|device| device.latest.as_ref()).filter(|_| online);
    let graphics = device
        .and_then(|device| device.capabilities.as_ref())
        .map_or(0, |has| has.gpus.iter().filter_map(|gpu| gpu.memory_total).fold(0, u64::saturating_add));
    let runs_with = |id: &str, listed: &lists::Listed| match running
        .and_then(|now| now.loaded_context.as_ref()?.get(id))
    {
        Some(tokens) => *tokens,
        None => listed.num_ctx.unwrap_or_else(|| lists::usual_context(graphics)),
    };
    let of_device =
        |id: &str, listed: &lists::Listed| OnDevice { loaded: is_loaded(id), context: runs_with(id, listed) };
    rows.into_iter().filter_map(|(id, row)| model(provider, of_device, id, row)).collect()
}

/// How a model stands on its device.
struct OnDevice {
    loaded: Option<bool>,
    /// What Ollama runs it with, or would, tokens.
    context: u32,
}

/// What a person entered wins over what the provider tells, and that over the table.
fn model(
    provider: &Provider,
    of_device: impl Fn(&str, &lists::Listed) -> OnDevice,
    id: String,
    row: StoredModel,
) -> Option<Model> {
    let listed = row.listed?;
    let ollama = provider.kind == ProviderKind::Ollama;
    let (entry, date) = match table::find(provider.kind, &id) {
        Some((entry, date)) => (Some(entry), Some(date)),
        None => (None, None),
    };
    let private = ollama && !listed.remote;
    let here = private.then(|| of_device(&id, &listed));
    // Ollama's cloud runs models with all they can do.
    let context = match &here {
        Some(here) => Some(listed.context.map_or(here.context, |most| most.min(here.context))),
        None => listed.context,
    };
    // What runs on one's own device costs nothing for a token.
    let told_price = listed.price.or_else(|| private.then(ModelPrice::default));
    let told = ollama || listed.context.is_some() || listed.price.is_some() || listed.tools.is_some();
    let by_person = row.entered.clone().filter(says_something);
    let entered =
        row.entered.unwrap_or(foreman_protocol::UpdateModel { enabled: true, ..Default::default() });
    let from_table = entry.is_some_and(|entry| {
        let context = entered.context_tokens.or(listed.context);
        context.is_none() || (entered.price.or(told_price).is_none() && entry.price.is_some())
    });
    let known_from = match (by_person.is_some(), from_table, told) {
        (true, ..) => KnownFrom::Person,
        (_, true, _) => KnownFrom::Table,
        (.., true) => KnownFrom::Provider,
        _ => KnownFrom::Unknown,
    };
    Some(Model {
        provider_id: provider.id,
        provider: provider.name.clone(),
        context_tokens: entered.context_tokens.or(context).or(entry.map(|entry| entry.context)),
        most_context_tokens: listed.context.filter(|_| here.is_some()),
        output_tokens: entered.output_tokens.or(listed.output).or(entry.and_then(|entry| entry.output)),
        tools: entered.tools.or(listed.tools).or(entry.and_then(|entry| entry.tools)),
        vision: entered.vision.or(listed.vision).or(entry.and_then(|entry| entry.vision)),
        embeddings: listed.embeddings || entry.is_some_and(|entry| entry.embeddings),
        price: entered.price.or(told_price).or(entry.and_then(|entry| entry.price)),
        known_from,
        // Of what a person did not enter, too.
        known_at: date.filter(|_| from_table).map(str::to_owned),
        private,
        size: listed.size,
        loaded: here.and_then(|here| here.loaded),
        enabled: entered.enabled,
        entered: by_person,
        id,
    })
}

fn says_something(entered: &foreman_protocol::UpdateModel) -> bool {
    entered.context_tokens.is_some()
        || entered.output_tokens.is_some()
        || entered.tools.is_some()
        || entered.vision.is_some()
        || entered.price.is_some()
}

#[cfg(test)]
mod tests {
    use foreman_protocol::UpdateModel;

    use super::*;

    fn openai() -> Provider {
        serde_json::from_value(serde_json::json!({
            "id": foreman_protocol::ProviderId::fresh(), "kind": "openai", "auth": "api_key", "name": "openai",
            "found": false, "enabled": true, "is_default": false, "use_for": [],
            "health": { "state": "up" }, "created_at": 0,
        }))
        .unwrap()
    }

    fn known(id: &str, listed: lists::Listed, entered: Option<UpdateModel>) -> Model {
        let here = |_: &str, _: &lists::Listed| OnDevice { loaded: None, context: 0 };
        let row = StoredModel { listed: Some(listed), entered };
        model(&openai(), here, id.to_owned(), row).unwrap()
    }

    #[test]
    fn what_the_table_knows_is_dated_and_gives_way_to_who_knows_better() {
        let (entry, day) = table::find(ProviderKind::Openai, "gpt-5.5").unwrap();
        let told = known("gpt-5.5", lists::Listed::default(), None);
        assert_eq!((told.known_from, told.known_at.as_deref()), (KnownFrom::Table, Some(day)));
        assert_eq!((told.context_tokens, told.price), (Some(entry.context), entry.price));

        let entered = UpdateModel { context_tokens: Some(1_000), enabled: true, ..Default::default() };
        let corrected = known("gpt-5.5", lists::Listed::default(), Some(entered.clone()));
        assert_eq!(corrected.known_from, KnownFrom::Person);
        assert_eq!((corrected.context_tokens, corrected.price), (Some(1_000), entry.price));
        assert_eq!(corrected.known_at.as_deref(), Some(day), "its price is still the table's");
        assert_eq!((told.entered, &corrected.entered), (None, &Some(entered.clone())), "and told apart");
        let whole = UpdateModel { price: entry.price, ..entered };
        assert_eq!(known("gpt-5.5", lists::Listed::default(), Some(whole)).known_at, None);

        let listed = lists::Listed { context: Some(2_000), price: entry.price, ..Default::default() };
        let listed = known("gpt-5.5", listed, None);
        assert_eq!((listed.known_from, listed.known_at), (KnownFrom::Provider, None));
        let other = known("nothing-like-it", lists::Listed::default(), None);
        assert_eq!((other.known_from, other.known_at), (KnownFrom::Unknown, None));
    }
}
