//! The first owner, sessions, one-use links, roles and tokens.

use journeys::database::Database;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::running::{Running, elsewhere, host, json, problem};

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

/// What the log has of failed sign-ins from there, latest first: with what, and how long they wait from then on.
async fn failures(server: &Running, session: &str, from: &str) -> Vec<(String, Value)> {
    let listed = json(server.get("/api/v1/audit?type=sign_in.failed").header("cookie", session)).await;
    let events = listed["items"].as_array().unwrap().iter().filter(|event| event["source"] == from);
    events
        .map(|event| {
            let data = &event["data"];
            (data["means"].as_str().unwrap_or_default().to_owned(), data["wait_s"].clone())
        })
        .collect()
}

#[tokio::test]
async fn ten_wrong_passwords_close_the_door_for_their_address_alone_and_the_log_has_each() {
    let server = Running::fresh();
    let session = owner(&server).await;
    let (guesser, url) = (elsewhere(9), format!("{}/api/v1/session", server.url));
    let attempt = |body: Value| guesser.post(&url).json(&body);
    let guess = || attempt(json!({ "name": "ada", "password": "a wrong password" }));
    for _ in 0..10 {
        assert_eq!(problem(guess()).await.1, "sign_in_failed");
    }
    // A right password is not looked at either, and each answer says how long.
    for body in [
        json!({ "name": "ada", "password": "a wrong password" }),
        json!({ "name": "ada", "password": PASSWORD }),
    ] {
        let refused = attempt(body).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        let told: Value = refused.json().await.unwrap();
        assert!((40..=60).contains(&wait) && told["code"] == "rate_limited", "{wait} {told}");
        assert_eq!(told["details"]["retry_after_s"], wait);
    }
    let right = json!({ "name": "ada", "password": PASSWORD });
    cookie(&server.post("/api/v1/session", right).send().await.unwrap());

    let told = failures(&server, &session, "127.0.0.9").await;
    let expected = std::iter::once(("password".to_owned(), json!(60)))
        .chain(std::iter::repeat_n(("password".to_owned(), Value::Null), 9));
    assert_eq!(told, expected.collect::<Vec<_>>(), "what was not looked at fills no log");
    assert_eq!(failures(&server, &session, "127.0.0.1").await, []);

    // Whoever owns the host comes in from there all the same; a link that nobody made does not, and is told.
    assert_eq!(problem(attempt(json!({ "ticket": "never made" }))).await.1, "sign_in_failed");
    assert_eq!(failures(&server, &session, "127.0.0.9").await[0], ("link".to_owned(), Value::Null));
    let link = String::from_utf8(server.host(&["login-link"]).stdout).unwrap();
    let ticket = link.trim().rsplit("ticket=").next().unwrap();
    cookie(&attempt(json!({ "ticket": ticket })).send().await.unwrap());
}

#[tokio::test]
async fn behind_a_trusted_proxy_only_who_guesses_waits() {
    let server = Running::within(&Database::Sqlite, &["--trusted-proxy", "127.0.0.1"], &[]);
    let session = owner(&server).await;
    let attempt = |client: &Client, from: &str, password: &str| {
        let request = client.post(format!("{}/api/v1/session", server.url)).header("x-forwarded-for", from);
        request.json(&json!({ "name": "ada", "password": password }))
    };
    let (proxy, nobody) = (elsewhere(1), elsewhere(7));
    for _ in 0..10 {
        assert_eq!(problem(attempt(&proxy, "198.51.100.9", "a wrong password")).await.1, "sign_in_failed");
    }
    assert_eq!(problem(attempt(&proxy, "198.51.100.9", PASSWORD)).await.1, "rate_limited");
    cookie(&attempt(&proxy, "198.51.100.10", PASSWORD).send().await.unwrap());
    assert_eq!(failures(&server, &session, "198.51.100.9").await.len(), 10);
    // Who is no proxy of ours cannot speak for another.
    assert_eq!(problem(attempt(&nobody, "198.51.100.9", "a wrong password")).await.1, "sign_in_failed");
    assert_eq!(failures(&server, &session, "127.0.0.7").await.len(), 1);
}

#[tokio::test]
async fn ten_unknown_tokens_are_told_to_wait_and_a_right_one_beside_them_is_not() {
    let server = Running::fresh();
    let session = owner(&server).await;
    let (right, program) = (server.token("viewer"), elsewhere(8));
    let ask = |secret: &str| program.get(format!("{}/api/v1/devices", server.url)).bearer_auth(secret);
    for _ in 0..10 {
        assert_eq!(problem(ask("made up")).await.1, "unauthenticated");
    }
    // Also who waits hears that the token is wrong, and for how long.
    let waits = ask("made up").send().await.unwrap();
    assert_eq!(waits.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = waits.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let told: Value = waits.json().await.unwrap();
    let details = json!({ "retry_after_s": wait, "refused": "unauthenticated" });
    assert_eq!((&told["code"], &told["details"]), (&json!("rate_limited"), &details));
    let said = told["detail"].as_str().unwrap();
    assert!(said.contains("valid bearer token") && said.contains(&format!("in {wait} s")), "{said}");
    json(ask(&right)).await;
    let password = json!({ "name": "ada", "password": PASSWORD });
    let signs_in = program.post(format!("{}/api/v1/session", server.url)).json(&password);
    cookie(&signs_in.send().await.unwrap());
    let told = failures(&server, &session, "127.0.0.8").await;
    assert_eq!((told.len(), &told[0]), (10, &("token".to_owned(), json!(60))));

    // So are keys for models, and the tokens with which devices join.
    let models = elsewhere(7);
    let key = models.get(format!("{}/v1/models", server.url)).bearer_auth("fm-made-up");
    assert_eq!(key.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let joining = json!({
        "token": "made up", "agent_version": "1", "protocol_version": 3,
        "public_key": "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=",
    });
    let join = models.post(format!("{}/api/v1/devices/connect", server.url)).json(&joining);
    assert_eq!(problem(join).await.1, "connection_token_invalid");
    let told = failures(&server, &session, "127.0.0.7").await;
    let means: Vec<_> = told.iter().map(|(means, _)| means.as_str()).collect();
    assert_eq!(means, ["connection_token", "token"]);
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
