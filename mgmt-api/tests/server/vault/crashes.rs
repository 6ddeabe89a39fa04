//! The server is killed in the middle of each operation: afterwards the vault is the one before or the one after it.

use std::time::Duration;

use journeys::database::Database;
use serde_json::{Value, json};

use super::{FILE_PASSWORD, OTHER, PASSWORD, Vault, open_file};
use crate::running::{Running, json};

const KEY: &str = "sk-kept-0123456789abcdef";
/// When it is killed, after the request went out: while the password is worked on, while rows are written, when done.
const MOMENTS_MS: [u64; 5] = [2, 40, 120, 250, 500];

/// The keys by name, and all of them readable with this password; `None` when the password is not right.
async fn readable(vault: &Vault<'_>, password: &str) -> Option<Vec<String>> {
    let export = json!({ "password": password, "file_password": FILE_PASSWORD });
    let answer = vault.post("/export", export).send().await.unwrap();
    let file: Value = answer.json().await.unwrap();
    if file["code"] == "vault_password_wrong" {
        return None;
    }
    let keys = open_file(&file, FILE_PASSWORD).expect("every key opens");
    assert!(keys.iter().all(|(_, key)| key == KEY));
    Some(keys.into_iter().map(|(name, _)| name).collect())
}

/// Sends the request, kills the server at that moment and starts it again.
async fn killed_during(server: Running, path: &str, body: Value, moment: u64) -> Running {
    let vault = Vault::of(&server);
    let request = match body {
        Value::Null => vault.delete(path),
        body => vault.post(path, body),
    };
    let sent = tokio::spawn(request.send());
    // Not to wait for something: where the kill falls is what is tried.
    tokio::time::sleep(Duration::from_millis(moment)).await;
    let server = server.again(&[]);
    let _ = sent.await.unwrap();
    server
}

async fn each_moment(test: impl AsyncFn(Running, u64)) {
    for moment in MOMENTS_MS {
        for database in [Database::Sqlite, Database::postgresql()] {
            test(Running::on(&database, &[]), moment).await;
        }
    }
}

#[tokio::test]
async fn while_it_is_made() {
    each_moment(async |server, moment| {
        let server = killed_during(server, "", json!({ "password": PASSWORD }), moment).await;
        let vault = Vault::of(&server);
        if json(vault.get("")).await["initialised"] == true {
            assert_eq!(json(vault.unlock(PASSWORD)).await["unlocked"], true);
        } else {
            Vault::initialised(&server).await;
        }
        json(vault.add("openai", "a", KEY)).await;
        assert_eq!(readable(&vault, PASSWORD).await.unwrap(), ["openai/a"]);
    })
    .await;
}

#[tokio::test]
async fn while_the_password_changes() {
    each_moment(async |server, moment| {
        let vault = Vault::initialised(&server).await;
        json(vault.add("openai", "a", KEY)).await;
        let body = json!({ "password": PASSWORD, "new_password": OTHER });
        let server = killed_during(server, "/rotate", body, moment).await;
        let vault = Vault::of(&server);
        let (old, new) = (readable(&vault, PASSWORD).await, readable(&vault, OTHER).await);
        assert!(old.is_some() != new.is_some(), "exactly one password opens it");
        assert_eq!(old.or(new).unwrap(), ["openai/a"]);
    })
    .await;
}

#[tokio::test]
async fn while_keys_come_and_go() {
    each_moment(async |server, moment| {
        let vault = Vault::initialised(&server).await;
        let first = json(vault.add("openai", "a", KEY)).await["id"].as_str().unwrap().to_owned();
        let export = json!({ "password": PASSWORD, "file_password": FILE_PASSWORD });
        let file = json(vault.post("/export", export)).await;

        let body = json!({ "provider": "groq", "name": "b", "key": KEY });
        let server = killed_during(server, "/keys", body, moment % 40).await;
        let with = readable(&Vault::of(&server), PASSWORD).await.unwrap();
        assert!(with == ["openai/a"] || with == ["openai/a", "groq/b"], "{with:?}");

        let server = killed_during(server, &format!("/keys/{first}"), Value::Null, moment % 40).await;
        let vault = Vault::of(&server);
        let without = readable(&vault, PASSWORD).await.unwrap();
        assert!(without == with || without == with[1..], "{without:?}");

        json(vault.unlock(PASSWORD)).await;
        let body = json!({ "file": file, "file_password": FILE_PASSWORD });
        let server = killed_during(server, "/import", body, moment).await;
        let mut after = readable(&Vault::of(&server), PASSWORD).await.unwrap();
        after.retain(|name| !without.contains(name));
        assert!(after.is_empty() || after == ["openai/a"], "{after:?}");
    })
    .await;
}

#[tokio::test]
async fn while_it_opens_and_locks() {
    each_moment(async |server, moment| {
        let vault = Vault::initialised(&server).await;
        json(vault.add("openai", "a", KEY)).await;
        let server = killed_during(server, "/lock", json!({}), moment % 40).await;
        let server = killed_during(server, "/unlock", json!({ "password": PASSWORD }), moment).await;
        let vault = Vault::of(&server);
        assert!(!vault.unlocked().await);
        assert_eq!(json(vault.unlock(PASSWORD)).await["unlocked"], true);
        assert_eq!(readable(&vault, PASSWORD).await.unwrap(), ["openai/a"]);
    })
    .await;
}
