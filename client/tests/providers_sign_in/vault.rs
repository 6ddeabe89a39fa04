//! Handing a token to a server: what is asked of its API of providers, when a token is renewed, and at the end.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use foreman_client::{
    Foreman,
    app::{ServerId, providers_sign_in::Handed},
};
use serde_json::{Value, json};

use crate::{renewal, scene::Scene};

const ID: &str = "0199aa00-0000-7000-8000-000000000000";

/// A server with room for one provider.
#[derive(Clone, Default)]
struct Server {
    calls: Arc<Mutex<Vec<(Method, Value)>>>,
    there: Arc<Mutex<bool>>,
}

impl Server {
    async fn start(&self) -> Foreman {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Foreman::new(&url, "a-bearer").unwrap()
    }

    fn last(&self) -> (Method, Value) {
        self.calls.lock().unwrap().last().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    assert!(path.starts_with("/api/v1/providers"), "{path}");
    let bytes = axum::body::to_bytes(request.into_body(), 1 << 16).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    server.calls.lock().unwrap().push((method.clone(), body));
    let mut there = server.there.lock().unwrap();
    if method != Method::POST && !*there {
        let problem = json!({ "type": "urn:foreman:problem:not_found", "status": 404, "code": "not_found", "detail": "gone" });
        return (StatusCode::NOT_FOUND, Json(problem)).into_response();
    }
    *there = method != Method::DELETE;
    if method == Method::DELETE {
        return StatusCode::NO_CONTENT.into_response();
    }
    Json(json!({
        "id": ID, "kind": "openai_compatible", "auth": "oauth", "name": "tried", "found": false, "enabled": true,
        "is_default": false, "use_for": [], "health": { "state": "unknown" }, "created_at": 1,
    }))
    .into_response()
}

async fn handed(scene: &Scene) -> Option<Handed> {
    let all = scene.sign_ins.standings().await.unwrap();
    all.into_iter().find(|one| one.definition.id == scene.id).unwrap().handed
}

#[tokio::test]
async fn a_server_gets_the_token_each_newer_one_and_gives_it_back() {
    let (scene, _) = renewal::scene().await;
    let (stub, to) = (Server::default(), ServerId::fresh());
    let server = stub.start().await;
    scene.sign_ins.hand_over(&scene.id, &to, &server).await.unwrap();
    let (method, body) = stub.last();
    assert_eq!((method, body["key"].as_str()), (Method::POST, Some("access-1")));
    assert_eq!((body["auth"].as_str(), body["name"].as_str()), (Some("oauth"), Some("tried")));
    assert_eq!(body["base_url"], "https://api.example/v1");
    assert!(!body.to_string().contains("refresh"), "what renews it stays here");
    assert!(scene.sign_ins.renew_due().await.is_empty());

    scene.pass(Duration::from_secs(3_590));
    assert_eq!(scene.sign_ins.renew_due().await, [(scene.id.clone(), to.clone())]);
    // Until it was brought, it is still to be brought, also by an app that is started anew.
    assert_eq!(scene.again().renew_due().await.len(), 1);
    scene.sign_ins.bring_newer(&scene.id, &server).await.unwrap();
    let (method, body) = stub.last();
    assert_eq!((method, body["key"].as_str()), (Method::PATCH, Some("access-2")));
    assert!(scene.sign_ins.renew_due().await.is_empty());

    scene.sign_ins.take_back(&scene.id, &server).await.unwrap();
    assert_eq!(stub.last().0, Method::DELETE);
    assert_eq!(handed(&scene).await, None);
    assert_eq!(scene.token().await.unwrap(), "access-2", "it is still on this device");
}

#[tokio::test]
async fn a_provider_that_somebody_removed_on_the_server_stays_removed() {
    let (scene, _) = renewal::scene().await;
    let (stub, to) = (Server::default(), ServerId::fresh());
    let server = stub.start().await;
    scene.sign_ins.hand_over(&scene.id, &to, &server).await.unwrap();
    *stub.there.lock().unwrap() = false;
    scene.pass(Duration::from_secs(3_590));
    assert_eq!(scene.sign_ins.renew_due().await.len(), 1);
    scene.sign_ins.bring_newer(&scene.id, &server).await.unwrap();
    assert_eq!((stub.count(), stub.last().0), (2, Method::PATCH));
    assert_eq!(handed(&scene).await, None);
    assert!(scene.sign_ins.renew_due().await.is_empty());
    // Handing it over again is a person's wish.
    scene.sign_ins.hand_over(&scene.id, &to, &server).await.unwrap();
    assert_eq!(stub.last().0, Method::POST);
}
