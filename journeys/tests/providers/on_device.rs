//! An Ollama on a device: found, listed, asked, filled and emptied over the device link.

use std::time::Duration;

use foreman_protocol::{CreateDevice, DeviceType};
use journeys::{
    database::Database,
    eventually,
    ollama::{LAYER, Model, Ollama},
    stack::{Agent, Folder, Server, Setting},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Asker, Events, nothing};

const LLAMA: &str = "llama3.2:latest";

struct Scene {
    // Dropped in this order: the agent first, the folder last.
    agent: Agent,
    server: Server,
    ollama: Ollama,
    owner: Asker,
    _folder: Folder,
}

impl Scene {
    async fn new(database: Database) -> Self {
        let folder = Folder::new();
        let ollama = Ollama::start().await;
        ollama.add(LLAMA, Model::with(&["completion", "tools"]));
        ollama.add("nomic-embed-text:latest", Model::with(&["embedding"]));
        let cloud = Model { remote_host: Some("https://ollama.com:443"), ..Model::with(&["completion"]) };
        ollama.add("gpt-oss:120b-cloud", cloud);
        let setting = Setting::on(database).env("FOREMAN_HEARTBEAT_S", 1);
        let server = Server::start(folder.join("server"), setting).await;
        let (foreman, token) = server.client("owner").await;
        let env = [("OLLAMA_HOST", ollama.host.clone())];
        let agent = Agent::join(&foreman, &server.url, folder.join("agent"), &env).await;
        let owner = Asker::new(&server.url, &token);
        Self { agent, server, ollama, owner, _folder: folder }
    }

    /// Waits until it was found and has listed so many models.
    async fn found(&self, models: usize) -> Value {
        self.owner
            .provider("Ollama is found with its models", "journey", |provider| {
                provider["health"]["models"] == models && provider["health"]["state"] == "up"
            })
            .await
    }

    fn device(&self, rest: &str) -> String {
        format!("/devices/{}{rest}", self.agent.device)
    }

    async fn pull(&self, model: &str) -> Events {
        let request = self.owner.request(Method::POST, &self.device("/models/pull"));
        Events::of(request.json(&json!({ "model": model })).send().await.expect("an answer"))
    }

    async fn pulls(&self) -> Vec<Value> {
        self.owner.get(&self.device("/models/pulls")).await["items"].as_array().expect("a list").clone()
    }

    async fn names(&self) -> Vec<String> {
        let models = self.owner.models("provider=journey").await;
        models.iter().map(|model| model["id"].as_str().expect("a name").to_owned()).collect()
    }

    fn policy(&self, models: bool) {
        let text = format!("ALLOW_BASH=true\nALLOW_MODELS={models}\n");
        std::fs::write(self.agent.state.join("policy.env"), text).expect("the policy is written");
    }
}

