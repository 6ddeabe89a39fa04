//! The first owner, sessions, one-use links, roles and tokens.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::running::{Running, host, json, problem};

const PASSWORD: &str = "a long enough password";

pub async fn owner(server: &Running) -> String {
    let code = server.setup_code.clone().unwrap();
    let answer = server
        .post("/api/v1/setup", json!({ "code": code, "name": "ada", "password": PASSWORD }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    cookie(&answer)
}

/// The session cookie as a `Cookie` header, after checking how it is guarded.
fn cookie(answer: &reqwest::Response) -> String {
    let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn only_the_code_from_the_terminal_makes_the_owner_and_only_once() {
    let server = Running::fresh();
    let wrong = json!({ "code": "AAAAA-AAAAA-AAAAA-AAAAA-AAAAA", "name": "eve", "password": PASSWORD });
    assert_eq!(problem(server.post("/api/v1/setup", wrong)).await.1, "setup_code_wrong");
    assert_eq!(json(server.get("/api/v1/setup")).await["needed"], true);

    let session = owner(&server).await;
    assert_eq!(json(server.get("/api/v1/setup")).await["needed"], false);
    let me = json(server.get("/api/v1/session").header("cookie", &session)).await;
    assert_eq!((me["name"].as_str(), me["role"].as_str()), (Some("ada"), Some("owner")));

    let again = json!({ "code": server.setup_code, "name": "eve", "password": PASSWORD });
    assert_eq!(problem(server.post("/api/v1/setup", again)).await.1, "setup_done");
}

#[tokio::test]
async fn only_the_setup_code_of_the_last_start_counts() {
    let first = Running::fresh();
    let (old, data) = (first.setup_code.clone(), first.data.clone());
    let _folder = first.stop();
    let server = Running::over(data, &[]);
    assert_ne!(server.setup_code, old);
    let stale = json!({ "code": old, "name": "eve", "password": PASSWORD });
    assert_eq!(problem(server.post("/api/v1/setup", stale)).await.1, "setup_code_wrong");
    owner(&server).await;
}

#[tokio::test]
async fn signing_in_and_out() {
    let server = Running::fresh();
    owner(&server).await;
    let wrong = json!({ "name": "ada", "password": "not this password" });
    assert_eq!(problem(server.post("/api/v1/session", wrong)).await.1, "sign_in_failed");
    let unknown = json!({ "name": "nobody", "password": PASSWORD });
    assert_eq!(problem(server.post("/api/v1/session", unknown)).await.1, "sign_in_failed");

    let right = json!({ "name": "ada", "password": PASSWORD });
    let session = cookie(&server.post("/api/v1/session", right).send().await.unwrap());
    let out =
        server.request(Method::DELETE, "/api/v1/session").header("cookie", &session).send().await.unwrap();
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
    let gone = server.get("/api/v1/session").header("cookie", &session);
    assert_eq!(problem(gone).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_eleventh_guess_in_a_minute_is_refused() {
    let server = Running::fresh();
    owner(&server).await;
    let guess = || server.post("/api/v1/session", json!({ "name": "ada", "password": "a wrong password" }));
    // One try went into the setup.
    for _ in 0..9 {
        assert_eq!(problem(guess()).await.1, "sign_in_failed");
    }
    // All at once: each takes a while, and every six seconds there is room for one more.
    let more = futures_util::future::join_all((0..12).map(|_| problem(guess()))).await;
    assert!(more.iter().any(|(_, code)| code == "rate_limited"), "{more:?}");
}

#[tokio::test]
async fn a_link_from_the_host_signs_in_once() {
    let server = Running::fresh();
    let link = String::from_utf8(server.host(&["login-link"]).stdout).unwrap();
    let (address, ticket) = link.trim().split_once("#ticket=").unwrap();
    assert_eq!(address, format!("{}/sign-in", server.url));
    let me = json(server.post("/api/v1/session", json!({ "ticket": ticket }))).await;
    assert_eq!((me["role"].as_str(), me["has_password"].as_bool()), (Some("owner"), Some(false)));
    let again = server.post("/api/v1/session", json!({ "ticket": ticket }));
    assert_eq!(problem(again).await.1, "sign_in_failed");
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_signs_other_browsers_out() {
    let server = Running::fresh();
    let first = owner(&server).await;
    let right = json!({ "name": "ada", "password": PASSWORD });
    let second = cookie(&server.post("/api/v1/session", right).send().await.unwrap());
    let change = |current: &str| {
        server
            .request(Method::PUT, "/api/v1/session/password")
            .header("cookie", &second)
            .json(&json!({ "current": current, "new": "another long password" }))
    };
    assert_eq!(problem(change("wrong")).await.1, "sign_in_failed");
    assert_eq!(change(PASSWORD).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(
        problem(server.get("/api/v1/session").header("cookie", &first)).await.0,
        StatusCode::UNAUTHORIZED
    );
    json(server.get("/api/v1/session").header("cookie", &second)).await;
}

#[tokio::test]
async fn each_role_may_do_its_own_and_no_more() {
    let server = Running::fresh();
    let (viewer, operator, admin) = (server.token("viewer"), server.token("operator"), server.token("admin"));
    let device = json!({ "name": "box", "type": "inference" });

    json(server.get("/api/v1/devices").bearer_auth(&viewer)).await;
    for token in [&viewer, &operator] {
        let refused = server.post("/api/v1/devices", device.clone()).bearer_auth(token);
        assert_eq!(problem(refused).await.1, "forbidden");
    }
    let made = json(server.post("/api/v1/devices", device).bearer_auth(&admin)).await;
    let id = made["device"]["id"].as_str().unwrap();
    let tasks = format!("/api/v1/devices/{id}/tasks");
    let run = server.post(&tasks, json!({ "shell": "true" })).bearer_auth(&viewer);
    assert_eq!(problem(run).await.1, "forbidden");
    // It has not connected yet, so an operator gets past the role and no further.
    let run = server.post(&tasks, json!({ "shell": "true" })).bearer_auth(&operator);
    assert_eq!(problem(run).await.1, "conflict");
    let more = server.post("/api/v1/tokens", json!({ "name": "up", "role": "owner" })).bearer_auth(&admin);
    assert_eq!(problem(more).await.1, "forbidden");
}

#[tokio::test]
async fn a_revoked_token_is_dead_at_once() {
    let server = Running::fresh();
    let admin = server.token("admin");
    let made =
        json(server.post("/api/v1/tokens", json!({ "name": "ci", "role": "viewer" })).bearer_auth(&admin))
            .await;
    let secret = made["secret"].as_str().unwrap();
    json(server.get("/api/v1/devices").bearer_auth(secret)).await;
    let listed = server.get("/api/v1/tokens").bearer_auth(&admin).send().await.unwrap().text().await.unwrap();
    assert!(listed.contains("\"ci\"") && !listed.contains(secret));
    let path = format!("/api/v1/tokens/{}", made["token"]["id"].as_str().unwrap());
    server.request(Method::DELETE, &path).bearer_auth(&admin).send().await.unwrap();
    assert_eq!(problem(server.get("/api/v1/devices").bearer_auth(secret)).await.0, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_mistyped_folder_begins_no_data_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mistyped");
    for arguments in [&["login-link"][..], &["token", "create", "--name", "x", "--role", "viewer"]] {
        let refused = host(&data, arguments);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && said.contains("--data"), "{said}");
        assert!(!data.exists(), "nothing was made");
    }
}
