//! Adding, changing and removing providers. A provider and its key in the vault change together or not at all, and a
//! key goes only to the address it was given for.

use foreman_protocol::{
    AddProvider, Event, Model, ProblemReason, Provider, ProviderAuth, ProviderHealth, ProviderId,
    ProviderKind, ProviderState, Secret, TenantId, UpdateProvider, UseFor, VaultProvider,
};

use super::{address, kinds, store};
use crate::{
    App,
    db::{Tx, now},
    devices,
    events::Cause,
    problem::{ApiError, ApiResult},
    router::naming,
    vault,
};

/// More than anybody has.
const MOST: usize = 100;
const NAME: usize = 40;
const MODEL: usize = 256;

/// What is written for a provider that somebody adds.
pub async fn add(app: &App, cause: Cause, request: AddProvider) -> ApiResult<ProviderId> {
    let tenant = cause.tenant;
    let there: Vec<Provider> =
        store::all(app.db.read(), tenant).await?.into_iter().map(|row| row.provider).collect();
    if there.len() >= MOST {
        return Err(ApiError::conflict(format!("There are {MOST} providers already. Remove one first."))
            .because(ProblemReason::ProvidersFull));
    }
    let mut provider = Provider {
        id: ProviderId::fresh(),
        kind: request.kind,
        auth: auth(&request)?,
        name: name_for(app, tenant, &request, &there).await?,
        base_url: request.base_url.as_deref().map(address::checked).transpose()?,
        device_id: request.device_id,
        vault_key: None,
        found: false,
        enabled: true,
        is_default: false,
        default_model: request.default_model.as_deref().map(model).transpose()?.flatten(),
        use_for: uses(request.use_for.unwrap_or_else(|| vec![UseFor::All])),
        health: fresh_health(),
        created_at: now(),
    };
    fits(&provider)?;
    let sealed = match (&request.key, request.vault_key) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("key", "Give a key or name one of the vault, not both."));
        }
        (Some(key), None) => {
            let (name, sealed) = seal(app, tenant, &provider, key).await?;
            provider.vault_key = Some(name);
            Some(sealed)
        }
        (None, Some(name)) => {
            may_use(app, tenant, &provider, &name, &there).await?;
            provider.vault_key = Some(name);
            None
        }
        (None, None) => None,
    };
    let id = provider.id;
    app.db
        .write(move |tx| {
            Box::pin(async move {
                if let Some(sealed) = sealed {
                    sealed.put(tx, &cause).await?;
                }
                if let Some(device) = provider.device_id {
                    store::forget_left_out(tx, device).await?;
                }
                store::insert(tx, tenant, &provider).await?;
                let provider = store::find(tx.conn(), tenant, id).await?.provider;
                tx.emit(&cause, Event::ProviderAdded { provider: Box::new(provider) }).await?;
                Ok(())
            })
        })
        .await?;
    app.providers.renew(app, tenant).await?;
    Ok(id)
}

/// Changes what is given; whether its models are to be listed again.
pub async fn update(app: &App, cause: Cause, id: ProviderId, request: UpdateProvider) -> ApiResult<bool> {
    let tenant = cause.tenant;
    let seen = store::find(app.db.read(), tenant, id).await?.provider;
    let there: Vec<Provider> =
        store::all(app.db.read(), tenant).await?.into_iter().map(|row| row.provider).collect();
    let mut next = seen.clone();
    if let Some(name) = &request.name {
        next.name = named(name)?;
    }
    if let Some(base_url) = &request.base_url {
        next.base_url = Some(address::checked(base_url)?);
    }
    let elsewhere = next.base_url != seen.base_url;
    if elsewhere && seen.vault_key.is_some() && request.key.is_none() {
        return Err(ApiError::invalid(
            "key",
            "Give the key again: the one in the vault is for the address it was given for. Nothing was changed.",
        ));
    }
    next.enabled = request.enabled.unwrap_or(seen.enabled);
    next.is_default = request.is_default.unwrap_or(seen.is_default);
    if let Some(wanted) = &request.default_model {
        next.default_model = model(wanted)?;
    }
    if let Some(use_for) = request.use_for {
        next.use_for = uses(use_for);
    }
    let shared =
        seen.vault_key.is_some() && there.iter().any(|other| other.id != id && same_key(other, &seen));
    let sealed = match &request.key {
        None => None,
        Some(key) => {
            if seen.auth == ProviderAuth::None {
                next.auth = ProviderAuth::ApiKey;
            }
            match &seen.vault_key {
                Some(name) if !shared => {
                    Some(app.vault.seal(tenant, under(seen.kind)?, name, key.reveal()).await?)
                }
                _ => {
                    let (name, sealed) = seal(app, tenant, &next, key).await?;
                    next.vault_key = Some(name);
                    Some(sealed)
                }
            }
        }
    };
    fits(&next)?;
    let again = elsewhere || sealed.is_some() || (next.enabled && !seen.enabled);
    let renamed = next.name != seen.name;
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let now_there = store::find(tx.conn(), tenant, id).await?.provider;
                if (&now_there.vault_key, &now_there.base_url) != (&seen.vault_key, &seen.base_url) {
                    return Err(ApiError::conflict(
                        "Somebody else changed this provider just now. Look again.",
                    )
                    .because(ProblemReason::ChangedElsewhere));
                }
                if let Some(sealed) = sealed {
                    if let (Some(name), false) = (&seen.vault_key, shared) {
                        vault::store::take_out(tx, &cause, under(seen.kind)?, name).await?;
                    }
                    sealed.put(tx, &cause).await?;
                }
                write(tx, &cause, &seen, next).await
            })
        })
        .await?;
    app.vault.forget();
    if again {
        app.providers.stands(id, None);
    }
    app.providers.renew(app, tenant).await?;
    if renamed {
        app.router.learn(app).await?;
    }
    Ok(again)
}

