//! Placeholder keys: what they may ask, until when, and what nobody can read.

use journeys::database::Database;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ANTHROPIC_KEY, CLAUDE, GPT, Heard, OPENAI_KEY, PASSWORD, chat, scene};

async fn a_key_opens_what_it_is_for_and_nothing_once_revoked(database: Database) {
    let scene = scene(database).await;
    let (key, id) = scene.key(json!({ "models": ["anthropic/*"], "project": "site" })).await;
    assert!(key.starts_with("fm-") && key.len() > 40, "{key}");
    assert_eq!(scene.ask(&key, "/v1/chat/completions", &chat(CLAUDE, false)).await.status, 200);
    let heard = scene.ask(&key, "/v1/chat/completions", &chat(GPT, false)).await;
    assert_eq!((heard.status, &heard.json()["error"]["code"]), (404, &json!("model_unavailable")));
    assert_eq!(
        scene.ask(&key, "/v1/chat/completions", &chat("auto", false)).await.header("x-foreman-provider"),
        "anthropic",
        "the only one it is for"
    );
    let listed = scene.request(Method::GET, "/v1/models", &key).send().await.expect("an answer");
    assert!(!Heard::whole(listed).await.text.contains(GPT));
    // It asks models and nothing else.
    for path in ["/api/v1/usage", "/api/v1/devices", "/api/v1/vault"] {
        let answer = scene.request(Method::GET, path, &key).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 401, "{path}");
    }
    scene.api(Method::DELETE, &format!("model-keys/{id}"), Value::Null).await;
    assert_eq!(
        scene.ask(&key, "/v1/chat/completions", &chat(CLAUDE, false)).await.status,
        401,
        "dead at once"
    );

    let (brief, _) = scene.key(json!({ "expires_in_s": 1 })).await;
    journeys::eventually("it expires", || async {
        (scene.ask(&brief, "/v1/chat/completions", &chat(GPT, false)).await.status == 401).then_some(())
    })
    .await;
    let shown = scene.api(Method::GET, "model-keys", Value::Null).await;
    assert_eq!(shown["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["items"][0]["last_four"], key[key.len() - 4..]);

    let stored = scene.database.dump(&scene.folder.join("server"));
    for secret in [key.as_str(), brief.as_str(), OPENAI_KEY, ANTHROPIC_KEY, PASSWORD, "good morning to all"] {
        let found = stored.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} is stored");
        assert!(!scene.server.said.text().contains(secret), "{secret} is in the log");
    }
}

crate::on_both_databases!(a_key_opens_what_it_is_for_and_nothing_once_revoked);
