//! A company's HTTP proxy: the only way out of a network. It tunnels with `CONNECT` and forwards plain requests.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
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

#[derive(Clone)]
struct Proxy {
    passed: Passed,
    outside: reqwest::Client,
}

/// Serves for as long as it is polled, in the network where it is polled.
///
/// # Panics
/// When it cannot listen there.
pub async fn serve(address: String, passed: Passed) {
    foreman_link::http::install_crypto_provider();
    let outside = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let proxy = Proxy { passed, outside: outside.build().expect("a client") };
    let router = Router::new().fallback(pass).with_state(proxy);
    let listener = TcpListener::bind(address).await.expect("its address is free");
    axum::serve(listener, router).await.expect("it serves");
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    proxy.passed.add(format!("{} {}", request.method(), request.uri()));
    if *request.method() == Method::CONNECT {
        return tunnel(request).await;
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

async fn tunnel(request: Request) -> Response {
    let Some(place) = request.uri().authority().map(ToString::to_string) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(mut far) = TcpStream::connect(&place).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    tokio::spawn(async move {
        let Ok(near) = hyper::upgrade::on(request).await else { return };
        let _ = copy_bidirectional(&mut TokioIo::new(near), &mut far).await;
    });
    StatusCode::OK.into_response()
}
