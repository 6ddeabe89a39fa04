//! The router with the real server and vendors' published APIs: passed on as it came, translated, fallen back, cut,
//! capped, counted. A vendor is a stub here: what is shown is that we speak what is published.

mod counting;
mod falling;
mod keys;
mod late;
mod leaving;
mod months;
mod passing;
mod profiles;
mod proxied;
mod tasks;

use futures_util::StreamExt;
use journeys::{
    database::Database,
    eventually,
    models::Models,
    stack::{Folder, Server, Setting},
};
use reqwest::{Client, Method, RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};

const OPENAI_KEY: &str = "sk-openai-of-the-test-0123456789";
const ANTHROPIC_KEY: &str = "sk-ant-of-the-test-0123456789";
const PASSWORD: &str = "the master password of the test";
/// Prices of these are known: 2.50 $ in, 1.25 $ cached and 10 $ out, 1 $ in, 0.10 $ cached and 5 $ out.
const GPT: &str = "gpt-4o";
const CLAUDE: &str = "claude-haiku-4-5";

struct Scene {
    folder: Folder,
    database: Database,
    openai: Models,
    anthropic: Models,
    server: Server,
    owner: String,
    client: Client,
}

/// How long a model may take, seconds.
#[derive(Clone, Copy)]
struct Patience {
    connect: u32,
    first_token: u32,
    idle: u32,
    whole: u32,
}

impl Patience {
    const SHORT: Self = Self { connect: 2, ..Self::of(3) };
    /// Nothing ends because of it.
    const LONG: Self = Self { connect: 60, ..Self::of(600) };

    const fn of(seconds: u32) -> Self {
        Self { connect: seconds, first_token: seconds, idle: seconds, whole: seconds }
    }
}

async fn scene(database: Database) -> Scene {
    scene_with(database, Patience::SHORT).await
}

async fn scene_with(database: Database, patience: Patience) -> Scene {
    scene_on(Setting::on(database), patience).await
}

async fn scene_on(setting: Setting, patience: Patience) -> Scene {
    let (folder, database) = (Folder::new(), setting.database.clone());
    let openai = Models::start(&[GPT, "text-embedding-3-small"]).await;
    openai.want_key(OPENAI_KEY);
    let anthropic = Models::start(&[CLAUDE]).await;
    anthropic.want_key(ANTHROPIC_KEY);
    let setting = setting
        .env("FOREMAN_MODEL_CONNECT_S", patience.connect)
        .env("FOREMAN_MODEL_FIRST_TOKEN_S", patience.first_token)
        .env("FOREMAN_MODEL_IDLE_S", patience.idle)
        .env("FOREMAN_MODEL_WHOLE_S", patience.whole);
    let server = Server::start(folder.join("server"), setting).await;
    let (_, owner) = server.client("owner").await;
    let client = foreman_link::http::client().expect("a client");
    let scene = Scene { folder, database, openai, anthropic, server, owner, client };
    scene.api(Method::POST, "vault", json!({ "password": PASSWORD })).await;
    scene.provider("openai", "openai", &scene.openai.base(), OPENAI_KEY).await;
    scene.provider("anthropic", "anthropic", &scene.anthropic.base(), ANTHROPIC_KEY).await;
    scene
}

