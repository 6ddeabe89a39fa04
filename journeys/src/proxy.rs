//! A company's HTTP proxy: the only way out of a network. It tunnels with `CONNECT` and forwards plain requests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

/// What went through: `CONNECT host:port` for a tunnel, `GET http://…` for a plain request.
#[derive(Clone, Default)]
pub struct Passed(Arc<Mutex<Vec<String>>>);

impl Passed {
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// What it does with what is asked of it.
#[derive(Clone)]
pub struct Proxy {
    passed: Passed,
    outside: reqwest::Client,
    leads: Option<HashMap<String, String>>,
    wants: Option<String>,
}

impl Proxy {
    /// Lets everybody through to everywhere.
    ///
    /// # Panics
    /// When there is no client to be had for what is asked in clear.
    #[must_use]
    pub fn new(passed: Passed) -> Self {
        foreman_link::http::install_crypto_provider();
        let outside = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { passed, outside: outside.build().expect("a client"), leads: None, wants: None }
    }

    /// Tunnels to nowhere but here: this `host:port`, which it alone knows, is found at that address.
    #[must_use]
    pub fn leading(mut self, place: &str, to: &str) -> Self {
        self.leads.get_or_insert_default().insert(place.to_owned(), to.to_owned());
        self
    }

    /// Tunnels for nobody but who has this name and password.
    #[must_use]
    pub fn wanting(mut self, name: &str, password: &str) -> Self {
        self.wants = Some(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))));
        self
    }

    /// Serves for as long as it is polled.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn serve(self, listener: TcpListener) {
        let router = Router::new().fallback(pass).with_state(self);
        axum::serve(listener, router).await.expect("it serves");
    }

    fn knows(&self, request: &Request) -> bool {
        let shown = request.headers().get(header::PROXY_AUTHORIZATION);
        self.wants.as_ref().is_none_or(|wanted| shown.is_some_and(|shown| shown == wanted))
    }
}

/// Serves for as long as it is polled, in the network where it is polled.
///
/// # Panics
/// When it cannot listen there.
pub async fn serve(address: String, passed: Passed) {
    let listener = TcpListener::bind(address).await.expect("its address is free");
    Proxy::new(passed).serve(listener).await;
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    proxy.passed.add(format!("{} {}", request.method(), request.uri()));
    if *request.method() == Method::CONNECT {
        return match proxy.knows(&request) {
            true => tunnel(&proxy, request).await,
            false => StatusCode::PROXY_AUTHENTICATION_REQUIRED.into_response(),
        };
    }
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    for own in [header::CONNECTION, header::HOST, header::PROXY_AUTHORIZATION, header::TRANSFER_ENCODING] {
        headers.remove(own);
    }
    let asked = proxy.outside.request(parts.method, parts.uri.to_string()).headers(headers);
    match asked.body(reqwest::Body::wrap_stream(body.into_data_stream())).send().await {
        Ok(answer) => {
            let mut passed = Response::new(Body::empty());
            *passed.status_mut() = answer.status();
            passed.headers_mut().clone_from(answer.headers());
            passed.headers_mut().remove(header::TRANSFER_ENCODING);
            *passed.body_mut() = Body::from_stream(answer.bytes_stream());
            passed
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn tunnel(proxy: &Proxy, request: Request) -> Response {
    let Some(asked) = request.uri().authority().map(ToString::to_string) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let place = match &proxy.leads {
        Some(leads) => leads.get(&asked).cloned(),
        None => Some(asked),
    };
    let Some(place) = place else { return StatusCode::BAD_GATEWAY.into_response() };
    let Ok(mut far) = TcpStream::connect(&place).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    tokio::spawn(async move {
        let Ok(near) = hyper::upgrade::on(request).await else { return };
        let _ = copy_bidirectional(&mut TokioIo::new(near), &mut far).await;
    });
    StatusCode::OK.into_response()
}
