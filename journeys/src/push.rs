//! Those who carry pushes, as far as they document it, with a memory, and able to fail on request: a push service of
//! RFC 8030 with a browser behind it that decrypts by RFC 8291, ntfy, Apple's push service over HTTP/2, and Firebase
//! Cloud Messaging with Google's token endpoint.
//!
//! There is no vendor behind the tests, so this is a contract test: it shows that we speak what is published, not that
//! they agree. What is decrypted here is decrypted by another implementation than the one that sealed it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use hyper_util::{rt::TokioExecutor, rt::TokioIo, service::TowerToHyperService};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};
use web_push_native::{
    Auth,
    p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint},
};

use crate::{soon, stack::Setting};

/// What Google's token endpoint gives.
pub const ACCESS_TOKEN: &str = "access-token-of-the-test";

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
    pub version: axum::http::Version,
    pub at: std::time::Instant,
}

impl Pushed {
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

#[derive(Default)]
struct Inner {
    pushed: Vec<Pushed>,
    /// Answered next, before everything goes well again.
    answers: VecDeque<(u16, Option<u32>, String)>,
    /// The next request is answered when the other end of this is used or dropped.
    held: Option<oneshot::Receiver<()>>,
}

#[derive(Clone, Default)]
pub struct Carriers {
    inner: Arc<Mutex<Inner>>,
    /// HTTP/1.1.
    pub url: String,
    /// HTTP/2 only.
    pub apns: String,
}

impl Carriers {
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let (one, two) = (listener().await, listener().await);
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("bound"));
        let carriers = Self { url: address(&one), apns: address(&two), ..Self::default() };
        let router = Router::new().fallback(answer).with_state(carriers.clone());
        tokio::spawn({
            let router = router.clone();
            async move { axum::serve(one, router).await }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = two.accept().await {
                let service = TowerToHyperService::new(router.clone());
                let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serving);
            }
        });
        carriers
    }

    /// A server that may write to them.
    #[must_use]
    pub fn setting(&self, setting: Setting) -> Setting {
        setting.env("FOREMAN_PUSH_PRIVATE", "true")
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next request is answered so: a status, seconds of `Retry-After`, a body.
    pub fn answer_next(&self, status: u16, after: Option<u32>, body: &str) {
        self.with(|inner| inner.answers.push_back((status, after, body.to_owned())));
    }

    /// The next request waits for its answer until what this gives is dropped.
    #[must_use]
    pub fn hold_next(&self) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        self.with(|inner| inner.held = Some(held));
        release
    }

    /// Takes back what was to be answered.
    pub fn be_well(&self) {
        self.with(|inner| inner.answers.clear());
    }

    /// Everything that came, in order.
    #[must_use]
    pub fn all(&self) -> Vec<Pushed> {
        self.with(|inner| inner.pushed.clone())
    }

    /// Waits until this many requests came, and gives the last of them.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn nth(&self, count: usize) -> Pushed {
        soon("a push", async {
            loop {
                if let Some(pushed) = self.with(|inner| inner.pushed.get(count - 1).cloned()) {
                    return pushed;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

async fn answer(State(carriers): State<Carriers>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 16).await.unwrap_or_default();
    let headers = parts.headers.iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let pushed = Pushed {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        headers: headers.collect(),
        body,
        version: parts.version,
        at: std::time::Instant::now(),
    };
    let path = pushed.path.clone();
    let (planned, held) = carriers.with(|inner| {
        inner.pushed.push(pushed);
        (inner.answers.pop_front(), inner.held.take())
    });
    if let Some(held) = held {
        let _ = held.await;
    }
    if let Some((status, after, body)) = planned {
        let status = StatusCode::from_u16(status).expect("a status");
        let mut response = (status, body).into_response();
        if let Some(after) = after {
            response.headers_mut().insert("retry-after", after.into());
        }
        return response;
    }
    match path.as_str() {
        "/token" => axum::Json(json!({ "access_token": ACCESS_TOKEN, "expires_in": 3599 })).into_response(),
        path if path.starts_with("/push/") => StatusCode::CREATED.into_response(),
        _ => axum::Json(json!({})).into_response(),
    }
}

/// A browser's half of a subscription.
pub struct Browser {
    secret: SecretKey,
    auth: [u8; 16],
    pub endpoint: String,
}

impl Browser {
    /// # Panics
    /// When chance fails.
    #[must_use]
    pub fn subscribe(carriers: &Carriers, name: &str) -> Self {
        let secret = SecretKey::from_slice(&rand::random::<[u8; 32]>()).expect("a scalar");
        Self { secret, auth: rand::random(), endpoint: format!("{}/push/{name}", carriers.url) }
    }

    #[must_use]
    pub fn target(&self, kind: &str) -> Value {
        json!({
            "kind": kind,
            "endpoint": self.endpoint,
            "p256dh": BASE64_URL_SAFE_NO_PAD.encode(uncompressed(&self.secret)),
            "auth": self.auth(),
        })
    }

    #[must_use]
    pub fn auth(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.auth)
    }

    /// What was pushed, for this browser only.
    ///
    /// # Panics
    /// When it was not sealed for it.
    #[must_use]
    pub fn read(&self, pushed: &Pushed) -> Value {
        assert_eq!(pushed.headers["content-encoding"], "aes128gcm");
        let auth = Auth::from(self.auth);
        let plain =
            web_push_native::decrypt(pushed.body.to_vec(), &self.secret, &auth).expect("sealed for it");
        serde_json::from_slice(&plain).expect("JSON")
    }
}

fn uncompressed(secret: &SecretKey) -> Vec<u8> {
    secret.public_key().as_affine().to_encoded_point(false).as_bytes().to_vec()
}

/// Claims signed with ES256, checked with this key: base64url, uncompressed.
///
/// # Panics
/// When they are not.
#[must_use]
pub fn claims(token: &str, key: &[u8]) -> (Value, Value) {
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let (header, claims) = signed.split_once('.').expect("two parts");
    let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key);
    key.verify(signed.as_bytes(), &bytes(signature)).expect("signed with this key");
    let json = |text: &str| serde_json::from_slice(&bytes(text)).expect("JSON");
    (json(header), json(claims))
}

/// The claims of a `vapid` header, checked with the key beside them, which is given too.
///
/// # Panics
/// When they are not so.
#[must_use]
pub fn vapid(pushed: &Pushed) -> (Value, String) {
    let header = pushed.headers["authorization"].strip_prefix("vapid ").expect("vapid");
    let part = |name: &str| {
        let mut parts = header.split(", ");
        parts.find_map(|part| part.strip_prefix(name)).expect("both parts").to_owned()
    };
    let key = part("k=");
    let (_, claims) = claims(&part("t="), &BASE64_URL_SAFE_NO_PAD.decode(&key).expect("base64url"));
    (claims, key)
}
