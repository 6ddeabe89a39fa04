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

/// A server that dies again and again over the same data.
struct Mortal {
    server: Running,
    token: String,
}

impl Mortal {
    fn new(database: &Database) -> Self {
        let server = Running::on(database, &[]);
        let token = server.token("admin");
        Self { server, token }
    }

    fn vault(&self) -> Vault<'_> {
        Vault { server: &self.server, token: self.token.clone() }
    }

    /// Sends the request, kills the server at that moment and starts it again.
    async fn killed_during(self, path: &str, body: Value, moment: u64) -> Self {
        let request = match body {
            Value::Null => self.vault().delete(path),
            body => self.vault().post(path, body),
        };
        let sent = tokio::spawn(request.send());
        // Not to wait for something: where the kill falls is what is tried.
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let server = self.server.again(&[]);
        let _ = sent.await.unwrap();
        Self { server, token: self.token }
    }
}

#[tokio::test]
async fn while_it_is_made() {
    for moment in MOMENTS_MS {
        for database in [Database::Sqlite, Database::postgresql()] {
            let mortal = Mortal::new(&database);
            let mortal = mortal.killed_during("", json!({ "password": PASSWORD }), moment).await;
            let vault = mortal.vault();
            if json(vault.get("")).await["initialised"] == true {
                assert_eq!(json(vault.unlock(PASSWORD)).await["unlocked"], true);
            } else {
                json(vault.post("", json!({ "password": PASSWORD }))).await;
            }
            json(vault.add("openai", "a", KEY)).await;
            assert_eq!(readable(&vault, PASSWORD).await.unwrap(), ["openai/a"]);
        }
    }
}

/// A server of each database whose vault has one key, `openai/a`; the key's id.
async fn with_a_key(test: impl AsyncFn(Mortal, String)) {
    for database in [Database::Sqlite, Database::postgresql()] {
        let mortal = Mortal::new(&database);
        let vault = mortal.vault();
        json(vault.post("", json!({ "password": PASSWORD }))).await;
        let key = json(vault.add("openai", "a", KEY)).await["id"].as_str().unwrap().to_owned();
        test(mortal, key).await;
    }
}

#[tokio::test]
async fn while_the_password_changes() {
    with_a_key(async |mut mortal, _| {
        let (mut now, mut next) = (PASSWORD, OTHER);
        for moment in MOMENTS_MS {
            let body = json!({ "password": now, "new_password": next });
            mortal = mortal.killed_during("/rotate", body, moment).await;
            let vault = mortal.vault();
            let (old, new) = (readable(&vault, now).await, readable(&vault, next).await);
            assert!(old.is_some() != new.is_some(), "exactly one password opens it");
            if new.is_some() {
                (now, next) = (next, now);
            }
            assert_eq!(old.or(new).unwrap(), ["openai/a"]);
        }
    })
    .await;
}

#[tokio::test]
async fn while_keys_come_and_go() {
    with_a_key(async |mut mortal, mut first| {
        let export = json!({ "password": PASSWORD, "file_password": FILE_PASSWORD });
        let file = json(mortal.vault().post("/export", export)).await;
        for moment in MOMENTS_MS {
            let body = json!({ "provider": "groq", "name": "b", "key": KEY });
            mortal = mortal.killed_during("/keys", body, moment % 40).await;
            let with = mortal.vault().names().await;
            assert!(with == ["openai/a"] || with == ["openai/a", "groq/b"], "{with:?}");

            mortal = mortal.killed_during(&format!("/keys/{first}"), Value::Null, moment % 40).await;
            let without = mortal.vault().names().await;
            assert!(without == with || without == with[1..], "{without:?}");

            json(mortal.vault().unlock(PASSWORD)).await;
            let body = json!({ "file": file, "file_password": FILE_PASSWORD });
            mortal = mortal.killed_during("/import", body, moment).await;
            let vault = mortal.vault();
            let mut after = readable(&vault, PASSWORD).await.unwrap();
            after.retain(|name| !without.contains(name));
            assert!(after.is_empty() || after == ["openai/a"], "{after:?}");

            // As it began, for the next moment.
            json(vault.unlock(PASSWORD)).await;
            let page = json(vault.get("/keys")).await;
            for key in page["items"].as_array().unwrap() {
                let path = format!("/keys/{}", key["id"].as_str().unwrap());
                assert!(vault.delete(&path).send().await.unwrap().status().is_success());
            }
            first = json(vault.add("openai", "a", KEY)).await["id"].as_str().unwrap().to_owned();
        }
    })
    .await;
}

#[tokio::test]
async fn while_it_opens_and_locks() {
    with_a_key(async |mut mortal, _| {
        for moment in MOMENTS_MS {
            mortal = mortal.killed_during("/lock", json!({}), moment % 40).await;
            assert!(!mortal.vault().unlocked().await);
            let body = json!({ "password": PASSWORD });
            mortal = mortal.killed_during("/unlock", body, moment).await;
            assert!(!mortal.vault().unlocked().await);
            assert_eq!(json(mortal.vault().unlock(PASSWORD)).await["unlocked"], true);
        }
        assert_eq!(readable(&mortal.vault(), PASSWORD).await.unwrap(), ["openai/a"]);
    })
    .await;
}
