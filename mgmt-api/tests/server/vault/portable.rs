//! Out as an encrypted file and in again, and what shows that something was changed on the way.

use serde_json::{Value, json};

use super::{FILE_PASSWORD, OTHER, PASSWORD, Vault, execute, on_both, open_file};
use crate::running::{Running, json, problem};

async fn exported(vault: &Vault<'_>) -> Value {
    json(vault.post("/export", json!({ "password": PASSWORD, "file_password": FILE_PASSWORD }))).await
}

#[tokio::test]
async fn a_vault_moves_to_another_server() {
    on_both(&[], async |server, _| {
        let vault = Vault::initialised(server).await;
        json(vault.add("openai", "a", "sk-openai-0123456789abcdef")).await;
        json(vault.add("groq", "b", "gsk-groq-0123456789abcdef")).await;
        let wrong = vault.post("/export", json!({ "password": OTHER, "file_password": FILE_PASSWORD }));
        assert_eq!(problem(wrong).await.1, "vault_password_wrong");
        let file = exported(&vault).await;
        assert_eq!(open_file(&file, OTHER), None);
        assert_eq!(open_file(&file, FILE_PASSWORD).unwrap().len(), 2);

        let elsewhere = Running::fresh();
        let import = json!({ "file": file, "file_password": FILE_PASSWORD });
        let there = Vault::of(&elsewhere);
        assert_eq!(problem(there.post("/import", import.clone())).await.1, "vault_missing");
        let there = Vault::initialised(&elsewhere).await;
        json(there.add("groq", "b", "gsk-its-own-0123456789abcdef")).await;
        let done = json(there.post("/import", import.clone())).await;
        assert_eq!(done["added"], json!([{ "provider": "openai", "name": "a" }]));
        assert_eq!(done["kept"], json!([{ "provider": "groq", "name": "b" }]));
        let mut keys = open_file(&exported(&there).await, FILE_PASSWORD).unwrap();
        keys.sort();
        assert_eq!(
            keys,
            [
                ("groq/b".to_owned(), "gsk-its-own-0123456789abcdef".to_owned()),
                ("openai/a".to_owned(), "sk-openai-0123456789abcdef".to_owned()),
            ]
        );
        json(there.post("/lock", json!({}))).await;
        assert_eq!(problem(there.post("/import", import)).await.1, "vault_locked");
    })
    .await;
}

#[tokio::test]
async fn a_changed_file_does_not_open() {
    let server = Running::fresh();
    let vault = Vault::initialised(&server).await;
    json(vault.add("openai", "a", "sk-openai-0123456789abcdef")).await;
    let file = exported(&vault).await;
    let mut sealed = file["sealed"].as_str().unwrap().to_owned();
    let flipped = if sealed.as_bytes()[60] == b'A' { "B" } else { "A" };
    sealed.replace_range(60..61, flipped);
    let changes = [
        ("/sealed", json!(sealed)),
        ("/created_at", json!(1)),
        ("/version", json!(2)),
        ("/format", json!("something-else")),
        ("/kdf/passes", json!(1)),
        ("/kdf/memory_kib", json!(4_000_000_000_u32)),
        ("/kdf/salt", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ];
    for (at, value) in changes {
        let mut changed = file.clone();
        *changed.pointer_mut(at).unwrap() = value;
        let import = vault.post("/import", json!({ "file": changed, "file_password": FILE_PASSWORD }));
        assert_eq!(problem(import).await.1, "invalid_request", "{at}");
    }
    assert_eq!(vault.names().await, ["openai/a"]);
}

/// Whoever can write the database cannot give one key the place of another.
#[tokio::test]
async fn a_value_in_another_row_does_not_open() {
    on_both(&[], async |server, database| {
        let vault = Vault::initialised(server).await;
        json(vault.add("openai", "a", "sk-openai-0123456789abcdef")).await;
        json(vault.add("groq", "b", "gsk-groq-0123456789abcdef")).await;
        for sql in [
            "UPDATE vault_keys SET sealed = (SELECT other.sealed FROM vault_keys other WHERE other.name = 'b') \
             WHERE name = 'a'",
            "UPDATE vault_keys SET name = 'c' WHERE name = 'b'",
            "UPDATE vault_keys SET provider = 'openai_compatible' WHERE name = 'a'",
        ] {
            execute(server, database, sql).await;
            let export =
                vault.post("/export", json!({ "password": PASSWORD, "file_password": FILE_PASSWORD }));
            assert_eq!(problem(export).await.1, "internal");
        }
    })
    .await;
}
