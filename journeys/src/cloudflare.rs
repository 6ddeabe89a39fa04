//! Cloudflare's API, as far as tunnels need it: what it documents, with a memory, and able to fail on request; and what
//! its edge makes of a request to a name that was made there.
//!
//! Source: <https://developers.cloudflare.com/api/>. There is no account behind the tests, so this is a contract
//! test: it shows that we speak what is published, not that Cloudflare agrees.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

pub const TOKEN: &str = "cloudflare-api-token-of-the-test";
/// The secret of each service token begins so.
pub const SERVICE_SECRET: &str = "service-token-secret-of-the-test";
pub const TUNNEL_TOKEN: &str = "tunnel-token-of-the-test";

/// Everything that exists, by its address: `/accounts/a/cfd_tunnel/<id>`.
#[derive(Default)]
struct Inner {
    things: BTreeMap<String, Value>,
    calls: Vec<String>,
    made: u32,
    /// The next call of this method whose path holds this text fails so often.
    failing: Option<(Method, String, u32)>,
}

#[derive(Clone, Default)]
pub struct Cloudflare {
    inner: Arc<Mutex<Inner>>,
    pub url: String,
}

impl Cloudflare {
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let cloudflare = Self::at(&listener.local_addr().expect("bound").to_string());
        tokio::spawn(cloudflare.clone().serve(listener));
        cloudflare
    }

    /// One that is to be served at `host:port`.
    #[must_use]
    pub fn at(place: &str) -> Self {
        Self { url: format!("http://{place}"), ..Self::default() }
    }

    /// # Panics
    /// When it cannot.
    pub async fn serve(self, listener: tokio::net::TcpListener) {
        let router = Router::new().fallback(answer).with_state(self);
        axum::serve(listener, router).await.expect("it serves");
    }

    /// What becomes of a request to a name, whose caller shows the id and the secret of a service token, or none.
    ///
    /// Source: <https://developers.cloudflare.com/cloudflare-one/> (Access: service tokens, policies; tunnels: ingress).
    #[must_use]
    pub fn at_the_edge(&self, hostname: &str, shown: Option<(&str, &str)>) -> AtTheEdge {
        self.with(|inner| {
            let Some(service) = inner.leads(hostname) else { return AtTheEdge::Nowhere };
            // A name that no application guards is open to everybody.
            let open = inner.guards(hostname).all(|guard| inner.admits(guard, shown));
            if open { AtTheEdge::Through(service) } else { AtTheEdge::Shut }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What exists whose address holds this text.
    #[must_use]
    pub fn all(&self, part: &str) -> Vec<Value> {
        self.with(|inner| {
            inner.things.iter().filter(|(path, _)| path.contains(part)).map(|(_, v)| v.clone()).collect()
        })
    }

    /// How many things there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.with(|inner| inner.things.len())
    }

    pub fn fail(&self, method: Method, part: &str, times: u32) {
        self.with(|inner| inner.failing = Some((method, part.to_owned(), times)));
    }

    /// What an attempt leaves behind that ended before anybody wrote down what it had made.
    pub fn leave_behind(&self, account: &str, zone: &str, name: &str, hostname: &str) {
        let of_account = |kind: &str| format!("/accounts/{account}/{kind}");
        self.with(|inner| {
            inner.make(&of_account("cfd_tunnel"), "cfd_tunnel", json!({ "name": name }));
            inner.make(&of_account("access/service_tokens"), "service_tokens", json!({ "name": name }));
            inner.make(&of_account("access/apps"), "apps", json!({ "name": name, "domain": hostname }));
            let record = json!({ "name": hostname, "comment": name });
            inner.make(&format!("/zones/{zone}/dns_records"), "dns_records", record);
        });
    }

    /// Somebody clicks in the dashboard.
    pub fn remove(&self, part: &str) {
        self.with(|inner| inner.things.retain(|path, _| !path.contains(part)));
    }

    /// Somebody changes one field of everything at such an address.
    pub fn change(&self, part: &str, field: &str, value: &Value) {
        self.with(|inner| {
            for (_, thing) in inner.things.iter_mut().filter(|(path, _)| path.contains(part)) {
                thing[field] = value.clone();
            }
        });
    }

    /// Somebody adds a policy to every application: one that lets everyone in.
    pub fn open_to_everyone(&self) {
        self.with(|inner| {
            let apps: Vec<String> =
                inner.things.keys().filter(|at| at.contains("/apps/") && !at.contains("/policies/")).cloned().collect();
            for app in apps {
                let policy = json!({ "id": "by-hand", "name": "open", "decision": "bypass", "include": [{ "everyone": {} }] });
                inner.things.insert(format!("{app}/policies/by-hand"), policy);
            }
        });
    }

    /// Somebody attaches a policy of the account to every application. Source: the API's reference, Access reusable
    /// policies: an application lists them among its own, and they are deleted as the account's alone.
    pub fn attach_account_policy(&self, name: &str) {
        self.with(|inner| {
            let at = |path: &&String| path.contains("/apps/") && !path.contains("/policies/");
            let apps: Vec<String> = inner.things.keys().filter(at).cloned().collect();
            for app in apps {
                let include = json!([{ "email_domain": { "domain": "example.com" } }]);
                let policy = json!({ "id": "shared", "name": name, "decision": "allow", "reusable": true, "include": include });
                inner.things.insert(format!("{app}/policies/shared"), policy);
            }
        });
    }

    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.with(|inner| inner.calls.clone())
    }
}

