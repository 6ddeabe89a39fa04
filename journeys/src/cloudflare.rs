//! Cloudflare's API, as far as tunnels need it: what it documents, with a memory, and able to fail on request.
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
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let cloudflare = Self { url, ..Self::default() };
        let router = Router::new().fallback(answer).with_state(cloudflare.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        cloudflare
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

    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.with(|inner| inner.calls.clone())
    }
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
            body["client_secret"] = json!(SERVICE_SECRET);
            body["expires_at"] = json!(ends_in(365));
        }
        self.things.insert(format!("{path}/{id}"), body.clone());
        done(&body)
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
