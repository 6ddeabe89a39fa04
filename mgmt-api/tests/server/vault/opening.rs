//! Who may open the vault, with what, and what closes it.

use std::time::{Duration, Instant};

use journeys::database::Database;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{FILE_PASSWORD, OTHER, PASSWORD, Vault, execute, on_both};
use crate::running::{Running, json, problem};

const PROVIDERS: [&str; 8] =
    ["anthropic", "openai", "google", "mistral", "groq", "cerebras", "openrouter", "openai_compatible"];
const KEY: &str = "sk-test-0123456789abcdefWXYZ";

#[tokio::test]
async fn it_opens_with_its_password_and_shows_no_value() {
    on_both(&[], async |server, _| {
        let vault = Vault::of(server);
        assert_eq!(json(vault.get("")).await["initialised"], false);
        for request in [vault.unlock(PASSWORD), vault.post("/lock", json!({})), vault.add("openai", "a", KEY)]
        {
            assert_eq!(problem(request).await, (StatusCode::CONFLICT, "vault_missing".to_owned()));
        }
        let short = vault.post("", json!({ "password": "short" }));
        assert_eq!(problem(short).await.1, "invalid_request");
        let vault = Vault::initialised(server).await;
        assert_eq!(problem(vault.post("", json!({ "password": OTHER }))).await.1, "conflict");

        let mut first = Value::Null;
        for provider in PROVIDERS {
            let added = json(vault.add(provider, "main", &format!(" {KEY}\n"))).await;
            assert_eq!(added["last_four"], "WXYZ");
            first = if first.is_null() { added } else { first };
        }
        assert_eq!(problem(vault.add("openai", "main", KEY)).await.1, "conflict");
        assert_eq!(problem(vault.add("nobody", "main", KEY)).await.1, "invalid_request");
        assert_eq!(problem(vault.add("openai", "x", "two words")).await.1, "invalid_request");
        assert_eq!(vault.names().await, PROVIDERS.map(|provider| format!("{provider}/main")));
        let page = json(vault.get("/keys?limit=3")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), 3);
        assert!(page["next"].is_string() && !page.to_string().contains("0123456789"));

        assert_eq!(json(vault.post("/lock", json!({}))).await["unlocked"], false);
        assert_eq!(
            problem(vault.add("openai", "late", KEY)).await,
            (StatusCode::LOCKED, "vault_locked".to_owned())
        );
        assert_eq!(vault.names().await.len(), 8);
        assert_eq!(
            problem(vault.unlock(OTHER)).await,
            (StatusCode::FORBIDDEN, "vault_password_wrong".to_owned())
        );
        assert!(!vault.unlocked().await);
        assert_eq!(json(vault.unlock(PASSWORD)).await["unlocked"], true);
        let gone = format!("/keys/{}", first["id"].as_str().unwrap());
        assert_eq!(vault.delete(&gone).send().await.unwrap().status(), StatusCode::NO_CONTENT);
        assert_eq!(problem(vault.delete(&gone)).await.1, "not_found");
        assert_eq!(vault.names().await.len(), 7);

        let mut told = vec!["vault.initialised"];
        told.extend(["vault.key_added"; 8]);
        told.extend(["vault.locked", "vault.unlock_failed", "vault.unlocked", "vault.key_removed"]);
        assert_eq!(vault.events().await, told);
        let intact = server.get("/api/v1/audit/verify").bearer_auth(&vault.token);
        assert_eq!(json(intact).await["intact"], true);
    })
    .await;
}

#[tokio::test]
async fn only_admins_manage_it() {
    let server = Running::fresh();
    let vault = Vault::initialised(&server).await;
    let id = json(vault.add("groq", "main", KEY)).await["id"].as_str().unwrap().to_owned();
    let operations = [
        (Method::POST, String::new(), json!({ "password": PASSWORD })),
        (Method::POST, "/unlock".into(), json!({ "password": PASSWORD })),
        (Method::POST, "/lock".into(), json!({})),
        (Method::POST, "/rotate".into(), json!({ "password": PASSWORD, "new_password": OTHER })),
        (Method::POST, "/export".into(), json!({ "password": PASSWORD, "file_password": OTHER })),
        (Method::POST, "/keys".into(), json!({ "provider": "groq", "name": "x", "key": KEY })),
        (Method::DELETE, format!("/keys/{id}"), json!({})),
    ];
    for (role, sees_keys) in [("viewer", false), ("operator", true)] {
        let token = server.token(role);
        for (method, path, body) in &operations {
            let request = server.request(method.clone(), &format!("/api/v1/vault{path}")).json(body);
            assert_eq!(problem(request.bearer_auth(&token)).await.1, "forbidden", "{role} {method} {path}");
        }
        assert_eq!(json(server.get("/api/v1/vault").bearer_auth(&token)).await["unlocked"], true);
        let keys = server.get("/api/v1/vault/keys").bearer_auth(&token).send().await.unwrap();
        assert_eq!(keys.status() == StatusCode::OK, sees_keys, "{role}");
    }
    assert_eq!(vault.names().await, ["groq/main"]);
}