async fn write(tx: &mut Tx, cause: &Cause, seen: &Provider, next: Provider) -> ApiResult<()> {
    let all = store::all(tx.conn(), cause.tenant).await?;
    if all.iter().any(|other| other.provider.id != next.id && other.provider.name == next.name) {
        return Err(ApiError::conflict("There is a provider of this name already.")
            .because(ProblemReason::ProviderTaken));
    }
    let before = all.iter().find(|other| other.provider.id == next.id).map(|row| row.provider.name.clone());
    if let Some(before) = before.filter(|before| *before != next.name) {
        naming::renamed(tx, cause, &before, &next.name).await?;
    }
    if next.is_default && !seen.is_default {
        for other in all.into_iter().map(|row| row.provider).filter(|other| other.is_default) {
            let other = Provider { is_default: false, ..other };
            store::update(tx, &other).await?;
            tx.emit(cause, Event::ProviderUpdated { provider: Box::new(other) }).await?;
        }
    }
    store::update(tx, &next).await?;
    let provider = store::find(tx.conn(), cause.tenant, next.id).await?.provider;
    tx.emit(cause, Event::ProviderUpdated { provider: Box::new(provider) }).await?;
    Ok(())
}

/// Removes a provider, and its key from the vault unless another provider uses it.
pub async fn remove(app: &App, cause: Cause, id: ProviderId) -> ApiResult<()> {
    let tenant = cause.tenant;
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let provider = store::find(tx.conn(), tenant, id).await?.provider;
                match provider.device_id {
                    // Or it would be found again at the device's next report.
                    Some(_) => store::leave_out(tx, id).await?,
                    None => store::delete(tx, id).await?,
                }
                let others = store::all(tx.conn(), tenant).await?;
                let shared = others.iter().any(|other| same_key(&other.provider, &provider));
                if let (Some(name), Some(under), false) =
                    (&provider.vault_key, kinds::vault_provider(provider.kind), shared)
                {
                    vault::store::take_out(tx, &cause, under, name).await?;
                }
                naming::removed(tx, &cause, &provider.name).await?;
                tx.emit(&cause, Event::ProviderRemoved { provider_id: id, name: provider.name }).await?;
                Ok(())
            })
        })
        .await?;
    app.vault.forget();
    app.providers.stands(id, None);
    app.providers.renew(app, tenant).await?;
    app.router.learn(app).await?;
    Ok(())
}

fn same_key(one: &Provider, other: &Provider) -> bool {
    one.kind == other.kind && one.vault_key.is_some() && one.vault_key == other.vault_key
}

fn under(kind: ProviderKind) -> ApiResult<VaultProvider> {
    kinds::vault_provider(kind).ok_or_else(|| ApiError::invalid("key", "Ollama on a device takes no key."))
}

/// Seals a key under a name that is free in the vault.
async fn seal(
    app: &App,
    tenant: TenantId,
    provider: &Provider,
    key: &Secret,
) -> ApiResult<(String, vault::Sealed)> {
    let under = under(provider.kind)?;
    let taken = vault::store::names(&app.db, tenant, under).await?;
    let name = free_name(&provider.name, |name| taken.iter().any(|taken| taken == name));
    let sealed = app.vault.seal(tenant, under, &name, key.reveal()).await?;
    Ok((name, sealed))
}

/// A key of the vault may go to the vendor, or where another provider sends it already. For an address that somebody
/// names it must have been used nowhere before.
async fn may_use(
    app: &App,
    tenant: TenantId,
    provider: &Provider,
    name: &str,
    there: &[Provider],
) -> ApiResult<()> {
    let under = under(provider.kind)?;
    if !app.vault.status(tenant).await?.initialised {
        return Err(vault::missing());
    }
    if !vault::store::names(&app.db, tenant, under).await?.iter().any(|known| known == name) {
        return Err(ApiError::not_found("key in the vault"));
    }
    let vendor = kinds::vendor_address(provider.kind);
    let here = provider.base_url.as_deref().or(vendor);
    let mut users =
        there.iter().filter(|other| other.kind == provider.kind && other.vault_key.as_deref() == Some(name));
    let fits = match (vendor, users.next()) {
        (_, Some(user)) => user.base_url.as_deref() == here,
        (Some(vendor), None) => here == Some(vendor),
        (None, None) => true,
    };
    match fits {
        true => Ok(()),
        false => Err(ApiError::invalid(
            "vault_key",
            "This key was given for another address. For this one, give the key itself.",
        )),
    }
}

