//! A task that asks models: with a key of its own, for what was named and no longer than it runs.

use std::path::Path;

use journeys::{
    database::Database,
    eventually,
    stack::{Agent, Setting},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ANTHROPIC_KEY, CLAUDE, GPT, OPENAI_KEY, Patience, Scene, chat, scene, scene_on};

/// Asks as a program would that reads its environment, and writes each status down: one of OpenAI's shape, one of
/// Anthropic's, and a model that the key is not for. Then it waits for its gate.
fn asking(folder: &Path) -> String {
    let other = chat(GPT, false);
    format!(
        "cd '{}' || exit 9; \
         ask() {{ curl -sS -o /dev/null -w '%{{http_code}}\\n' \"$1\" -H 'content-type: application/json' \
         -H \"authorization: Bearer $2\" -d \"$3\"; }}; \
         {{ ask \"$OPENAI_BASE_URL/chat/completions\" \"$OPENAI_API_KEY\" \
         '{{\"model\":\"'$OPENAI_MODEL'\",\"messages\":[{{\"role\":\"user\",\"content\":\"good morning\"}}]}}'; \
         ask \"$ANTHROPIC_BASE_URL/v1/messages\" \"$ANTHROPIC_AUTH_TOKEN\" '{{\"model\":\"'$ANTHROPIC_MODEL'\",\
         \"max_tokens\":100,\"messages\":[{{\"role\":\"user\",\"content\":\"good morning\"}}]}}'; \
         ask \"$OPENAI_BASE_URL/chat/completions\" \"$OPENAI_API_KEY\" '{other}'; }} > asked 2>&1; \
         printf %s \"$OPENAI_API_KEY\" > secret; mv asked told; \
         until [ -e gate ]; do sleep 0.05; done",
        folder.display()
    )
}

impl Scene {
    async fn start(&self, device: &str, body: &Value) -> (u16, Value) {
        let request = self.request(Method::POST, &format!("/api/v1/devices/{device}/tasks"), &self.owner);
        let answer = request.json(body).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn keys(&self) -> Vec<Value> {
        let shown = self.api(Method::GET, "model-keys", Value::Null).await;
        shown["items"].as_array().expect("a list").clone()
    }

    async fn revoked(&self, secret: &str) {
        eventually("its key is dead", || async {
            let heard = self.ask(secret, "/v1/chat/completions", &chat(CLAUDE, false)).await;
            (heard.status == 401).then_some(())
        })
        .await;
        assert_eq!(self.keys().await, Vec::<Value>::new(), "nobody has to look at what is over");
    }
}

async fn a_task_asks_models_with_a_key_of_its_own_that_ends_with_it(database: Database) {
    let scene = scene(database).await;
    let (foreman, _) = scene.server.client("owner").await;
    let agent = Agent::join(&foreman, &scene.server.url, scene.folder.join("agent"), &[]).await;
    let device = agent.device.to_string();
    let work = scene.folder.join("work");
    std::fs::create_dir(&work).expect("a folder");

    let models = json!({ "models": [format!("anthropic/{CLAUDE}")], "cap_micros": 5_000_000 });
    let (status, task) = scene.start(&device, &json!({ "shell": asking(&work), "models": models })).await;
    assert_eq!((status, &task["models"]), (201, &models), "{task}");
    assert_eq!(task["env_names"], Value::Null, "what it gets is no variable of the asker's");
    let told = eventually("it has asked", || async { std::fs::read_to_string(work.join("told")).ok() }).await;
    assert_eq!(told, "200\n200\n404\n");
    let secret = std::fs::read_to_string(work.join("secret")).expect("written before");
    assert!(secret.starts_with("fm-"), "{secret}");

    let keys = scene.keys().await;
    assert_eq!(
        (keys.len(), &keys[0]["task_id"], &keys[0]["cap_micros"]),
        (1, &task["id"], &json!(5_000_000))
    );
    assert!(keys[0]["expires_at"].is_i64(), "its end may never be told");
    eventually("what it used is on its key", || async {
        let used = scene.usage("key").await;
        used["sums"].as_array()?.iter().any(|sum| sum["requests"] == 2).then_some(())
    })
    .await;
    let stored = scene.database.dump(&scene.folder.join("server"));
    for secret in [secret.as_str(), OPENAI_KEY, ANTHROPIC_KEY] {
        let found = stored.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found && !scene.server.said.text().contains(secret), "a secret is stored or logged");
    }

    std::fs::write(work.join("gate"), "").expect("written");
    eventually("it ended", || async {
        let path = format!("tasks/{}", task["id"].as_str()?);
        (scene.api(Method::GET, &path, Value::Null).await["state"] == "succeeded").then_some(())
    })
    .await;
    scene.revoked(&secret).await;
    let log = scene.api(Method::GET, "audit?type=model_key.revoked", Value::Null).await;
    assert_eq!(log["items"].as_array().map(Vec::len), Some(1), "{log}");
}

async fn a_key_ends_with_a_task_that_never_ran_and_with_its_device(database: Database) {
    let scene = scene_on(
        Setting::on(database).env("FOREMAN_HEARTBEAT_S", 1).env("FOREMAN_OFFLINE_AFTER_S", 2),
        Patience::SHORT,
    )
    .await;
    let (foreman, _) = scene.server.client("owner").await;
    let mut agent = Agent::join(&foreman, &scene.server.url, scene.folder.join("agent"), &[]).await;
    let device = agent.device.to_string();
    let wish = |models: Value| json!({ "shell": "true", "models": models });
    for wrong in [json!({ "models": [] }), json!({ "models": ["auto"], "cap_micros": -1 })] {
        let (status, problem) = scene.start(&device, &wish(wrong)).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_request")), "{problem}");
    }
    assert_eq!(scene.keys().await, Vec::<Value>::new());

    agent.program.kill().await;
    eventually("it is offline", || async {
        let shown = scene.api(Method::GET, &format!("devices/{device}"), Value::Null).await;
        (shown["status"] == "offline").then_some(())
    })
    .await;
    let (status, task) = scene.start(&device, &wish(json!({ "models": ["auto:code"] }))).await;
    assert_eq!((status, scene.keys().await.len()), (201, 1), "{task}");
    // The same once more is the same task with the same key.
    let mut again = wish(json!({ "models": ["auto:code"] }));
    again["id"] = task["id"].clone();
    assert_eq!((scene.start(&device, &again).await.0, scene.keys().await.len()), (201, 1));
    scene.api(Method::POST, &format!("tasks/{}/stop", task["id"].as_str().expect("an id")), json!({})).await;
    assert_eq!(scene.keys().await, Vec::<Value>::new(), "withdrawn");

    let (status, _) = scene.start(&device, &wish(json!({ "models": ["auto"] }))).await;
    assert_eq!((status, scene.keys().await.len()), (201, 1));
    scene.api(Method::DELETE, &format!("devices/{device}"), Value::Null).await;
    assert_eq!(scene.keys().await, Vec::<Value>::new(), "removed");
    let log = scene.api(Method::GET, "audit?type=model_key.revoked", Value::Null).await;
    assert_eq!(log["items"].as_array().map(Vec::len), Some(2), "{log}");
}

crate::on_both_databases!(
    a_task_asks_models_with_a_key_of_its_own_that_ends_with_it,
    a_key_ends_with_a_task_that_never_ran_and_with_its_device,
);
