//! Cloudflare's API, as far as tunnels need it. Every answer comes in the same envelope; deleting what is gone
//! already is a success. This must not know devices or databases.
//!
//! Source: <https://developers.cloudflare.com/api/> (Zero Trust: tunnels, Access; DNS records).

use std::time::{Duration, SystemTime};

use foreman_link::http::{self, RequestError};
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
/// How long a service token is good, in Cloudflare's words: a year.
const TOKEN_LIFE: &str = "8760h";
/// One that ends sooner is prolonged: long enough for a server that is off for weeks.
const RENEW_AHEAD: Duration = Duration::from_secs(60 * 86_400);

/// One account and one zone in it, and the right to change them.
pub struct Cloudflare {
    http: reqwest::Client,
    api: String,
    account: String,
    zone_id: String,
    /// `foreman.example`: the hostnames end in it.
    pub zone: String,
    token: String,
}

/// Why a call did not work. The text is for the log and for whoever runs the server.
#[derive(Debug, thiserror::Error)]
pub enum CloudflareError {
    #[error("Cloudflare cannot be reached: {0}")]
    Unreachable(String),
    #[error("Cloudflare refused {what}: {message}")]
    Refused { what: &'static str, status: u16, message: String },
    /// Only whoever owns the account can say that it is not meant to be there.
    #[error(
        "the account's own Access policy \"{policy}\" lets others to {hostname}, which only its device's clients are to \
         reach. It may guard other applications, so it is left alone: in Cloudflare's dashboard, under Zero Trust, Access, \
         Applications, open {app} and take it out of its policies"
    )]
    Shared { policy: String, hostname: String, app: String },
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    success: bool,
    #[serde(default)]
    errors: Vec<Message>,
    #[serde(default)]
    result: Value,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: String,
}

/// A service token as it is made: the secret is never shown again.
#[derive(Debug, Deserialize)]
pub struct ServiceToken {
    pub id: String,
    pub client_id: String,
    pub client_secret: String,
}

/// A policy of the application that is not ours.
#[derive(Debug)]
pub struct OtherPolicy {
    pub id: String,
    pub name: String,
    /// It belongs to the account, and may guard other applications too: it cannot be deleted as this one's.
    pub shared: bool,
}

/// How a service token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStanding {
    Good,
    /// It is good still, but not for long.
    Ending,
    /// It opens nothing any more, or is not there.
    Gone,
}

type Outcome<T> = Result<T, CloudflareError>;

impl Cloudflare {
    /// `api` is the address before `/accounts` and `/zones`.
    pub fn new(
        api: &str,
        account: String,
        zone_id: String,
        zone: String,
        token: String,
    ) -> Result<Self, RequestError> {
        let api = api.trim_end_matches('/').to_owned();
        Ok(Self { http: http::client()?, api, account, zone_id, zone, token })
    }

    async fn call<T: DeserializeOwned>(
        &self,
        what: &'static str,
        method: Method,
        path: String,
        body: Option<Value>,
    ) -> Outcome<T> {
        let request = self.http.request(method, format!("{}{path}", self.api)).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let unreachable =
            |error: reqwest::Error| CloudflareError::Unreachable(error.without_url().to_string());
        let answer = request.timeout(PATIENCE).send().await.map_err(unreachable)?;
        let status = answer.status();
        let refused = |message: String| CloudflareError::Refused { what, status: status.as_u16(), message };
        let bytes = answer.bytes().await.map_err(unreachable)?;
        let envelope: Envelope =
            serde_json::from_slice(&bytes).map_err(|_| refused(format!("status {status}")))?;
        if !status.is_success() || !envelope.success {
            let said: Vec<String> =
                envelope.errors.iter().map(|error| format!("{} ({})", error.message, error.code)).collect();
            return Err(refused(if said.is_empty() { format!("status {status}") } else { said.join("; ") }));
        }
        serde_json::from_value(envelope.result)
            .map_err(|error| refused(format!("unexpected answer: {error}")))
    }

    fn in_account(&self, rest: &str) -> String {
        format!("/accounts/{}/{rest}", self.account)
    }

    fn in_zone(&self, rest: &str) -> String {
        format!("/zones/{}/{rest}", self.zone_id)
    }