fn auth(request: &AddProvider) -> ApiResult<ProviderAuth> {
    let has_key = request.key.is_some() || request.vault_key.is_some();
    let auth = request.auth.unwrap_or(if has_key { ProviderAuth::ApiKey } else { ProviderAuth::None });
    match (auth, has_key) {
        (ProviderAuth::None, true) => {
            Err(ApiError::invalid("auth", "There is a key, so it has to be shown."))
        }
        (ProviderAuth::ApiKey | ProviderAuth::Oauth, false) => {
            Err(ApiError::invalid("key", "A key is missing."))
        }
        _ => Ok(auth),
    }
}

/// What a provider of its kind has to have and cannot have.
fn fits(provider: &Provider) -> ApiResult<()> {
    match provider.kind {
        ProviderKind::Ollama => {
            if provider.device_id.is_none() {
                return Err(ApiError::invalid("device_id", "Name the device that Ollama runs on."));
            }
            if provider.base_url.is_some() {
                return Err(ApiError::invalid("base_url", "Ollama on a device is reached over its link."));
            }
            if provider.auth != ProviderAuth::None {
                return Err(ApiError::invalid("key", "Ollama on a device takes no key."));
            }
        }
        _ if provider.device_id.is_some() => {
            return Err(ApiError::invalid("device_id", "Only Ollama is on a device."));
        }
        ProviderKind::OpenaiCompatible if provider.base_url.is_none() => {
            return Err(ApiError::invalid(
                "base_url",
                "Give its address, such as http://192.168.1.20:8000/v1.",
            ));
        }
        ProviderKind::OpenaiCompatible => {}
        _ if provider.auth == ProviderAuth::None => {
            return Err(ApiError::invalid("key", "This provider answers only with a key."));
        }
        _ => {}
    }
    Ok(())
}

async fn name_for(
    app: &App,
    tenant: TenantId,
    request: &AddProvider,
    there: &[Provider],
) -> ApiResult<String> {
    if let Some(name) = &request.name {
        return named(name);
    }
    let wanted = match request.device_id {
        Some(id) => {
            let device = devices::store::find(app.db.read(), tenant, id).await?;
            slug(&device.ok_or_else(|| ApiError::not_found("device"))?.name)
        }
        None => store::to_text(&request.kind)?.replace('_', "-"),
    };
    Ok(free_name(&wanted, |name| there.iter().any(|other| other.name == name)))
}

/// `wanted`, or the same with the first number that makes it free.
pub fn free_name(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2;
    while taken(&name) {
        let end = format!("-{number}");
        name = format!("{}{end}", &wanted[..wanted.len().min(NAME - end.len())]);
        number += 1;
    }
    name
}

/// What a device's name is as a provider's.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_ascii_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(NAME);
    let slug = slug.trim_matches('-');
    // What chooses a model by itself is not a provider.
    if slug.is_empty() || slug == "auto" { "ollama".to_owned() } else { slug.to_owned() }
}

fn named(name: &str) -> ApiResult<String> {
    let name = name.trim();
    let fits = (1..=NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    match fits && name != "auto" {
        true => Ok(name.to_owned()),
        false => Err(ApiError::invalid(
            "name",
            "A name has 1 to 40 small letters, digits and hyphens, and is not `auto`.",
        )),
    }
}

/// A model's name; nothing for an empty one.
fn model(name: &str) -> ApiResult<Option<String>> {
    let name = name.trim();
    if name.len() > MODEL || name.chars().any(char::is_control) {
        return Err(ApiError::invalid("default_model", "This is not a model's name."));
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn uses(mut use_for: Vec<UseFor>) -> Vec<UseFor> {
    use_for.sort_unstable();
    use_for.dedup();
    use_for
}

pub const fn fresh_health() -> ProviderHealth {
    ProviderHealth {
        state: ProviderState::Unknown,
        fault: None,
        reason: None,
        checked_at: None,
        models: None,
        latency_ms: None,
        credit_micros: None,
        retry_at: None,
    }
}

/// For lists: where a model stands among all.
pub fn place(model: &Model) -> String {
    format!("{}/{}", model.provider, model.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_free_and_fit() {
        assert_eq!(slug("Mias Büro-PC (2)!"), "mias-b-ro-pc-2");
        assert_eq!((slug("日本"), slug("Auto")), ("ollama".to_owned(), "ollama".to_owned()));
        assert!(named(&slug(&"ab ".repeat(40))).is_ok());
        assert_eq!(free_name("a", |name| name == "a" || name == "a-2"), "a-3");
        let long = "a".repeat(40);
        assert_eq!(free_name(&long, |name| name == long).len(), 40);
        for bad in ["", "Auto", "auto", "a/b", "a b", "ä"] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