/// See [`Cloudflare::at_the_edge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtTheEdge {
    /// To this service on the tunnel's machine: `http://localhost:9981`.
    Through(String),
    /// Access wants somebody to sign in.
    Shut,
    /// No tunnel has this name.
    Nowhere,
}

/// What a token says that ends in so many days, or ended so many ago.
///
/// # Panics
/// When the system cannot tell the date.
#[must_use]
pub fn ends_in(days: i32) -> String {
    let asked = ["-u".to_owned(), format!("--date={days} days"), "+%Y-%m-%dT%H:%M:%SZ".to_owned()];
    let said = std::process::Command::new("date").args(asked).output().expect("date runs");
    String::from_utf8(said.stdout).expect("a date").trim().to_owned()
}

fn done(result: &Value) -> Response {
    Json(json!({ "success": true, "errors": [], "messages": [], "result": result })).into_response()
}

fn refused(status: StatusCode, code: u32, message: &str) -> Response {
    let body = json!({ "success": false, "errors": [{ "code": code, "message": message }], "messages": [], "result": null });
    (status, Json(body)).into_response()
}

async fn answer(
    State(cloudflare): State<Cloudflare>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let authorised =
        request.headers().get("authorization").is_some_and(|value| *value == format!("Bearer {TOKEN}"));
    if !authorised {
        return refused(StatusCode::FORBIDDEN, 9109, "Unauthorized to access requested resource");
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    cloudflare.with(|inner| {
        inner.calls.push(format!("{method} {path}"));
        if let Some((failing, part, times)) = &mut inner.failing
            && *failing == method
            && path.contains(part.as_str())
            && *times > 0
        {
            *times -= 1;
            return refused(StatusCode::INTERNAL_SERVER_ERROR, 1001, "Internal error");
        }
        inner.serve(&method, &path, &query, body)
    })
}

impl Inner {
    fn serve(
        &mut self,
        method: &Method,
        path: &str,
        query: &BTreeMap<String, String>,
        body: Value,
    ) -> Response {
        let last = path.rsplit('/').next().unwrap_or_default();
        // What belongs to something is not made once that is gone.
        let policies = path.strip_suffix("/policies").filter(|app| app.contains("/apps/"));
        let owner = path.strip_suffix("/configurations").or(policies);
        if owner.is_some_and(|owner| !self.things.contains_key(owner)) && method != Method::GET {
            return refused(StatusCode::NOT_FOUND, 1003, "not found");
        }
        let collection = ["cfd_tunnel", "dns_records", "apps", "policies", "service_tokens"].contains(&last);
        match (method, collection) {
            (&Method::POST, true) => self.make(path, last, body),
            (&Method::GET, true) => self.list(path, query),
            (&Method::POST, _) if last == "refresh" => {
                match self.things.get_mut(path.trim_end_matches("/refresh")) {
                    Some(token) => {
                        token["expires_at"] = json!(ends_in(365));
                        done(token)
                    }
                    None => refused(StatusCode::NOT_FOUND, 1003, "not found"),
                }
            }
            (&Method::PUT, _) if last == "configurations" => {
                self.things.insert(path.to_owned(), body);
                done(&json!({}))
            }
            (&Method::GET, _) if last == "token" => match self.things.get(path.trim_end_matches("/token")) {
                Some(_) => done(&json!(TUNNEL_TOKEN)),
                None => refused(StatusCode::NOT_FOUND, 1003, "Tunnel not found"),
            },
            (&Method::GET, _) => match self.things.get(path) {
                Some(thing) => {
                    let mut shown = thing.clone();
                    // A secret is shown once.
                    if let Some(fields) = shown.as_object_mut() {
                        fields.remove("client_secret");
                    }
                    done(&shown)
                }
                None => refused(StatusCode::NOT_FOUND, 1003, "not found"),
            },
            (&Method::DELETE, _) if self.things.get(path).is_some_and(|thing| thing["reusable"] == true) => {
                refused(StatusCode::BAD_REQUEST, 12130, "access.api.error.invalid_request")
            }
            (&Method::DELETE, _) if self.things.contains_key(path) => {
                let beneath = format!("{path}/");
                self.things.retain(|at, _| at != path && !at.starts_with(&beneath));
                done(&json!({ "id": last }))
            }
            _ => refused(StatusCode::NOT_FOUND, 1003, "not found"),
        }
    }

    fn make(&mut self, path: &str, kind: &str, mut body: Value) -> Response {
        let taken = match kind {
            "dns_records" => self.has(path, "name", &body["name"]),
            "cfd_tunnel" | "service_tokens" => self.has(path, "name", &body["name"]),
            _ => false,
        };
        if taken {
            return refused(StatusCode::CONFLICT, 1013, "You already have one with this name");
        }
        if kind == "policies" && !self.things.contains_key(path.trim_end_matches("/policies")) {
            return refused(StatusCode::NOT_FOUND, 12130, "access.api.error.application_not_found");
        }
        self.made += 1;
        let id = format!("{kind}-{}", self.made);
        body["id"] = json!(id);
        if kind == "service_tokens" {
            body["client_id"] = json!(format!("{id}.access"));
            body["client_secret"] = json!(format!("{SERVICE_SECRET}-{}", self.made));
            body["expires_at"] = json!(ends_in(365));
        }
        self.things.insert(format!("{path}/{id}"), body.clone());
        done(&body)
    }

    /// What the tunnel that has this name does with it, by its record and its ingress.
    fn leads(&self, hostname: &str) -> Option<String> {
        let named = |thing: &&Value| thing["name"] == hostname && thing["proxied"] == true;
        let record = self.kind("/dns_records/").find(named)?;
        let tunnel = record["content"].as_str()?.strip_suffix(".cfargotunnel.com")?;
        let (_, tunnel) = self
            .things
            .iter()
            .find(|(at, _)| at.ends_with(&format!("/cfd_tunnel/{tunnel}/configurations")))?;
        let rules = tunnel["config"]["ingress"].as_array()?;
        let rule = rules.iter().find(|rule| rule["hostname"].is_null() || rule["hostname"] == hostname)?;
        rule["service"].as_str().filter(|service| service.starts_with("http://")).map(str::to_owned)
    }

    fn kind(&self, part: &'static str) -> impl Iterator<Item = &Value> {
        self.things.iter().filter(move |(at, _)| at.contains(part)).map(|(_, thing)| thing)
    }

    /// The applications before a name, by their address.
    fn guards(&self, hostname: &str) -> impl Iterator<Item = &str> {
        let apps = self.things.iter().filter(|(at, _)| at.contains("/apps/") && !at.contains("/policies/"));
        apps.filter(move |(_, app)| app["domain"] == hostname).map(|(at, _)| at.as_str())
    }

    /// Whether a policy of the application lets in whoever shows this.
    fn admits(&self, app: &str, shown: Option<(&str, &str)>) -> bool {
        let good = |token: &&Value| {
            let is_shown = shown
                .is_some_and(|(id, secret)| token["client_id"] == id && token["client_secret"] == secret);
            // Both are written alike, so the later one is the greater text.
            is_shown && token["expires_at"].as_str() > Some(ends_in(0).as_str())
        };
        let shown = self.kind("/service_tokens/").find(good).map(|token| token["id"].clone());
        self.direct(&format!("{app}/policies")).any(|policy| match policy["decision"].as_str() {
            Some("bypass") => true,
            Some("non_identity") => {
                let includes = policy["include"].as_array().into_iter().flatten();
                shown
                    .as_ref()
                    .is_some_and(|id| includes.clone().any(|one| one["service_token"]["token_id"] == *id))
            }
            _ => false,
        })
    }

    fn has(&self, path: &str, field: &str, value: &Value) -> bool {
        self.direct(path).any(|thing| &thing[field] == value)
    }

    fn direct(&self, path: &str) -> impl Iterator<Item = &Value> {
        let prefix = format!("{path}/");
        let direct = move |at: &str| at.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'));
        self.things.iter().filter(move |(at, _)| direct(at)).map(|(_, thing)| thing)
    }

    fn list(&self, path: &str, query: &BTreeMap<String, String>) -> Response {
        let named = |thing: &&Value| query.get("name").is_none_or(|name| thing["name"] == *name);
        let found: Vec<Value> = self.direct(path).filter(named).cloned().collect();
        done(&json!(found))
    }
}