#[tokio::test]
async fn ten_wrong_passwords_make_it_wait_also_after_a_restart() {
    for database in [Database::Sqlite, Database::postgresql()] {
        let server = Running::on(&database, &[]);
        let vault = Vault::initialised(&server).await;
        for _ in 0..10 {
            assert_eq!(problem(vault.unlock(OTHER)).await.1, "vault_password_wrong");
        }
        // A fresh process has forgotten how often this address tried; the vault has not.
        let server = server.again(&[]);
        let vault = Vault::of(&server);
        let refused: Value = vault.unlock(PASSWORD).send().await.unwrap().json().await.unwrap();
        assert_eq!(refused["code"], "rate_limited");
        let wait = refused["details"]["retry_after_s"].as_i64().unwrap();
        assert!((20..=60).contains(&wait), "{wait}");
        assert!(json(vault.get("")).await["blocked_until"].is_i64());
        assert!(!vault.unlocked().await);

        execute(&server, &database, "UPDATE vaults SET blocked_until = 0").await;
        assert_eq!(problem(vault.unlock(OTHER)).await.1, "vault_password_wrong");
        let longer: Value = vault.unlock(PASSWORD).send().await.unwrap().json().await.unwrap();
        assert!(longer["details"]["retry_after_s"].as_i64().unwrap() > 60, "{longer}");

        execute(&server, &database, "UPDATE vaults SET blocked_until = 0").await;
        assert_eq!(json(vault.unlock(PASSWORD)).await["unlocked"], true);
        assert_eq!(problem(vault.unlock(OTHER)).await.1, "vault_password_wrong");
        assert_eq!(json(vault.unlock(PASSWORD)).await["unlocked"], true, "the count began again");
    }
}

/// Side by side they are counted like one after the other: none gets looked at that should not.
#[tokio::test]
async fn wrong_passwords_side_by_side_are_all_counted() {
    let server = Running::fresh();
    let vault = Vault::initialised(&server).await;
    let tries = (0..10).map(|_| problem(vault.unlock(OTHER)));
    for (_, code) in futures_util::future::join_all(tries).await {
        assert_eq!(code, "vault_password_wrong");
    }
    assert!(json(vault.get("")).await["blocked_until"].is_i64());
    assert_eq!(vault.events().await.iter().filter(|kind| *kind == "vault.unlock_failed").count(), 10);
}

