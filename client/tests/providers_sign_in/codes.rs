//! The device flow in all its shapes, in a time that is made to pass.

use axum::http::StatusCode;
use foreman_client::app::providers_sign_in::{ProviderSignInError, Revoked, SignInState, SignInStep};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    github::{DEVICE_CODE, GitHub, TOKEN},
    scene::{Log, Scene, hurry, soon},
};

const OK: StatusCode = StatusCode::OK;
const BAD: StatusCode = StatusCode::BAD_REQUEST;

async fn ends(
    answers: Vec<(StatusCode, serde_json::Value)>,
) -> (Scene, GitHub, Result<(), ProviderSignInError>) {
    let github = GitHub::start(answers).await;
    let scene = Scene::of(github.oauth());
    let end = hurry(scene.begin().0.end()).await;
    (scene, github, end)
}

#[tokio::test]
async fn waiting_is_said_with_200_and_with_400_and_slowing_down_is_honoured() {
    let log = Log::default();
    let _listening = log.listen();
    let waits = json!({ "error": "authorization_pending" });
    let github = GitHub::start(vec![
        (OK, waits.clone()),
        (BAD, waits),
        (OK, json!({ "error": "slow_down", "interval": 20 })),
        (BAD, json!({ "error": "slow_down" })),
        (StatusCode::BAD_GATEWAY, json!("nobody at home")),
    ])
    .await;
    let scene = Scene::of(github.oauth());
    let began = Instant::now();
    let (attempt, mut steps) = scene.begin();
    hurry(attempt.end()).await.unwrap();
    let gaps = github.gaps(began);
    let least = [5, 5, 5, 20, 25, 30];
    assert_eq!(gaps.len(), least.len());
    for (gap, least) in gaps.into_iter().zip(least) {
        // Steps are of a second, and nothing takes one of them that only computes.
        assert!((least..=least + 1).contains(&gap), "{gap} and not {least} or one more");
    }
    let Some(SignInStep::Code(shown)) = steps.recv().await else { panic!("no code was shown") };
    assert_eq!((shown.code.as_str(), shown.page.as_str()), ("WDJB-MJHT", "https://github.com/login/device"));
    assert_eq!(scene.token().await.unwrap(), TOKEN);
    // It lasts until it is taken back, also in an app that is started anew.
    assert_eq!(scene.again().token(&scene.id).await.unwrap().as_str(), TOKEN);
    assert!(scene.secrets.text().contains(TOKEN));
    assert_eq!(scene.sign_ins.sign_out(&scene.id).await.unwrap(), Revoked::NotOffered);
    assert!(!scene.secrets.text().contains(TOKEN));
    assert!(matches!(scene.token().await, Err(ProviderSignInError::SignedOut)));
    assert!(log.text().contains("127.0.0.1"), "the log heard the libraries");
    assert!(!log.text().contains(TOKEN) && !log.text().contains(DEVICE_CODE));
}

#[tokio::test]
async fn a_refusal_ends_it_and_nothing_is_kept() {
    for status in [OK, BAD] {
        let (scene, _, end) = ends(vec![(status, json!({ "error": "access_denied" }))]).await;
        assert!(matches!(end, Err(ProviderSignInError::Denied)), "{end:?}");
        assert_eq!(scene.secrets.text(), "{}");
        let (_, _, end) = ends(vec![(status, json!({ "error": "expired_token" }))]).await;
        assert!(matches!(end, Err(ProviderSignInError::Expired)), "{end:?}");
        let (_, _, end) = ends(vec![(status, json!({ "error": "device_flow_disabled" }))]).await;
        assert!(
            matches!(end, Err(ProviderSignInError::Refused { reason }) if reason == "device_flow_disabled")
        );
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_a_code_lives() {
    let waits = (OK, json!({ "error": "authorization_pending" }).to_string());
    let github = GitHub::start_raw(std::iter::repeat_n(waits, 100).collect(), 30).await;
    let scene = Scene::of(github.oauth());
    let began = Instant::now();
    let end = hurry(scene.begin().0.end()).await;
    assert!(matches!(end, Err(ProviderSignInError::Expired)), "{end:?}");
    assert!(github.gaps(began).len() <= 6);
    assert_eq!(scene.secrets.text(), "{}");
}

#[tokio::test]
async fn garbage_is_said_to_be_garbage() {
    for body in
        ["<html>", "[]", "{}", r#"{"access_token":7}"#, r#"{"access_token":"a\nb"}"#, "access_token=a"]
    {
        let github = GitHub::start_raw([(OK, body.to_owned())].into(), 900).await;
        let scene = Scene::of(github.oauth());
        let end = hurry(scene.begin().0.end()).await;
        assert!(matches!(end, Err(ProviderSignInError::Garbage { .. })), "{body}: {end:?}");
        assert_eq!(scene.secrets.text(), "{}");
    }
    let github = GitHub::start_raw([(OK, "x".repeat(1 << 20))].into(), 900).await;
    let end = hurry(Scene::of(github.oauth()).begin().0.end()).await;
    assert!(matches!(end, Err(ProviderSignInError::Garbage { .. })), "{end:?}");
}

#[tokio::test]
async fn an_attempt_can_be_given_up_and_a_second_one_ends_the_first() {
    let github = GitHub::start(Vec::new()).await;
    let scene = Scene::of(github.oauth());
    let (first, mut steps) = scene.begin();
    soon(steps.recv()).await.unwrap();
    let standing = |all: Vec<foreman_client::app::providers_sign_in::Standing>| {
        all.into_iter().find(|one| one.definition.id.as_str() == "tried").unwrap()
    };
    assert!(standing(scene.sign_ins.standings().await.unwrap()).under_way);
    let (second, mut steps) = scene.begin();
    soon(steps.recv()).await.unwrap();
    assert!(matches!(first.end().await, Err(ProviderSignInError::Cancelled)));
    scene.sign_ins.cancel(&scene.id);
    assert!(matches!(second.end().await, Err(ProviderSignInError::Cancelled)));
    let now = standing(scene.sign_ins.standings().await.unwrap());
    assert!(!now.under_way && now.state == SignInState::SignedOut);
}