/// Ollama cuts what is longer than the context it runs a model with, and says nothing.
async fn a_request_counts_on_the_context_that_ollama_runs_with(database: Database) {
    let scene = Scene::new(database).await;
    scene.found(3).await;
    let of = async |name: &str| scene.owner.get(&format!("/models/journey/{name}")).await;
    // By the graphics cards of the machine that this runs on.
    let usual = of(LLAMA).await["context_tokens"].clone();
    assert!([4_096, 32_768, 131_072].iter().any(|tokens| usual == *tokens), "{usual}");
    let cloud = of("gpt-oss:120b-cloud").await;
    assert_eq!((&cloud["context_tokens"], cloud.get("most_context_tokens")), (&json!(131_072), None));

    let wide = Model { parameters: "temperature 0.7\nnum_ctx 16384", ..Model::with(&["completion"]) };
    scene.ollama.add("wide:latest", wide);
    scene.ollama.load_with(LLAMA, 8_192);
    scene.found(4).await;
    eventually("both are known", || async {
        let (llama, wide) = (of(LLAMA).await, of("wide:latest").await);
        (llama["context_tokens"] == 8_192 && wide["context_tokens"] == 16_384).then_some(())
    })
    .await;
    assert_eq!(of(LLAMA).await["most_context_tokens"], 131_072);
    let fits = async |input_tokens: u32| {
        let asked = json!({ "model": "auto:private", "input_tokens": input_tokens });
        let (_, explained) = scene.owner.post("/routing/explain", asked).await;
        let routes = explained["routes"].as_array().expect("a list").clone();
        routes.iter().map(|route| route["model"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(fits(5_000).await, [LLAMA, "wide:latest"]);
    assert_eq!(fits(10_000).await, ["wide:latest"]);
    assert!(fits(20_000).await.is_empty());

    // What the device did is counted as the device's.
    scene.ollama.let_all_happen();
    let answer = scene.owner.chat("journey/wide", false).await;
    assert_eq!(answer.status().as_u16(), 200, "{:?}", answer.text().await);
    let sum = eventually("it is a row", || async {
        scene.owner.get("/usage?by=device").await["sums"].as_array().and_then(|sums| sums.first().cloned())
    })
    .await;
    assert_eq!((&sum["name"], &sum["requests"], &sum["unpriced"]), (&json!("journey"), &json!(1), &json!(0)));
}

/// A slow machine with many models, and one that it says nothing of.
async fn models_are_asked_about_side_by_side_and_what_is_told_is_kept(database: Database) {
    let scene = Scene::new(database).await;
    scene.found(3).await;
    scene.ollama.show_takes(Duration::from_secs(1));
    for nth in 0..30 {
        scene.ollama.add(&format!("m{nth}:latest"), Model::with(&["completion", "vision"]));
    }
    scene.ollama.add("stuck:latest", Model::with(&["completion"]));
    scene.found(34).await;
    let told = |model: &&Value| {
        model["id"].as_str().is_some_and(|id| id.starts_with('m')) && model["vision"] == true
    };
    let models = eventually("what is told of each", || async {
        let models = scene.owner.models("provider=journey").await;
        (models.iter().filter(told).count() == 30).then_some(models)
    })
    .await;
    let stuck = models.iter().find(|model| model["id"] == "stuck:latest").expect("it is listed");
    assert_eq!((stuck.get("tools"), stuck["private"].as_bool()), (None, Some(true)));
}

async fn ollama_is_found_by_itself_and_its_models_are_known(database: Database) {
    let scene = Scene::new(database).await;
    let provider = scene.found(3).await;
    assert_eq!(
        (&provider["kind"], &provider["auth"], &provider["found"], &provider["enabled"]),
        (&json!("ollama"), &json!("none"), &json!(true), &json!(true))
    );
    assert_eq!(provider["device_id"], scene.agent.device.to_string());
    assert!(provider["health"]["latency_ms"].is_u64() && provider["health"].get("fault").is_none());
    let added = scene.owner.told("provider.added").await;
    assert_eq!((added.len(), &added[0]["actor"]["kind"]), (1, &json!("system")));

    let models = scene.owner.models("provider=journey").await;
    let of = |name: &str| models.iter().find(|model| model["id"] == name).expect("it is listed");
    let llama = of(LLAMA);
    assert_eq!(
        (&llama["most_context_tokens"], &llama["tools"], &llama["vision"]),
        (&json!(131_072), &json!(true), &json!(false))
    );
    assert_eq!(
        (&llama["size"], &llama["private"], &llama["known_from"]),
        (&json!(2_019_393_189_u64), &json!(true), &json!("provider"))
    );
    assert_eq!(llama["price"]["input_micros"], 0);
    assert_eq!(
        (&of("nomic-embed-text:latest")["embeddings"], &llama["embeddings"]),
        (&json!(true), &json!(false))
    );
    // What Ollama sends on to its cloud does not stay on the device.
    assert_eq!(
        (&of("gpt-oss:120b-cloud")["private"], of("gpt-oss:120b-cloud").get("price")),
        (&json!(false), None)
    );
    assert_eq!(scene.owner.models("private=true&embeddings=false").await.len(), 1);

    // In memory or not comes with the measurements.
    assert_eq!(llama["loaded"], false);
    scene.ollama.load(LLAMA);
    eventually("the model is shown as loaded", || async {
        let model = scene.owner.get(&format!("/models/journey/{LLAMA}")).await;
        (model["loaded"] == true).then_some(())
    })
    .await;

    // Somebody pulls one by hand, without us.
    scene.ollama.add("qwen3:8b", Model::with(&["completion"]));
    scene.found(4).await;
    assert!(scene.names().await.contains(&"qwen3:8b".to_owned()));

    // The seed's "Configure as agent backend".
    let path = format!("/providers/{}", provider["id"].as_str().expect("an id"));
    let backend = json!({ "default_model": "qwen3:8b", "use_for": ["code", "research"], "is_default": true });
    let (status, changed) = scene.owner.patch(&path, backend).await;
    assert_eq!(
        (status, &changed["default_model"], &changed["is_default"]),
        (200, &json!("qwen3:8b"), &json!(true))
    );
    assert_eq!(changed["use_for"], json!(["code", "research"]));
    it_stays_away_until_it_is_wanted(&scene, &path).await;
}

async fn it_stays_away_until_it_is_wanted(scene: &Scene, path: &str) {
    // Removed by a person, it is not found again; asked for, it is back.
    assert_eq!(scene.owner.delete(path).await.0, 204);
    scene.ollama.add("another:1b", Model::with(&["completion"]));
    eventually("the device tells of another model", || async {
        let device = scene.owner.get(&scene.device("")).await;
        let models = device["capabilities"]["ollama"]["models"].as_array()?.len();
        (models == 5).then_some(())
    })
    .await;
    assert_eq!(scene.owner.providers().await.len(), 0);
    let again = json!({ "kind": "ollama", "device_id": scene.agent.device, "name": "spark" });
    let (status, again) = scene.owner.post("/providers", again).await;
    assert_eq!(
        (status, &again["health"]["models"], &again["found"]),
        (201, &json!(5), &json!(false)),
        "{again}"
    );

    // It goes with its device.
    assert_eq!(scene.owner.delete(&scene.device("")).await.0, 204);
    assert_eq!(scene.owner.told("provider.removed").await.len(), 2);
    eventually("nothing is left to choose from", || async {
        scene.owner.providers().await.is_empty().then_some(())
    })
    .await;
}

async fn a_pull_goes_on_without_its_page_and_newcomers_see_it(database: Database) {
    let scene = Scene::new(database).await;
    scene.found(3).await;

    let mut page = scene.pull("tinyllama").await;
    scene.ollama.let_happen(2);
    let (name, step) = page.until(|_, step| step["completed"] == LAYER / 2).await;
    assert_eq!((name.as_str(), &step["total"]), ("progress", &json!(LAYER)));
    // The page closes. The pull does not.
    drop(page);
    let running = scene.pulls().await;
    assert_eq!((running.len(), &running[0]["model"]), (1, &json!("tinyllama")), "{running:?}");
    assert_eq!(
        (&running[0]["by"], &running[0]["progress"]["completed"]),
        (&json!("journey (token)"), &json!(LAYER / 2))
    );

    let mut newcomer = scene.pull("tinyllama").await;
    assert_eq!(newcomer.next().await.expect("the newest step").1["completed"], LAYER / 2);
    assert_eq!(scene.ollama.pulls(), 1, "it is the same pull");
    scene.ollama.let_happen(16);
    let (name, last) = newcomer.until(|name, _| name != "progress").await;
    assert_eq!((name.as_str(), &last["status"]), ("done", &json!("success")));
    assert!(newcomer.next().await.is_none(), "the stream ends with the pull");
    eventually("it is over", || async { scene.pulls().await.is_empty().then_some(()) }).await;
    // At once, and on the device as soon as it has looked.
    assert!(scene.names().await.contains(&"tinyllama:latest".to_owned()));
    assert_eq!(scene.owner.told("model.pulled").await[0]["data"]["model"], "tinyllama");
    eventually("the device tells of the new model", || async {
        let device = scene.owner.get(&scene.device("")).await;
        device["capabilities"]["ollama"]["models"]
            .as_array()?
            .iter()
            .find(|model| model["name"] == "tinyllama:latest")
            .cloned()
    })
    .await;

    // Deleted the same way.
    let gone = scene.device("/models/tinyllama:latest");
    assert_eq!(scene.owner.delete(&gone).await.0, 204);
    assert!(!scene.names().await.contains(&"tinyllama:latest".to_owned()));
    assert!(!scene.ollama.names().contains(&"tinyllama:latest".to_owned()));
    assert_eq!(scene.owner.delete(&gone).await.1["code"], "not_found");
    assert_eq!(scene.owner.told("model.deleted").await.len(), 1);
}

async fn a_pull_is_ended_and_says_what_went_wrong(database: Database) {
    let scene = Scene::new(database).await;
    scene.found(3).await;

    let mut page = scene.pull("hf.co/acme/big-model:q4").await;
    page.next().await.expect("it begins");
    let (viewer, operator) = {
        let (_, viewer) = scene.server.client("viewer").await;
        let (_, operator) = scene.server.client("operator").await;
        (Asker::new(&scene.server.url, &viewer), Asker::new(&scene.server.url, &operator))
    };
    let running = scene.device("/models/pulls/hf.co/acme/big-model:q4");
    assert_eq!(viewer.delete(&running).await.1["code"], "forbidden");
    assert_eq!(operator.delete(&running).await.0, 204);
    let (name, why) = page.until(|name, _| name != "progress").await;
    assert_eq!((name.as_str(), &why["code"]), ("failed", &json!("conflict")));
    scene.ollama.given_up(1).await;
    assert_eq!(operator.delete(&running).await.1["code"], "not_found");

    let (name, why) = scene.pull("missing").await.until(|name, _| name != "progress").await;
    assert_eq!((name.as_str(), &why["code"]), ("failed", &json!("upstream_failed")));
    assert!(why["detail"].as_str().expect("words").contains("file does not exist"), "{why}");
    let odd = scene.owner.post(&scene.device("/models/pull"), json!({ "model": "a b" })).await;
    assert_eq!(odd.1["code"], "invalid_request");

    // The device's own rule has the last word.
    scene.policy(false);
    let forbidden = scene.owner.post(&scene.device("/models/pull"), json!({ "model": "x" })).await;
    assert_eq!(
        (forbidden.0, &forbidden.1["details"]["setting"]),
        (403, &json!("ALLOW_MODELS")),
        "{}",
        forbidden.1
    );
    let id = scene.owner.providers().await[0]["id"].as_str().expect("an id").to_owned();
    let test = scene.owner.post(&format!("/providers/{id}/test"), nothing()).await.1;
    assert_eq!((&test["state"], &test["fault"]), (&json!("failing"), &json!("policy_forbids")), "{test}");
    eventually("the dashboard shows the rule", || async {
        (scene.owner.get(&scene.device("")).await["policy"]["allow_models"] != true).then_some(())
    })
    .await;
    scene.policy(true);
    let test = scene.owner.post(&format!("/providers/{id}/test"), nothing()).await.1;
    assert_eq!(
        (&test["state"], test.get("fault"), &test["models"]),
        (&json!("up"), None, &json!(4)),
        "{test}"
    );
}

async fn chat_streams_over_the_link_and_ends_at_ollama_when_its_reader_goes(database: Database) {
    let mut scene = Scene::new(database).await;
    scene.found(3).await;
    let ask = || {
        let path = scene.device("/link/ollama/v1/chat/completions");
        let question =
            json!({ "model": LLAMA, "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
        scene.owner.request(Method::POST, &path).json(&question).send()
    };
    let word = |data: &Value| data["choices"][0]["delta"]["content"].as_str().map(str::to_owned);

    let mut answer = Events::of(ask().await.expect("an answer"));
    // The first word is here while the second is not yet said.
    assert_eq!(word(&answer.next().await.expect("a word").1).as_deref(), Some("Hello "));
    scene.ollama.let_happen(5);
    let (_, last) = answer.until(|_, data| data["usage"].is_object()).await;
    assert_eq!(last["usage"]["completion_tokens"], 4);
    assert_eq!(answer.next().await.expect("an end").1, "[DONE]");

    let mut answer = Events::of(ask().await.expect("an answer"));
    answer.next().await.expect("a word");
    drop(answer);
    scene.ollama.given_up(1).await;

    // Other addresses of Ollama are not passed on.
    for path in
        ["/link/ollama/api/create", "/link/ollama/api/blobs/x", "/link/ollama/api/push", "/link/ollama/"]
    {
        let (status, _) = scene.owner.post(&scene.device(path), nothing()).await;
        assert_eq!(status, 404, "{path}");
    }
    let (_, viewer) = scene.server.client("viewer").await;
    let viewer = Asker::new(&scene.server.url, &viewer);
    assert!(viewer.get(&scene.device("/link/ollama/api/tags")).await["models"].is_array());
    assert_eq!(viewer.post(&scene.device("/link/ollama/api/pull"), nothing()).await.0, 403);

    // Ollama ends: whoever asks hears it, and the device tells by itself.
    let id = scene.owner.providers().await[0]["id"].as_str().expect("an id").to_owned();
    scene.ollama = Ollama::start().await;
    let test = scene.owner.post(&format!("/providers/{id}/test"), nothing()).await.1;
    assert_eq!(test["fault"], "unreachable", "{test}");
    scene
        .owner
        .provider("it is shown as away", "journey", |provider| provider["health"]["state"] == "offline")
        .await;
}

/// A device that stands for a machine beside it, on which no agent runs.
async fn an_endpoint_elsewhere_answers_as_its_device(database: Database) {
    let folder = Folder::new();
    let ollama = Ollama::start_at("127.0.0.2:0").await;
    ollama.add(LLAMA, Model::with(&["completion", "tools"]));
    ollama.let_all_happen();
    let setting = Setting::on(database).env("FOREMAN_HEARTBEAT_S", 1);
    let server = Server::start(folder.join("server"), setting).await;
    let (foreman, token) = server.client("owner").await;
    let owner = Asker::new(&server.url, &token);
    let device = CreateDevice { name: "shelf".to_owned(), device_type: DeviceType::LlmEndpoint };
    let made = foreman.create_device(&device).await.expect("the server makes a device");
    let env = [("OLLAMA_HOST", format!("http://{}/", ollama.host))];
    let _agent = Agent::join_with(&made, &server.url, folder.join("agent"), &env).await;

    let up = |shelf: &Value| shelf["health"]["state"] == "up" && shelf["health"]["models"] == 1;
    let shelf = owner.provider("it is found with its model", "shelf", up).await;
    assert_eq!(
        (&shelf["kind"], &shelf["found"], &shelf["device_id"]),
        (&json!("ollama"), &json!(true), &json!(made.device.id))
    );
    let device = owner.get(&format!("/devices/{}", made.device.id)).await;
    let told = &device["capabilities"]["ollama"];
    assert_eq!((&device["type"], &told["version"]), (&json!("llm_endpoint"), &json!("0.12.6")), "{device}");
    assert_eq!(
        (&told["endpoint"], &told["models"][0]["name"]),
        (&json!(format!("http://{}", ollama.host)), &json!(LLAMA))
    );
    assert_eq!(owner.get(&format!("/models/shelf/{LLAMA}")).await["private"], true);

    let answer = owner.chat(&format!("shelf/{LLAMA}"), false).await;
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["x-foreman-device"], "shelf");
    let said = answer.json::<Value>().await.expect("JSON")["choices"][0]["message"]["content"].clone();
    assert_eq!(said, "Hello from the device.");
    let mut stream = Events::of(owner.chat("auto", true).await);
    let mut heard = String::new();
    while let Some((_, data)) = stream.next().await {
        heard += data["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    }
    assert_eq!(said, heard.trim_end());

    // Gone from there, nothing on the agent's own machine stands in.
    drop(ollama);
    owner.provider("it is shown as away", "shelf", |shelf| shelf["health"]["state"] == "offline").await;
    assert_eq!(owner.chat(&format!("shelf/{LLAMA}"), false).await.status().as_u16(), 502);
}

crate::on_both_databases!(
    an_endpoint_elsewhere_answers_as_its_device,
    a_request_counts_on_the_context_that_ollama_runs_with,
    models_are_asked_about_side_by_side_and_what_is_told_is_kept,
    ollama_is_found_by_itself_and_its_models_are_known,
    a_pull_goes_on_without_its_page_and_newcomers_see_it,
    a_pull_is_ended_and_says_what_went_wrong,
    chat_streams_over_the_link_and_ends_at_ollama_when_its_reader_goes,
);
