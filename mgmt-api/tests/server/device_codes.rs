//! Signing in a program by a code that a person approves (RFC 8628).

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    accounts::owner,
    running::{Running, json, problem},
};

async fn begin(server: &Running) -> Value {
    json(server.post("/api/v1/auth/device/code", json!({ "client_name": "foreman on laptop" }))).await
}

async fn poll(server: &Running, code: &Value) -> (StatusCode, Value) {
    let body = json!({ "device_code": code["device_code"] });
    let answer = server.post("/api/v1/auth/device/token", body).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_person_approves_and_the_program_gets_one_token() {
    let server = Running::fresh();
    let session = owner(&server).await;
    let code = begin(&server).await;
    let shown = code["user_code"].as_str().unwrap();
    assert!(code["verification_uri_complete"].as_str().unwrap().ends_with(&format!("/link?code={shown}")));
    assert_eq!(
        poll(&server, &code).await,
        (StatusCode::BAD_REQUEST, json!({ "error": "authorization_pending" }))
    );
    assert_eq!(poll(&server, &code).await.1["error"], "slow_down");

    // Looking needs a person and changes nothing.
    let address = format!("/api/v1/auth/device/{}", shown.to_lowercase());
    assert_eq!(problem(server.get(&address)).await.0, StatusCode::UNAUTHORIZED);
    let asked = json(server.get(&address).header("cookie", &session)).await;
    assert_eq!(asked["client_name"], "foreman on laptop");
    assert_ne!(poll(&server, &code).await.0, StatusCode::OK);

    let approve = format!("/api/v1/auth/device/{shown}/approve");
    let approved = server.post(&approve, json!({ "role": "operator" })).header("cookie", &session);
    assert_eq!(approved.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    let (status, token) = poll(&server, &code).await;
    assert_eq!((status, token["role"].as_str()), (StatusCode::OK, Some("operator")));
    let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
    let me = json(server.get("/api/v1/session").header("authorization", &bearer)).await;
    assert_eq!((me["name"].as_str(), me["role"].as_str()), (Some("foreman on laptop"), Some("operator")));

    // Once: neither the program nor the person can use it again.
    assert_eq!(poll(&server, &code).await.1["error"], "expired_token");
    let again = server.post(&approve, json!({})).header("cookie", &session);
    assert_eq!(problem(again).await.1, "not_found");
    // Neither code is anywhere on the disk.
    for file in std::fs::read_dir(&server.data).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        for secret in [shown, code["device_code"].as_str().unwrap(), token["token"].as_str().unwrap()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
}

#[tokio::test]
async fn a_denied_program_is_told_and_a_token_cannot_approve() {
    let server = Running::fresh();
    let session = owner(&server).await;
    let code = begin(&server).await;
    let shown = code["user_code"].as_str().unwrap();
    let made = json(
        server.post("/api/v1/tokens", json!({ "name": "ci", "role": "owner" })).header("cookie", &session),
    )
    .await;
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let by_token = server
        .post(&format!("/api/v1/auth/device/{shown}/approve"), json!({}))
        .header("authorization", bearer);
    assert_eq!(problem(by_token).await.1, "forbidden");

    let denied =
        server.post(&format!("/api/v1/auth/device/{shown}/deny"), json!({})).header("cookie", &session);
    assert_eq!(denied.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(poll(&server, &code).await.1["error"], "access_denied");
}

#[tokio::test]
async fn codes_cannot_be_guessed_in_bulk() {
    let server = Running::fresh();
    let session = owner(&server).await;
    let mut answers = Vec::new();
    for guess in 0..12 {
        let address = format!("/api/v1/auth/device/AAAA-AA{guess:02}");
        answers.push(problem(server.get(&address).header("cookie", &session)).await.1);
    }
    assert_eq!(answers.last().map(String::as_str), Some("rate_limited"), "{answers:?}");
}
