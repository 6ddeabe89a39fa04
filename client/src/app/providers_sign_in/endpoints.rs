//! Where a provider is asked: as configured, or as its issuer says (OpenID Connect Discovery, RFC 8414).

use reqwest::{Client, Url, header::ACCEPT};
use serde_json::Value;

use super::{
    Endpoint, OAuth, ProviderSignInError, TokenRequest,
    answer::{self, Discovered},
};

/// Everything that a sign-in needs, for this attempt.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    pub issuer: Option<String>,
    pub authorization: Option<Endpoint>,
    pub device_authorization: Option<Endpoint>,
    pub token: Endpoint,
    pub revocation: Option<Endpoint>,
    pub client_id: String,
    pub scopes: Vec<String>,
    pub token_request: TokenRequest,
}

impl Endpoints {
    /// What is configured counts before what is discovered.
    pub async fn of(http: &Client, oauth: &OAuth) -> Result<Self, ProviderSignInError> {
        let client_id = oauth.client_id.clone().ok_or(ProviderSignInError::NotConfigured)?;
        if !oauth.is_configured() {
            return Err(ProviderSignInError::NotConfigured);
        }
        let found = match &oauth.issuer {
            Some(issuer) => Some(discover(http, issuer).await?),
            None => None,
        };
        let (mut issuer, mut discovered) = (None, [None, None, None, None]);
        if let Some(found) = found {
            issuer = Some(found.issuer);
            discovered = [
                found.authorization_endpoint,
                found.device_authorization_endpoint,
                found.token_endpoint,
                found.revocation_endpoint,
            ];
        }
        let [authorization, device_authorization, token, revocation] = discovered;
        let token = oauth.token_endpoint.clone().or(token);
        Ok(Self {
            issuer,
            authorization: oauth.authorization_endpoint.clone().or(authorization),
            device_authorization: oauth.device_authorization_endpoint.clone().or(device_authorization),
            token: token.ok_or(ProviderSignInError::Garbage { reason: "it names no token endpoint" })?,
            revocation: oauth.revocation_endpoint.clone().or(revocation),
            client_id,
            scopes: oauth.scopes.clone(),
            token_request: oauth.token_request,
        })
    }
}

async fn discover(http: &Client, issuer: &Endpoint) -> Result<Discovered, ProviderSignInError> {
    let garbage = |reason| ProviderSignInError::Garbage { reason };
    let mut last = garbage("its issuer describes nothing");
    for url in described_at(issuer.url()) {
        let request = http.get(url).header(ACCEPT, "application/json").timeout(answer::LIMIT);
        let answer = match answer::read(request).await {
            Ok(answer) if answer.ok => answer,
            Ok(_) => continue,
            Err(error @ ProviderSignInError::Unreachable { .. }) => return Err(error),
            Err(error) => {
                last = error;
                continue;
            }
        };
        let found: Discovered = serde_json::from_value(Value::Object(answer.body)).map_err(|_| {
            garbage("its issuer describes something else, or names an address that is not safe")
        })?;
        // Whoever describes another issuer could send tokens there.
        if found.issuer.trim_end_matches('/') != issuer.as_str().trim_end_matches('/') {
            return Err(garbage("its issuer calls itself something else"));
        }
        return Ok(found);
    }
    Err(last)
}

/// OpenID Connect puts it behind the issuer's path, RFC 8414 before it.
fn described_at(issuer: &Url) -> [Url; 2] {
    let path = issuer.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = issuer.clone();
        url.set_path(&path);
        url
    };
    [
        at(format!("{path}/.well-known/openid-configuration")),
        at(format!("/.well-known/oauth-authorization-server{path}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_with_a_path_is_described_at_two_places() {
        let [connect, oauth] = described_at(&"https://id.example/realms/home/".parse().unwrap());
        assert_eq!(connect.as_str(), "https://id.example/realms/home/.well-known/openid-configuration");
        assert_eq!(oauth.as_str(), "https://id.example/.well-known/oauth-authorization-server/realms/home");
    }
}