    /// Whether it is there, and what it says.
    async fn find(&self, what: &'static str, path: String) -> Outcome<Option<Value>> {
        match self.call(what, Method::GET, path, None).await {
            Ok(value) => Ok(Some(value)),
            Err(CloudflareError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, what: &'static str, path: String) -> Outcome<()> {
        match self.call::<Value>(what, Method::DELETE, path, None).await {
            Ok(_) | Err(CloudflareError::Refused { status: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn make_tunnel(&self, name: &str) -> Outcome<String> {
        let body = json!({ "name": name, "config_src": "cloudflare" });
        self.call::<Named>("the tunnel", Method::POST, self.in_account("cfd_tunnel"), Some(body))
            .await
            .map(|made| made.id)
    }

    pub async fn has_tunnel(&self, id: &str) -> Outcome<bool> {
        let found = self.find("the tunnel", self.in_account(&format!("cfd_tunnel/{id}"))).await?;
        Ok(found.is_some_and(|tunnel| tunnel["deleted_at"].is_null()))
    }

    /// What cloudflared on the device runs with.
    pub async fn tunnel_token(&self, id: &str) -> Outcome<String> {
        self.call("the tunnel's token", Method::GET, self.in_account(&format!("cfd_tunnel/{id}/token")), None)
            .await
    }

    pub async fn delete_tunnel(&self, id: &str) -> Outcome<()> {
        // With its connections: cloudflared may still run on the device.
        self.remove("to delete the tunnel", self.in_account(&format!("cfd_tunnel/{id}?cascade=true"))).await
    }

    /// Sends `hostname` to `target` on the device and nothing else anywhere.
    pub async fn configure(&self, tunnel: &str, hostname: &str, target: &str) -> Outcome<()> {
        let path = self.in_account(&format!("cfd_tunnel/{tunnel}/configurations"));
        let body = json!({ "config": ingress(hostname, target) });
        self.call::<Value>("the tunnel's ingress", Method::PUT, path, Some(body)).await.map(drop)
    }

    pub async fn is_configured(&self, tunnel: &str, hostname: &str, target: &str) -> Outcome<bool> {
        let path = self.in_account(&format!("cfd_tunnel/{tunnel}/configurations"));
        let found = self.find("the tunnel's ingress", path).await?;
        Ok(found.is_some_and(|found| found["config"]["ingress"] == ingress(hostname, target)["ingress"]))
    }

    pub async fn make_service_token(&self, name: &str) -> Outcome<ServiceToken> {
        let body = json!({ "name": name, "duration": TOKEN_LIFE });
        self.call("the service token", Method::POST, self.in_account("access/service_tokens"), Some(body))
            .await
    }

    pub async fn service_token(&self, id: &str) -> Outcome<TokenStanding> {
        let path = self.in_account(&format!("access/service_tokens/{id}"));
        let found = self.find("the service token", path).await?;
        Ok(found.map_or(TokenStanding::Gone, |token| standing(&token, SystemTime::now())))
    }

    /// Prolongs it from now on; its secret stays.
    pub async fn refresh_service_token(&self, id: &str) -> Outcome<()> {
        let path = self.in_account(&format!("access/service_tokens/{id}/refresh"));
        self.call::<Value>("to prolong the service token", Method::POST, path, None).await.map(drop)
    }

    pub async fn delete_service_token(&self, id: &str) -> Outcome<()> {
        self.remove("to delete the service token", self.in_account(&format!("access/service_tokens/{id}")))
            .await
    }

    pub async fn make_app(&self, name: &str, domain: &str) -> Outcome<String> {
        let body = json!({ "type": "self_hosted", "name": name, "domain": domain });
        self.call::<Named>("the Access application", Method::POST, self.in_account("access/apps"), Some(body))
            .await
            .map(|made| made.id)
    }

    pub async fn has_app(&self, id: &str, domain: &str) -> Outcome<bool> {
        let found =
            self.find("the Access application", self.in_account(&format!("access/apps/{id}"))).await?;
        Ok(found.is_some_and(|app| app["domain"] == domain))
    }

    pub async fn delete_app(&self, id: &str) -> Outcome<()> {
        self.remove("to delete the Access application", self.in_account(&format!("access/apps/{id}"))).await
    }

    /// Lets this service token in, and nobody else.
    pub async fn make_policy(&self, app: &str, token: &str) -> Outcome<String> {
        let path = self.in_account(&format!("access/apps/{app}/policies"));
        let body = json!({ "name": "Foreman", "decision": "non_identity", "include": include(token) });
        self.call::<Named>("the Access policy", Method::POST, path, Some(body)).await.map(|made| made.id)
    }

    pub async fn has_policy(&self, app: &str, id: &str, token: &str) -> Outcome<bool> {
        let path = self.in_account(&format!("access/apps/{app}/policies/{id}"));
        let found = self.find("the Access policy", path).await?;
        Ok(found.is_some_and(|policy| {
            policy["decision"] == "non_identity" && policy["include"] == include(token)
        }))
    }

    /// Policies of the application that let in somebody else than `ours`: whoever adds one opens the device.
    pub async fn other_policies(&self, app: &str, ours: Option<&str>) -> Outcome<Vec<OtherPolicy>> {
        let path = self.in_account(&format!("access/apps/{app}/policies"));
        let all = self.list("the Access policies", path).await?;
        let opens = all.iter().filter(|policy| policy["decision"] != "deny");
        let others = opens.filter_map(|policy| {
            let id = policy["id"].as_str().filter(|id| Some(*id) != ours)?.to_owned();
            let name = policy["name"].as_str().unwrap_or(&id).to_owned();
            Some(OtherPolicy { name, shared: policy["reusable"] == true, id })
        });
        Ok(others.collect())
    }

    pub async fn delete_policy(&self, app: &str, id: &str) -> Outcome<()> {
        let path = self.in_account(&format!("access/apps/{app}/policies/{id}"));
        self.remove("to delete the Access policy", path).await
    }

    /// `name` goes into the record's comment: what tells it from one that somebody made by hand.
    pub async fn make_record(&self, name: &str, hostname: &str, tunnel: &str) -> Outcome<String> {
        let body = json!({
            "type": "CNAME", "name": hostname, "content": format!("{tunnel}.cfargotunnel.com"),
            "proxied": true, "ttl": 1, "comment": name,
        });
        self.call::<Named>("the DNS record", Method::POST, self.in_zone("dns_records"), Some(body))
            .await
            .map(|made| made.id)
    }

    pub async fn has_record(&self, id: &str, hostname: &str, tunnel: &str) -> Outcome<bool> {
        let found = self.find("the DNS record", self.in_zone(&format!("dns_records/{id}"))).await?;
        Ok(found.is_some_and(|record| {
            record["name"] == hostname
                && record["proxied"] == true
                && record["content"] == format!("{tunnel}.cfargotunnel.com")
        }))
    }

    pub async fn delete_record(&self, id: &str) -> Outcome<()> {
        self.remove("to delete the DNS record", self.in_zone(&format!("dns_records/{id}"))).await
    }

    /// Removes what an attempt made that ended before its ids were written down, by the name it gave to everything.
    pub async fn clear(&self, name: &str, hostname: &str) -> Outcome<()> {
        let records = self.list("DNS records", self.in_zone(&format!("dns_records?name={hostname}"))).await?;
        for id in ids(&records, "comment", name) {
            self.delete_record(&id).await?;
        }
        let apps = self.list("Access applications", self.in_account("access/apps?per_page=1000")).await?;
        for id in ids(&apps, "name", name) {
            self.delete_app(&id).await?;
        }
        let tokens =
            self.list("service tokens", self.in_account("access/service_tokens?per_page=1000")).await?;
        for id in ids(&tokens, "name", name) {
            self.delete_service_token(&id).await?;
        }
        let tunnels = self.in_account(&format!("cfd_tunnel?name={name}&is_deleted=false"));
        for id in ids(&self.list("tunnels", tunnels).await?, "name", name) {
            self.delete_tunnel(&id).await?;
        }
        Ok(())
    }

    async fn list(&self, what: &'static str, path: String) -> Outcome<Vec<Value>> {
        self.call(what, Method::GET, path, None).await
    }
}

/// One that does not say when it ends does not end.
fn standing(token: &Value, now: SystemTime) -> TokenStanding {
    let ends = token["expires_at"].as_str().and_then(|text| humantime::parse_rfc3339(text).ok());
    match ends.map(|ends| ends.duration_since(now)) {
        None => TokenStanding::Good,
        Some(Ok(left)) if left > RENEW_AHEAD => TokenStanding::Good,
        Some(Ok(_)) => TokenStanding::Ending,
        Some(Err(_)) => TokenStanding::Gone,
    }
}

/// Of those whose `field` says exactly this.
fn ids(items: &[Value], field: &str, says: &str) -> Vec<String> {
    let ours = items.iter().filter(|item| item[field] == says);
    ours.filter_map(|item| item["id"].as_str().map(str::to_owned)).collect()
}

fn ingress(hostname: &str, target: &str) -> Value {
    json!({ "ingress": [{ "hostname": hostname, "service": target }, { "service": "http_status:404" }] })
}

fn include(token: &str) -> Value {
    json!([{ "service_token": { "token_id": token } }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_prolonged_ahead_of_its_end_and_of_no_use_after_it() {
        let at = |text: &str| humantime::parse_rfc3339(text).unwrap();
        let token = json!({ "expires_at": "2027-01-01T05:20:00.12345Z" });
        for (now, stands) in [
            ("2026-01-01T00:00:00Z", TokenStanding::Good),
            ("2026-12-01T00:00:00Z", TokenStanding::Ending),
            ("2027-01-01T05:20:00Z", TokenStanding::Ending),
            ("2027-01-01T05:20:01Z", TokenStanding::Gone),
        ] {
            assert_eq!(standing(&token, at(now)), stands, "{now}");
        }
        for forever in [json!({}), json!({ "expires_at": null }), json!({ "expires_at": "who knows" })] {
            assert_eq!(standing(&forever, at("2099-01-01T00:00:00Z")), TokenStanding::Good);
        }
    }
}
