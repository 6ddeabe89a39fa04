//! Handing a token to a server's vault, as the key of a provider there, by the API that everybody uses.

use foreman_protocol::{
    AddProvider, ProblemCode, Provider, ProviderAuth, ProviderId, Secret, UpdateProvider,
};
use reqwest::Method;

use super::{Definition, ProviderSignInError, VaultEntry};
use crate::{Error, Foreman};

/// Adds the provider; the token is in the vault then.
pub(super) async fn add(
    server: &Foreman,
    definition: &Definition,
    entry: &VaultEntry,
    token: &str,
) -> Result<ProviderId, ProviderSignInError> {
    let body = AddProvider {
        kind: entry.kind,
        auth: Some(ProviderAuth::Oauth),
        name: Some(definition.id.to_string()),
        base_url: entry.base_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
        device_id: None,
        key: Some(Secret::new(token)),
        vault_key: None,
        default_model: None,
        use_for: None,
    };
    let added: Provider = server.send_json(Method::POST, "providers", &body).await.map_err(said)?;
    Ok(added.id)
}

/// Puts a newer token in its place; false when somebody removed the provider there.
pub(super) async fn renew(
    server: &Foreman,
    id: ProviderId,
    token: &str,
) -> Result<bool, ProviderSignInError> {
    let body = UpdateProvider { key: Some(Secret::new(token)), ..UpdateProvider::default() };
    let path = format!("providers/{id}");
    match server.send_json::<Provider>(Method::PATCH, &path, &body).await {
        Ok(_) => Ok(true),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(said(error)),
    }
}

/// Removes the provider, and with it the token from the vault.
pub(super) async fn take_back(server: &Foreman, id: ProviderId) -> Result<(), ProviderSignInError> {
    match server.send_empty(Method::DELETE, &format!("providers/{id}")).await {
        Err(error) if !is_gone(&error) => Err(said(error)),
        _ => Ok(()),
    }
}

fn is_gone(error: &Error) -> bool {
    error.code() == Some(ProblemCode::NotFound)
}

fn said(error: Error) -> ProviderSignInError {
    ProviderSignInError::Server(error.into())
}
