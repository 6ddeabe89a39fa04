//! Placeholder keys: what they may ask, until when, and what nobody can read.

use std::time::{Duration, Instant};

use journeys::{
    database::Database,
    stack::{Server, Setting},
};
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

/// Two servers on one PostgreSQL, each with keys and rows in its memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_back_at_one_server_is_refused_at_the_other() {
    let scene = scene(Database::postgresql()).await;
    let seal = scene.folder.join("server").join("seal.key");
    let setting = Setting::on(scene.database.clone()).env("FOREMAN_SEAL_KEY_FILE", seal.display());
    let other = Server::start(scene.folder.join("other"), setting).await;
    let there = async |secret: &str| {
        let request = scene.client.post(format!("{}/v1/chat/completions", other.url)).bearer_auth(secret);
        let answer = request.json(&chat(GPT, false)).send().await.expect("an answer");
        Heard::whole(answer).await.status
    };
    // Rows that nobody told of are read again after ten seconds: what is heard is there long before.
    let soon = async |what: &str, secret: &str, status: u16| {
        let since = Instant::now();
        journeys::eventually(what, || async { (there(secret).await == status).then_some(()) }).await;
        assert!(since.elapsed() < Duration::from_secs(8), "{what}: after {:?}", since.elapsed());
    };
    assert_eq!(there(&scene.owner).await, 423, "each is unlocked on its own");
    let unlock = scene.client.post(format!("{}/api/v1/vault/unlock", other.url)).bearer_auth(&scene.owner);
    let unlocked = unlock.json(&json!({ "password": PASSWORD })).send().await.expect("an answer");
    assert!(unlocked.status().is_success());

    let (key, id) = scene.key(json!({})).await;
    soon("a key made at one works at the other", &key, 200).await;
    scene.api(Method::DELETE, &format!("model-keys/{id}"), Value::Null).await;
    assert_eq!(scene.ask(&key, "/v1/chat/completions", &chat(GPT, false)).await.status, 401, "at once");
    soon("revoked at one, it is refused at the other", &key, 401).await;

    // Another key of the vendor's: the one before is in nobody's memory.
    let provider = format!("providers/{}", scene.provider_of("openai").await["id"].as_str().expect("text"));
    assert_eq!(there(&scene.owner).await, 200);
    scene.openai.want_key("sk-another-of-the-test-9876543210");
    scene.api(Method::PATCH, &provider, json!({ "key": "sk-another-of-the-test-9876543210" })).await;
    assert_eq!(scene.chat(GPT).await.status, 200, "at once");
    soon("the other server uses the new one", &scene.owner, 200).await;

    scene.api(Method::POST, "vault/lock", Value::Null).await;
    assert_eq!(scene.chat(GPT).await.status, 423, "at once");
    soon("locked at one, it is locked at the other", &scene.owner, 423).await;
}

async fn rights_follow_a_provider_and_not_its_name(database: Database) {
    let scene = scene(database).await;
    let (key, _) = scene.key(json!({ "models": ["openai/*", "anthropic/claude-haiku-4-5"] })).await;
    scene.auto_tries(&[&format!("openai/{GPT}"), &format!("anthropic/{CLAUDE}")]).await;
    let path = |provider: &Value| format!("providers/{}", provider["id"].as_str().expect("an id"));
    let of = async |name: &str| path(&scene.provider_of(name).await);
    let asks = async |model: &str| scene.ask(&key, "/v1/chat/completions", &chat(model, false)).await.status;

    scene.api(Method::PATCH, &of("openai").await, json!({ "name": "work" })).await;
    assert_eq!(asks("work/gpt-4o").await, 200, "at once");
    let kept = scene.api(Method::GET, "model-keys", Value::Null).await;
    assert_eq!(kept["items"][0]["models"], json!(["work/*", "anthropic/claude-haiku-4-5"]));
    let routing = scene.api(Method::GET, "routing", Value::Null).await;
    assert_eq!(routing["profiles"][0]["models"], json!(["work/gpt-4o", "anthropic/claude-haiku-4-5"]));
    assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "work");
    // Whoever gets the name gets none of the rights.
    scene.provider("openai", "openai", &scene.openai.base(), OPENAI_KEY).await;
    assert_eq!(asks("openai/gpt-4o").await, 404);

    // The same for one that is removed; the key is not for everything then.
    scene.api(Method::DELETE, &of("work").await, Value::Null).await;
    scene.api(Method::PATCH, &of("openai").await, json!({ "name": "work" })).await;
    assert_eq!((asks("work/gpt-4o").await, asks(CLAUDE).await), (404, 200));
    scene.api(Method::DELETE, &of("anthropic").await, Value::Null).await;
    scene.provider("anthropic", "anthropic", &scene.anthropic.base(), ANTHROPIC_KEY).await;
    assert_eq!((asks("work/gpt-4o").await, asks(CLAUDE).await), (404, 404));
    let kept = scene.api(Method::GET, "model-keys", Value::Null).await;
    assert_eq!(
        kept["items"][0]["models"],
        json!(["work (removed)/*", "anthropic (removed)/claude-haiku-4-5"])
    );
    let log = scene.api(Method::GET, "audit?type=model_key.updated", Value::Null).await;
    assert_eq!(log["items"].as_array().map(Vec::len), Some(3), "{log}");
}

crate::on_both_databases!(
    a_key_opens_what_it_is_for_and_nothing_once_revoked,
    rights_follow_a_provider_and_not_its_name,
);