impl Scene {
    fn request(&self, method: Method, path: &str, secret: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.server.url)).bearer_auth(secret)
    }

    /// Foreman's own API, as the owner.
    async fn api(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.request(method, &format!("/api/v1/{path}"), &self.owner);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("text");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn provider(&self, kind: &str, name: &str, base: &str, key: &str) -> Value {
        let body = json!({ "kind": kind, "name": name, "base_url": base, "key": key });
        self.api(Method::POST, "providers", body).await
    }

    /// One that wants no key, of which nothing more is known than what it lists.
    async fn plain_provider(&self, name: &str, base: &str) -> Value {
        let body = json!({ "kind": "openai_compatible", "name": name, "base_url": base });
        self.api(Method::POST, "providers", body).await
    }

    /// `auto` tries these, in this order.
    async fn auto_tries(&self, models: &[&str]) {
        let mut routing = self.api(Method::GET, "routing", Value::Null).await;
        routing["profiles"][0]["models"] = json!(models);
        routing["profiles"][0]["order"] = json!("as_listed");
        routing["profiles"][0]["by_request"] = json!(false);
        self.api(Method::PUT, "routing", routing).await;
    }

    async fn cap(&self, caps: Value) {
        let mut routing = self.api(Method::GET, "routing", Value::Null).await;
        routing["caps"] = caps;
        self.api(Method::PUT, "routing", routing).await;
    }

    /// One provider, as it is shown.
    async fn provider_of(&self, name: &str) -> Value {
        let all = self.api(Method::GET, "providers", Value::Null).await;
        let items = all["items"].as_array().expect("a list").clone();
        items.into_iter().find(|provider| provider["name"] == name).expect("there")
    }

    /// A placeholder key's secret and id.
    async fn key(&self, wish: Value) -> (String, String) {
        let mut body = json!({ "name": "agent" });
        for (name, value) in wish.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let made = self.api(Method::POST, "model-keys", body).await;
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&made["secret"]), text(&made["key"]["id"]))
    }

    async fn ask(&self, secret: &str, path: &str, body: &Value) -> Heard {
        let answer = self.request(Method::POST, path, secret).json(body).send().await.expect("an answer");
        Heard::whole(answer).await
    }

    async fn chat(&self, model: &str) -> Heard {
        self.ask(&self.owner, "/v1/chat/completions", &chat(model, false)).await
    }

    /// An answer whose beginning is there.
    async fn stream(&self, secret: &str, path: &str, body: &Value) -> Response {
        self.request(Method::POST, path, secret).json(body).send().await.expect("an answer")
    }

    async fn usage(&self, by: &str) -> Value {
        self.api(Method::GET, &format!("usage?by={by}"), Value::Null).await
    }

    /// Every request as a line.
    async fn csv(&self) -> String {
        let answer = self.request(Method::GET, "/api/v1/usage.csv", &self.owner).send().await;
        answer.expect("an answer").text().await.expect("text")
    }

    /// How many requests ended so, once there are so many in all.
    async fn ended(&self, requests: usize, outcome: &str) -> usize {
        let csv = eventually("all are rows", || async {
            let csv = self.csv().await;
            (csv.lines().count() > requests).then_some(csv)
        });
        csv.await.matches(&format!(",{outcome},")).count()
    }

    /// Tells what is known of a provider something else.
    async fn change(&self, provider: &str, change: Value) -> Value {
        let id = self.provider_of(provider).await["id"].as_str().expect("text").to_owned();
        self.api(Method::PATCH, &format!("providers/{id}"), change).await
    }
}

fn chat(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "good morning to all" }] })
}

fn message(model: &str, stream: bool) -> Value {
    let mut body = chat(model, stream);
    body["max_tokens"] = json!(100);
    body
}

/// An answer, read to its end.
struct Heard {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Heard {
    async fn whole(answer: Response) -> Self {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { status, headers, text: answer.text().await.expect("text") }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} {}", self.status, self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The data of a stream's events.
    fn events(&self) -> Vec<Value> {
        let data = self.text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).expect("JSON")).collect()
    }

    /// What a stream of OpenAI's format says.
    fn said(&self) -> String {
        let text = |event: &Value| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        self.events().iter().filter_map(text).collect()
    }
}

/// Reads until something is there.
async fn until(
    stream: &mut (impl StreamExt<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    what: &str,
) -> String {
    let mut text = String::new();
    while !text.contains(what) {
        let piece = journeys::soon(what, stream.next()).await.expect("more").expect("whole");
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    text
}
