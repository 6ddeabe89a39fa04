//! The profiles that everybody has, asked for by name: which of several models answers, and what is said of why.

use journeys::{
    database::Database,
    eventually,
    models::Models,
    ollama::{self, Ollama},
    stack::{Agent, Setting},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{CLAUDE, GPT, Patience, Scene, chat, message, scene_on};

const LLAMA: &str = "llama3.2:latest";
/// What Ollama sends on to its cloud.
const ELSEWHERE: &str = "gpt-oss:120b-cloud";

/// An own device with an Ollama, a cheap provider for code, one for research, and one with a long context that is the
/// default.
struct Home {
    // Dropped in this order: the agent first, the folder last.
    agent: Agent,
    ollama: Ollama,
    cheap: Models,
    scene: Scene,
}

async fn home(setting: Setting) -> Home {
    let scene = scene_on(setting.env("FOREMAN_HEARTBEAT_S", 1), Patience::LONG).await;
    let cheap = Models::start(&["nickel"]).await;
    scene.plain_provider("bargain", &cheap.base()).await;
    let price = json!({ "price": { "input_micros": 1_000, "output_micros": 1_000 }, "enabled": true });
    scene.api(Method::PATCH, "models/bargain/nickel", price).await;
    scene.change("bargain", json!({ "use_for": ["code"] })).await;
    scene.change("anthropic", json!({ "use_for": ["research"] })).await;
    scene.change("openai", json!({ "use_for": ["code"], "is_default": true })).await;

    let ollama = Ollama::start().await;
    ollama.let_all_happen();
    let small = ollama::Model::with(&["completion", "tools"]);
    ollama.add(LLAMA, ollama::Model { parameters: "num_ctx 8192", ..small });
    let elsewhere = ollama::Model::with(&["completion"]);
    ollama.add(ELSEWHERE, ollama::Model { remote_host: Some("https://ollama.com:443"), ..elsewhere });
    let (foreman, _) = scene.server.client("owner").await;
    let env = [("OLLAMA_HOST", ollama.host.clone())];
    let agent = Agent::join(&foreman, &scene.server.url, scene.folder.join("agent"), &env).await;
    eventually("its models are known", || async {
        let all = scene.api(Method::GET, "models?provider=journey", Value::Null).await;
        let items = all["items"].as_array().expect("a list");
        let known = |model: &Value| model["id"] != LLAMA || model["context_tokens"] == 8_192;
        (items.len() == 2 && items.iter().all(known)).then_some(())
    })
    .await;
    scene.change("journey", json!({ "use_for": ["code"] })).await;
    Home { agent, ollama, cheap, scene }
}

impl Home {
    /// What is said of who answered.
    async fn why(&self, asked: &Value) -> String {
        let heard = self.scene.ask(&self.scene.owner, "/v1/chat/completions", asked).await;
        assert_eq!(heard.status, 200, "{}", heard.text);
        let said = &heard.json()["choices"][0]["message"]["content"];
        assert!(said.as_str().is_some_and(|said| !said.is_empty()), "{said}");
        heard.header("x-foreman-reason").to_owned()
    }

    /// Waits until the device's provider is shown so.
    async fn is(&self, state: &str) {
        eventually("the device's provider is shown as it is", || async {
            (self.scene.provider_of("journey").await["health"]["state"] == state).then_some(())
        })
        .await;
    }

    /// Requests that left the devices.
    fn sent_away(&self) -> usize {
        let onward = format!("chat {ELSEWHERE}");
        let sent_on = self.ollama.calls().iter().filter(|call| **call == onward).count();
        self.scene.openai.count() + self.scene.anthropic.count() + self.cheap.count() + sent_on
    }

    /// Every way of asking for a private answer gets this, and nothing leaves.
    async fn stays_at_home(&self, status: u16, code: &str) -> Value {
        let away = self.sent_away();
        let mut details = Value::Null;
        for (path, body) in [
            ("/v1/chat/completions", chat("auto:private", false)),
            ("/v1/chat/completions", chat("auto:private", true)),
            ("/v1/messages", message("auto:private", true)),
        ] {
            let heard = self.scene.ask(&self.scene.owner, path, &body).await;
            let error = &heard.json()["error"];
            assert_eq!((heard.status, &error["code"]), (status, &json!(code)), "{}", heard.text);
            details = error["details"].clone();
            for tried in details["tried"].as_array().expect("a list") {
                assert_eq!(
                    (&tried["provider"], &tried["model"]),
                    (&json!("journey"), &json!(LLAMA)),
                    "{details}"
                );
            }
        }
        assert_eq!(self.sent_away(), away, "it stays here");
        details
    }
}

async fn each_profile_finds_its_model_and_says_why(database: Database) {
    let home = home(Setting::on(database)).await;
    let why = async |profile: &str| home.why(&chat(profile, false)).await;
    assert_eq!(why("auto").await, "llama3.2:latest on journey: on your own device");
    assert_eq!(why("auto:private").await, "llama3.2:latest on journey: private");
    assert_eq!(why("auto:cheapest").await, "llama3.2:latest on journey: cheapest");
    assert_eq!(why("auto:code").await, "llama3.2:latest on journey: for code, on your own device");
    assert_eq!(why("auto:research").await, format!("{CLAUDE} at anthropic: for research"));
    assert_eq!(why("auto:long").await, format!("{GPT} at openai: long context, default provider"));
    let heard = home.scene.chat("auto").await;
    assert_eq!((heard.header("x-foreman-device"), heard.header("x-foreman-model")), ("journey", LLAMA));

    // `auto` looks at the request.
    let mut long = chat("auto", false);
    long["messages"][0]["content"] = json!("word ".repeat(30_000));
    assert_eq!(home.why(&long).await, format!("{GPT} at openai: long context, default provider"));
    let mut tools = chat("auto", false);
    tools["tools"] = json!([{ "type": "function", "function": { "name": "look", "parameters": {} } }]);
    let heard = home.scene.ask(&home.scene.owner, "/v1/chat/completions", &tools).await;
    assert_eq!(heard.header("x-foreman-reason"), "llama3.2:latest on journey: for code, on your own device");

    // Without the device the clouds are compared by what is known of them.
    home.scene.change("journey", json!({ "enabled": false })).await;
    assert_eq!(why("auto:cheapest").await, "nickel at bargain: cheapest");
    assert_eq!(why("auto").await, format!("{GPT} at openai: default provider"));
    assert_eq!(why("auto:code").await, format!("{GPT} at openai: for code, default provider"));
    home.scene.change("openai", json!({ "enabled": false })).await;
    assert_eq!(why("auto:code").await, "nickel at bargain: for code");
    assert_eq!(
        why("auto:long").await,
        format!("{CLAUDE} at anthropic: long context, the only one that can"),
        "how much nickel takes nobody knows"
    );

    // One that somebody made, and one that nobody did.
    let heard = home.scene.chat("auto:local").await;
    assert_eq!((heard.status, &heard.json()["error"]["code"]), (404, &json!("model_unavailable")));
    let mut routing = home.scene.api(Method::GET, "routing", Value::Null).await;
    let mut own = routing["profiles"][1].clone();
    own["name"] = json!("auto:local");
    own["order"] = json!("as_listed");
    own["private_only"] = json!(false);
    own["models"] = json!(["bargain/nickel"]);
    routing["profiles"].as_array_mut().expect("a list").push(own);
    home.scene.api(Method::PUT, "routing", routing).await;
    assert_eq!(why("auto:local").await, "nickel at bargain: on the profile's list");
}

async fn private_stays_at_home_also_when_nobody_is_there(database: Database) {
    let mut home = home(Setting::on(database).env("FOREMAN_OFFLINE_AFTER_S", 5)).await;
    // Neither what a person lists by mistake nor what Ollama sends on makes it less private.
    let mut routing = home.scene.api(Method::GET, "routing", Value::Null).await;
    let listed = json!([format!("openai/{GPT}"), format!("journey/{ELSEWHERE}")]);
    let profiles = routing["profiles"].as_array_mut().expect("a list");
    let private = profiles.iter_mut().find(|profile| profile["name"] == "auto:private").expect("there");
    private["models"] = listed;
    home.scene.api(Method::PUT, "routing", routing).await;
    assert_eq!(home.why(&chat("auto:private", false)).await, "llama3.2:latest on journey: private");
    assert_eq!(home.sent_away(), 0);

    // The device is away.
    home.agent.program.kill().await;
    home.is("offline").await;
    let details = home.stays_at_home(502, "upstream_failed").await;
    assert_eq!(details["tried"][0]["cause"], "unreachable");
    let heard = home.scene.chat("auto").await;
    assert_eq!(heard.header("x-foreman-provider"), "openai", "others go elsewhere: {}", heard.text);
    assert_eq!(heard.header("x-foreman-instead-of"), "journey/llama3.2:latest: unreachable");
    home.agent.start_again();
    home.is("up").await;
    assert_eq!(home.why(&chat("auto:private", false)).await, "llama3.2:latest on journey: private");
    // It is there, and its Ollama is not.
    home.ollama = Ollama::start().await;
    home.stays_at_home(502, "upstream_failed").await;
    // And what is switched off is no reason to go elsewhere.
    home.scene.change("journey", json!({ "enabled": false })).await;
    let details = home.stays_at_home(404, "model_unavailable").await;
    let unfit = details["unfit"].as_array().expect("a list");
    let because =
        |model: &str| &unfit.iter().find(|unfit| unfit["model"] == model).expect("it is named")["because"];
    assert_eq!((because(LLAMA), because(GPT)), (&json!("disabled"), &json!("not_private")));
}

crate::on_both_databases!(
    each_profile_finds_its_model_and_says_why,
    private_stays_at_home_also_when_nobody_is_there,
);
