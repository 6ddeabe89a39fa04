//! The flows against a real OAuth server.

use std::time::Duration;

use foreman_client::{
    Returned,
    app::{
        AppLink,
        providers_sign_in::{ProviderSignInError, Revoked, SignInStep},
    },
};
use serde_json::Value;

use crate::{
    real::RealServer,
    scene::{Log, Scene, soon},
};

fn returned(link: &str) -> Returned {
    match AppLink::parse(link) {
        Ok(AppLink::Returned(returned)) => returned,
        other => panic!("{other:?}"),
    }
}

/// Signs in by the browser and answers the link of the return.
async fn signed_in(server: &mut RealServer, scene: &Scene) -> String {
    let (attempt, mut steps) = scene.begin();
    let Some(SignInStep::Browser(page)) = soon(steps.recv()).await else { panic!("no page") };
    let link = server.open(page.as_str()).await;
    scene.sign_ins.came_back(returned(&link)).unwrap();
    attempt.end().await.unwrap();
    link
}

fn kept(scene: &Scene) -> Value {
    let all = scene.secrets.all.lock().unwrap();
    serde_json::from_str(&all["provider-sign-in/tried"]).unwrap()
}

/// Asks the server itself with a refresh token.
async fn refresh(server: &RealServer, token: &str) -> u16 {
    let body = format!("grant_type=refresh_token&client_id=foreman-app&refresh_token={token}");
    let request = foreman_link::http::client().unwrap().post(format!("{}/token", server.issuer()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_code_is_typed_in_elsewhere() {
    let mut server = RealServer::start(3_600).await;
    let scene = Scene::of(server.oauth("device"));
    let (attempt, mut steps) = scene.begin();
    let Some(SignInStep::Code(shown)) = soon(steps.recv()).await else { panic!("no code") };
    assert!(shown.page_with_code.is_some());
    server.decide(&shown.code, true).await;
    attempt.end().await.unwrap();
    assert!(!scene.token().await.unwrap().is_empty());

    let (attempt, mut steps) = scene.begin();
    let Some(SignInStep::Code(shown)) = soon(steps.recv()).await else { panic!("no code") };
    server.decide(&shown.code, false).await;
    assert!(matches!(attempt.end().await, Err(ProviderSignInError::Denied)));
}

#[tokio::test]
async fn the_browser_comes_back_and_a_return_is_worth_something_once() {
    let log = Log::default();
    let _listening = log.listen();
    let mut server = RealServer::start(3_600).await;
    let scene = Scene::of(server.oauth("browser"));
    let (attempt, mut steps) = scene.begin();
    let Some(SignInStep::Browser(page)) = soon(steps.recv()).await else { panic!("no page") };
    // Somebody else's state ends nothing, and is not exchanged.
    let wrong = returned("foreman://provider-signed-in?code=stolen&state=somebody-elses");
    assert!(matches!(scene.sign_ins.came_back(wrong), Err(ProviderSignInError::WrongReturn)));
    let link = server.open(page.as_str()).await;
    scene.sign_ins.came_back(returned(&link)).unwrap();
    attempt.end().await.unwrap();
    let token = scene.token().await.unwrap();
    assert!(matches!(scene.sign_ins.came_back(returned(&link)), Err(ProviderSignInError::WrongReturn)));
    assert_eq!(scene.token().await.unwrap(), token, "a replayed return changes nothing");

    // The same code in an attempt of its own is refused by the server.
    let (attempt, mut steps) = scene.begin();
    let Some(SignInStep::Browser(page)) = soon(steps.recv()).await else { panic!("no page") };
    let (_, state) = page.query_pairs().find(|(name, _)| name == "state").unwrap();
    let code = link.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let replay = format!("foreman://provider-signed-in?code={code}&state={state}");
    scene.sign_ins.came_back(returned(&replay)).unwrap();
    assert!(matches!(attempt.end().await, Err(ProviderSignInError::Refused { .. })));

    // A return that names another issuer is not exchanged.
    let (attempt, mut steps) = scene.begin();
    let Some(SignInStep::Browser(page)) = soon(steps.recv()).await else { panic!("no page") };
    let link = server.open(page.as_str()).await.split("&iss=").next().unwrap().to_owned();
    let other = format!("{link}&iss=https%3A%2F%2Fevil.example");
    scene.sign_ins.came_back(returned(&other)).unwrap();
    assert!(matches!(attempt.end().await, Err(ProviderSignInError::WrongReturn)));

    let (attempt, mut steps) = scene.begin();
    let Some(SignInStep::Browser(page)) = soon(steps.recv()).await else { panic!("no page") };
    let (_, state) = page.query_pairs().find(|(name, _)| name == "state").unwrap();
    let denied = format!("foreman://provider-signed-in?error=access_denied&state={state}");
    scene.sign_ins.came_back(returned(&denied)).unwrap();
    assert!(matches!(attempt.end().await, Err(ProviderSignInError::Denied)));

    let secret = kept(&scene);
    for secret in
        [token.as_str(), code, secret["refresh"].as_str().unwrap(), secret["access"].as_str().unwrap()]
    {
        assert!(!secret.is_empty() && !log.text().contains(secret), "a secret is in the log");
    }
}

#[tokio::test]
async fn a_refresh_token_is_renewed_with_its_token_and_both_are_taken_back() {
    let mut server = RealServer::start(60).await;
    let scene = Scene::of(server.oauth("browser"));
    signed_in(&mut server, &scene).await;
    let before = kept(&scene);
    let token = scene.token().await.unwrap();
    assert_eq!(before["access"], token.as_str());
    scene.pass(Duration::from_secs(50));
    // Ahead of its end, and once for all who ask.
    let asking = (0..32).map(|_| {
        let (sign_ins, id) = (scene.sign_ins.clone(), scene.id.clone());
        tokio::spawn(async move { sign_ins.token(&id).await.unwrap().to_string() })
    });
    let tokens = futures_util::future::join_all(asking).await;
    let renewed = scene.token().await.unwrap();
    assert!(renewed != token && tokens.into_iter().all(|one| one.unwrap() == renewed));
    let after = kept(&scene);
    assert_ne!(before["refresh"], after["refresh"]);
    assert_eq!(scene.again().token(&scene.id).await.unwrap().as_str(), renewed);

    assert_eq!(scene.sign_ins.sign_out(&scene.id).await.unwrap(), Revoked::Yes);
    assert_eq!(scene.secrets.text(), "{}");
    assert_eq!(refresh(&server, after["refresh"].as_str().unwrap()).await, 400);
}

#[tokio::test]
async fn a_sign_in_that_was_stolen_ends_for_both() {
    let mut server = RealServer::start(60).await;
    let scene = Scene::of(server.oauth("browser"));
    signed_in(&mut server, &scene).await;
    let stolen = kept(&scene)["refresh"].as_str().unwrap().to_owned();
    assert_eq!(refresh(&server, &stolen).await, 200);
    scene.pass(Duration::from_secs(50));
    assert!(matches!(scene.token().await, Err(ProviderSignInError::SignInAgain)));
    assert!(!scene.secrets.text().contains(&stolen));
    assert!(matches!(scene.token().await, Err(ProviderSignInError::SignInAgain)));
}
