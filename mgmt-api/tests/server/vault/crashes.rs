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
    options: Vec<String>,
}

impl Mortal {
    fn new(database: &Database) -> Self {
        let server = Running::on(database, &[]);
        let token = server.token("admin");
        Self { server, token, options: Vec::new() }
    }

    /// Killed between two operations, and started with these options from now on.
    fn again(self, options: &[String]) -> Self {
        let words: Vec<&str> = options.iter().map(String::as_str).collect();
        Self { server: self.server.again(&words), token: self.token, options: options.to_vec() }
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
        let options = self.options.clone();
        let next = self.again(&options);
        let _ = sent.await.unwrap();
        next
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

/// The names of a vault that opened with its key file, as it is after each crash; both ways in lead to the same keys.
async fn opened_by_its_file(mortal: &Mortal, passwords: [&str; 2]) -> (Vec<String>, usize) {
    let vault = mortal.vault();
    assert!(vault.unlocked().await, "the key file opens it");
    let mut by_password = Vec::new();
    for (at, password) in passwords.into_iter().enumerate() {
        by_password.extend(readable(&vault, password).await.map(|names| (names, at)));
    }
    assert_eq!(by_password.len(), 1, "exactly one password opens it");
    let (names, which) = by_password.pop().unwrap();
    assert_eq!(names, vault.names().await);
    (names, which)
}

#[tokio::test]
async fn while_a_key_file_is_in_use() {
    with_a_key(async |mortal, _| {
        let file = mortal.server.data.with_file_name("vault.key");
        let options = [format!("--vault-key-file={}", file.display())];
        let passwords = [PASSWORD, OTHER];
        let mut now = 0;
        let export = json!({ "password": PASSWORD, "file_password": FILE_PASSWORD });
        let exported = json(mortal.vault().post("/export", export)).await;
        let mut mortal = mortal.again(&options);
        for moment in [2, 120, 500] {
            // It becomes known with an unlock, or it does not.
            let unlock = json!({ "password": passwords[now] });
            mortal = mortal.killed_during("/unlock", unlock, moment).await;
            if !mortal.vault().unlocked().await {
                json(mortal.vault().unlock(passwords[now])).await;
                mortal = mortal.again(&options);
            }
            assert_eq!(opened_by_its_file(&mortal, passwords).await, (vec!["openai/a".to_owned()], now));

            let export = json!({ "password": passwords[now], "file_password": FILE_PASSWORD });
            mortal = mortal.killed_during("/export", export, moment).await;
            assert_eq!(opened_by_its_file(&mortal, passwords).await, (vec!["openai/a".to_owned()], now));

            // What the import brings is away, and may come back.
            let page = json(mortal.vault().get("/keys")).await;
            let path = format!("/keys/{}", page["items"][0]["id"].as_str().unwrap());
            assert!(mortal.vault().delete(&path).send().await.unwrap().status().is_success());
            let import = json!({ "file": exported, "file_password": FILE_PASSWORD });
            mortal = mortal.killed_during("/import", import, moment).await;
            let (names, _) = opened_by_its_file(&mortal, passwords).await;
            assert!(names.is_empty() || names == ["openai/a"], "{names:?}");
            if names.is_empty() {
                json(mortal.vault().add("openai", "a", KEY)).await;
            }

            let rotate = json!({ "password": passwords[now], "new_password": passwords[1 - now] });
            mortal = mortal.killed_during("/rotate", rotate, moment).await;
            let (names, which) = opened_by_its_file(&mortal, passwords).await;
            assert_eq!(names, ["openai/a"]);
            now = which;

            // As it began, for the next moment: a start without the file forgets it.
            mortal = mortal.again(&[]);
            assert!(!mortal.vault().unlocked().await);
            mortal = mortal.again(&options);
            assert!(!mortal.vault().unlocked().await);
        }
    })
    .await;
}
