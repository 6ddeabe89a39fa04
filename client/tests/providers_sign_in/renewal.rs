//! Renewing, when the provider or the keychain is in trouble.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use foreman_client::app::providers_sign_in::{ProviderSignInError, SignInStep};
use serde_json::json;

use crate::scene::{Scene, later, soon};

/// Gives `access-N` with `refresh-N`, each refresh token once; fails so often as it is told.
#[derive(Clone, Default)]
pub struct Rotating {
    given: Arc<AtomicUsize>,
    failing: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

async fn token(State(stub): State<Rotating>, Form(fields): Form<Vec<(String, String)>>) -> Response {
    stub.asked.fetch_add(1, SeqCst);
    let refresh = fields.iter().find(|(name, _)| name == "refresh_token").map(|(_, value)| value.clone());
    if refresh.is_some() && stub.failing.load(SeqCst) > 0 {
        stub.failing.fetch_sub(1, SeqCst);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let given = stub.given.load(SeqCst);
    if refresh.is_some_and(|refresh| refresh != format!("refresh-{given}")) {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))).into_response();
    }
    let next = stub.given.fetch_add(1, SeqCst) + 1;
    Json(json!({ "access_token": format!("access-{next}"), "refresh_token": format!("refresh-{next}"), "expires_in": 3600 }))
        .into_response()
}

pub async fn scene() -> (Scene, Rotating) {
    let stub = Rotating::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/token", post(token)).with_state(stub.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let scene = Scene::of(json!({
        "flow": "browser",
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "client_id": "c",
    }));
    let (attempt, mut steps) = scene.begin();
    let Some(SignInStep::Browser(page)) = soon(steps.recv()).await else { panic!("no page") };
    let (_, state) = page.query_pairs().find(|(name, _)| name == "state").unwrap();
    let url = format!("foreman://provider-signed-in?code=c&state={state}");
    let Ok(foreman_client::app::AppLink::Returned(back)) = foreman_client::app::AppLink::parse(&url) else {
        panic!("no return")
    };
    scene.sign_ins.came_back(back).unwrap();
    attempt.end().await.unwrap();
    (scene, stub)
}

#[tokio::test]
async fn a_provider_in_trouble_costs_nothing_while_the_token_lives() {
    let (scene, stub) = scene().await;
    stub.failing.store(2, SeqCst);
    scene.pass(Duration::from_secs(3_500));
    assert_eq!(scene.token().await.unwrap(), "access-1");
    let asked = stub.asked.load(SeqCst);
    assert_eq!(scene.token().await.unwrap(), "access-1");
    assert_eq!(stub.asked.load(SeqCst), asked, "it is not asked again at once");
    later(Duration::from_secs(6)).await;
    scene.pass(Duration::from_secs(200));
    assert!(matches!(scene.token().await, Err(ProviderSignInError::Unreachable { .. })));
    later(Duration::from_secs(6)).await;
    assert_eq!(scene.token().await.unwrap(), "access-2");
}

#[tokio::test]
async fn a_keychain_that_is_locked_meanwhile_does_not_lose_a_rotated_token() {
    let (scene, _) = scene().await;
    scene.pass(Duration::from_secs(3_590));
    scene.secrets.locked.store(true, SeqCst);
    assert_eq!(scene.token().await.unwrap(), "access-2");
    scene.secrets.locked.store(false, SeqCst);
    assert!(scene.secrets.text().contains("access-1"), "nothing new was kept yet");
    assert_eq!(scene.token().await.unwrap(), "access-2");
    assert!(scene.secrets.text().contains("refresh-2"));
    scene.pass(Duration::from_secs(3_590));
    assert_eq!(scene.again().token(&scene.id).await.unwrap().as_str(), "access-3");
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_a_renewal() {
    let (scene, stub) = scene().await;
    scene.pass(Duration::from_secs(3_590));
    let asked = tokio::spawn({
        let (sign_ins, id) = (scene.sign_ins.clone(), scene.id.clone());
        async move { sign_ins.token(&id).await.map(drop) }
    });
    tokio::task::yield_now().await;
    asked.abort();
    assert_eq!(scene.token().await.unwrap(), "access-2");
    assert_eq!(stub.given.load(SeqCst), 2);
}

#[tokio::test]
async fn a_clock_that_was_set_wrong_costs_one_renewal() {
    let (scene, stub) = scene().await;
    scene.clock.store(1_500_000_000_000, SeqCst);
    assert_eq!(scene.token().await.unwrap(), "access-2");
    assert_eq!(scene.token().await.unwrap(), "access-2");
    scene.clock.store(1_900_000_000_000, SeqCst);
    assert_eq!(scene.token().await.unwrap(), "access-3");
    assert_eq!(stub.given.load(SeqCst), 3);
}
