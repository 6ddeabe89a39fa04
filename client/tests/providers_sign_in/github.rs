//! GitHub's device flow as its documentation describes it, with every shape that a poll can be answered in.
//!
//! Source: <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow>. A
//! contract test: it shows that we speak what is published, not that GitHub agrees.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::time::Instant;

pub const TOKEN: &str = "gho_token-of-the-test";
pub const DEVICE_CODE: &str = "device-code-of-the-test";

#[derive(Default)]
struct Inner {
    answers: VecDeque<(StatusCode, String)>,
    polls: Vec<Instant>,
    expires_in: u64,
}

/// Answers polls in the order given, then with a token.
#[derive(Clone)]
pub struct GitHub {
    inner: Arc<Mutex<Inner>>,
    url: String,
}

impl GitHub {
    pub async fn start(answers: Vec<(StatusCode, Value)>) -> Self {
        let answers = answers.into_iter().map(|(status, body)| (status, body.to_string())).collect();
        Self::start_raw(answers, 900).await
    }

    pub async fn start_raw(answers: VecDeque<(StatusCode, String)>, expires_in: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Mutex::new(Inner { answers, polls: Vec::new(), expires_in }));
        let stub = Self { inner, url };
        let router = Router::new()
            .route("/login/device/code", post(code))
            .route("/login/oauth/access_token", post(token))
            .with_state(stub.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stub
    }

    pub fn oauth(&self) -> Value {
        json!({
            "flow": "device",
            "device_authorization_endpoint": format!("{}/login/device/code", self.url),
            "token_endpoint": format!("{}/login/oauth/access_token", self.url),
            "client_id": "Ov23-of-the-test",
            "scopes": ["read:user"],
        })
    }

    /// Seconds between the polls, the first since `began`.
    pub fn gaps(&self, began: Instant) -> Vec<u64> {
        let polls = self.inner.lock().unwrap().polls.clone();
        let before = std::iter::once(began).chain(polls.iter().copied());
        before.zip(&polls).map(|(before, at)| at.duration_since(before).as_secs()).collect()
    }
}

type Fields = HashMap<String, String>;

async fn code(State(stub): State<GitHub>, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let asked = headers.get("accept").is_some_and(|accept| accept == "application/json");
    if !asked || fields.get("scope").map(String::as_str) != Some("read:user") {
        return StatusCode::NOT_FOUND.into_response();
    }
    Json(json!({
        "device_code": DEVICE_CODE,
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://github.com/login/device",
        "expires_in": stub.inner.lock().unwrap().expires_in,
        "interval": 5,
    }))
    .into_response()
}

async fn token(State(stub): State<GitHub>, Form(fields): Form<Fields>) -> Response {
    let mut inner = stub.inner.lock().unwrap();
    inner.polls.push(Instant::now());
    let right = fields.get("device_code").is_some_and(|code| code == DEVICE_CODE)
        && fields.get("client_id").is_some_and(|client| client == "Ov23-of-the-test")
        && fields
            .get("grant_type")
            .is_some_and(|grant| grant == "urn:ietf:params:oauth:grant-type:device_code");
    if !right {
        return Json(json!({ "error": "incorrect_device_code" })).into_response();
    }
    match inner.answers.pop_front() {
        Some((status, body)) => (status, body).into_response(),
        None => Json(json!({ "access_token": TOKEN, "token_type": "bearer", "scope": "read:user" }))
            .into_response(),
    }
}