#[tokio::test]
async fn it_locks_when_nobody_uses_it() {
    on_both(&["--vault-lock-after-s", "1"], async |server, _| {
        let vault = Vault::initialised(server).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        while !vault.events().await.contains(&"vault.locked".to_owned()) {
            assert!(Instant::now() < deadline, "it never locked");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(!vault.unlocked().await);
        assert_eq!(problem(vault.add("openai", "a", KEY)).await.1, "vault_locked");
    })
    .await;
}

#[tokio::test]
async fn a_restart_locks_it_unless_there_is_a_key_file() {
    for database in [Database::Sqlite, Database::postgresql()] {
        let server = Running::on(&database, &[]);
        Vault::initialised(&server).await;
        let file = server.data.with_file_name("vault.key");
        let with_file = ["--vault-lock-after-s", "1", "--vault-key-file", file.to_str().unwrap()];

        let server = server.again(&[]);
        assert!(!Vault::of(&server).unlocked().await);
        // A file that the vault does not know yet opens nothing; an unlock makes it known.
        let server = server.again(&with_file);
        let vault = Vault::of(&server);
        assert!(!vault.unlocked().await);
        let opened = json(vault.unlock(PASSWORD)).await;
        assert_eq!((&opened["unattended"], &opened["locks_at"]), (&json!(true), &Value::Null));

        let server = server.again(&with_file);
        let vault = Vault::of(&server);
        assert!(vault.unlocked().await);
        assert_eq!(vault.events().await.last().unwrap(), "vault.unlocked");
        json(vault.add("openai", "a", KEY)).await;

        // Another file does not open it.
        std::fs::write(&file, [7; 32]).unwrap();
        let server = server.again(&with_file);
        assert!(!Vault::of(&server).unlocked().await);
        json(Vault::of(&server).unlock(PASSWORD)).await;

        // Without the file it is forgotten, also when it comes back.
        let server = server.again(&[]);
        assert!(!Vault::of(&server).unlocked().await);
        let server = server.again(&with_file);
        assert!(!Vault::of(&server).unlocked().await);
    }
}

#[tokio::test]
async fn a_new_master_password_replaces_the_old_one() {
    on_both(&[], async |server, _| {
        let vault = Vault::initialised(server).await;
        json(vault.add("openai", "a", KEY)).await;
        let rotate =
            |old: &str, new: &str| vault.post("/rotate", json!({ "password": old, "new_password": new }));
        assert_eq!(problem(rotate(OTHER, "a third password")).await.1, "vault_password_wrong");
        assert_eq!(problem(rotate(PASSWORD, "short")).await.1, "invalid_request");
        let rotated = json(rotate(PASSWORD, OTHER)).await;
        assert!(rotated["rotated_at"].is_i64() && rotated["unlocked"] == true);
        json(vault.post("/lock", json!({}))).await;
        assert_eq!(problem(vault.unlock(PASSWORD)).await.1, "vault_password_wrong");
        assert_eq!(json(vault.unlock(OTHER)).await["unlocked"], true);
        assert_eq!(vault.names().await, ["openai/a"]);
    })
    .await;
}

/// How many passwords the server works on for a request, which is answered like this.
async fn cost(vault: &Vault<'_>, request: RequestBuilder, code: Option<&str>) -> i64 {
    let worked = async || {
        let page = vault.server.get("/metrics").bearer_auth(&vault.token);
        let page = page.send().await.unwrap().text().await.unwrap();
        let count = page.lines().find_map(|line| line.strip_prefix("foreman_vault_derivations_total "));
        count.map_or(0, |count| count.parse::<i64>().unwrap())
    };
    let before = worked().await;
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["code"].as_str(), code, "{answer}");
    worked().await - before
}

/// What a password costs is the work that its key takes. Who is refused without a look learns nothing by the time: a
/// vault that waits does not work on the right one either.
#[tokio::test]
async fn a_wrong_password_costs_what_a_right_one_does() {
    let server = Running::fresh();
    let vault = Vault::of(&server);
    let rotate = |vault: &Vault, old: &str, new: &str| {
        vault.post("/rotate", json!({ "password": old, "new_password": new }))
    };
    let export = |vault: &Vault, password: &str| {
        vault.post("/export", json!({ "password": password, "file_password": FILE_PASSWORD }))
    };
    assert_eq!(cost(&vault, vault.unlock(PASSWORD), Some("vault_missing")).await, 0, "none to be right for");
    assert_eq!(cost(&vault, vault.post("", json!({ "password": PASSWORD })), None).await, 1);
    let wrong = Some("vault_password_wrong");
    assert_eq!(cost(&vault, vault.unlock(PASSWORD), None).await, 1);
    assert_eq!(cost(&vault, vault.unlock(OTHER), wrong).await, 1);
    assert_eq!(cost(&vault, vault.unlock("x"), wrong).await, 1, "also one that no vault can have");
    // The second is that of what comes after a right one.
    assert_eq!(cost(&vault, rotate(&vault, OTHER, PASSWORD), wrong).await, 1);
    assert_eq!(cost(&vault, rotate(&vault, PASSWORD, PASSWORD), None).await, 2);
    assert_eq!(cost(&vault, export(&vault, OTHER), wrong).await, 1);
    assert_eq!(cost(&vault, export(&vault, PASSWORD), None).await, 2);

    // As after ten wrong ones, in a process that has forgotten how often this address tried.
    execute(&server, &Database::Sqlite, "UPDATE vaults SET tries = 10, blocked_until = created_at + 3000000")
        .await;
    let server = server.again(&[]);
    let vault = Vault::of(&server);
    for password in [PASSWORD, OTHER] {
        let requests = [vault.unlock(password), rotate(&vault, password, OTHER), export(&vault, password)];
        for request in requests {
            assert_eq!(cost(&vault, request, Some("rate_limited")).await, 0);
        }
    }
}
