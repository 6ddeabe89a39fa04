//! Providers of models: Ollama on a device, found by itself and used over the link, and others by key.

mod keyed;
mod on_device;
mod signed_in;
mod vendors;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use journeys::{eventually, soon};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// Whoever asks the server, with a token of one role.
pub struct Asker {
    pub url: String,
    pub token: String,
    client: Client,
}

impl Asker {
    pub fn new(url: &str, token: &str) -> Self {
        let client = foreman_link::http::client().expect("a client");
        Self { url: url.to_owned(), token: token.to_owned(), client }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(&self.token)
    }

    /// The status and the JSON of an answer.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.request(method, path).timeout(Duration::from_secs(60));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.ask(Method::DELETE, path, None).await
    }

    pub async fn providers(&self) -> Vec<Value> {
        self.get("/providers").await["items"].as_array().expect("a list").clone()
    }

    pub async fn models(&self, query: &str) -> Vec<Value> {
        self.get(&format!("/models?limit=200&{query}")).await["items"].as_array().expect("a list").clone()
    }

    /// What a client of the router gets for a question.
    pub async fn chat(&self, model: &str, stream: bool) -> Response {
        self.complete(&json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "hello" }] }))
            .await
    }

    /// What a client of the router gets for this.
    pub async fn complete(&self, body: &Value) -> Response {
        let request = self.client.post(format!("{}/v1/chat/completions", self.url));
        request.bearer_auth(&self.token).json(body).send().await.expect("an answer")
    }

    /// The one provider of this name, once `fits`.
    pub async fn provider(&self, what: &str, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || async {
            self.providers().await.into_iter().find(|provider| provider["name"] == name && fits(provider))
        })
        .await
    }

    /// What the log tells of these kinds, oldest first.
    pub async fn told(&self, prefix: &str) -> Vec<Value> {
        let page = self.get("/audit?limit=200").await;
        let mut told: Vec<Value> = page["items"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|event| event["type"].as_str().is_some_and(|kind| kind.starts_with(prefix)))
            .cloned()
            .collect();
        told.sort_by_key(|event| event["cursor"].as_i64());
        told
    }
}

/// Server-sent events of a response.
pub struct Events {
    pieces: futures_util::stream::BoxStream<'static, reqwest::Result<Bytes>>,
    held: String,
}

impl Events {
    pub fn of(answer: Response) -> Self {
        assert_eq!(answer.status(), 200);
        Self { pieces: answer.bytes_stream().boxed(), held: String::new() }
    }

    /// The next one's name and data; `None` at the end.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.held.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap_or_default()
                        .trim()
                        .to_owned()
                };
                let (name, data) = (field("event:"), field("data:"));
                self.held = rest.to_owned();
                return Some((name, serde_json::from_str(&data).unwrap_or(Value::String(data))));
            }
            let piece = soon("an event comes", self.pieces.next()).await?.expect("the stream holds");
            self.held.push_str(std::str::from_utf8(&piece).expect("text"));
        }
    }

    /// The first event that fits.
    pub async fn until(&mut self, fits: impl Fn(&str, &Value) -> bool) -> (String, Value) {
        loop {
            let (name, data) = self.next().await.expect("it does not end before");
            if fits(&name, &data) {
                return (name, data);
            }
        }
    }
}

pub fn nothing() -> Value {
    json!({})
}
