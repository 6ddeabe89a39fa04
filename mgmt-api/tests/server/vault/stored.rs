//! Nothing that is kept shows a key or a password: the database and its write-ahead log, a backup of either
//! database, the log.

use base64::{Engine, engine::general_purpose::STANDARD};
use journeys::database::Database;
use serde_json::json;

use super::{FILE_PASSWORD, OTHER, PASSWORD, Vault, found};
use crate::running::{Running, json, problem};

const KEYS: [&str; 3] =
    ["sk-ant-find-me-0123456789", "gsk_find-me-too-0123456789", "csk-find-me-as-well-0123456789"];
const WRONG: &str = "a password that was wrong";

/// What is looked for: the text itself, in hex, and in base64 at each of the three alignments.
fn traces(secret: &str) -> Vec<Vec<u8>> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut traces = vec![secret.as_bytes().to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    for skipped in 0..3 {
        let whole = secret.len() - skipped - (secret.len() - skipped) % 3;
        traces.push(STANDARD.encode(&secret.as_bytes()[skipped..skipped + whole]).into_bytes());
    }
    traces
}

#[tokio::test]
async fn nothing_that_is_kept_shows_a_key_or_a_password() {
    let options = ["--log", "debug"];
    for database in [Database::Sqlite, Database::postgresql()] {
        let server = Running::on(&database, &options);
        let vault = Vault::initialised(&server).await;
        let mut last = String::new();
        for (provider, key) in ["anthropic", "groq", "cerebras"].into_iter().zip(KEYS) {
            last = json(vault.add(provider, "main", key)).await["id"].as_str().unwrap().to_owned();
        }
        assert_eq!(problem(vault.add("anthropic", "main", KEYS[0])).await.1, "conflict");
        // What clients have in place of a key, and what nobody may have from a backup either.
        let placeholder = server.post("/api/v1/model-keys", json!({ "name": "a client", "models": [] }));
        let made = json(placeholder.bearer_auth(&vault.token)).await;
        let placeholder = made["secret"].as_str().unwrap();
        assert_eq!(problem(vault.unlock(WRONG)).await.1, "vault_password_wrong");
        json(vault.post("/rotate", json!({ "password": PASSWORD, "new_password": OTHER }))).await;
        let export = json!({ "password": OTHER, "file_password": FILE_PASSWORD });
        let file = json(vault.post("/export", export)).await;
        assert!(vault.delete(&format!("/keys/{last}")).send().await.unwrap().status().is_success());
        json(vault.post("/import", json!({ "file": file, "file_password": FILE_PASSWORD }))).await;
        let mut kept = vec![("live", database.dump(&server.data)), ("file", file.to_string().into_bytes())];
        let copy = server.data.with_file_name("copy.db");
        let made = server.host(&["backup", copy.to_str().unwrap()]);
        if matches!(database, Database::Sqlite) {
            assert!(made.status.success());
            kept.push(("backup", std::fs::read(copy).unwrap()));
        } else {
            // Its backup is that of PostgreSQL's own tool, which "live" is.
            assert!(String::from_utf8_lossy(&made.stderr).contains("pg_dump") && !copy.exists());
            assert!(found(&kept[0].1, b"PostgreSQL database dump") && found(&kept[0].1, b"vault_keys"));
        }
        let server = server.again(&options);
        json(Vault::of(&server).unlock(OTHER)).await;
        kept.push(("after a restart", database.dump(&server.data)));
        let log = server.log();
        assert!(found(&log, b"serving"), "the log is there");
        kept.push(("log", log));
        for secret in KEYS.into_iter().chain([PASSWORD, OTHER, WRONG, FILE_PASSWORD, placeholder]) {
            for trace in traces(secret) {
                for (place, bytes) in &kept {
                    assert!(!found(bytes, &trace), "{secret:?} shows in: {place}");
                }
            }
        }
        // The search works: what may be seen is found.
        assert!(kept.iter().any(|(_, bytes)| found(bytes, b"cerebras")));
    }
}
