//! Vendors by their kind alone, at the addresses that they document: a proxy of the test's leads there to stubs that
//! speak for the vendors' names, as a company's proxy with a root of its own would.

use journeys::{
    database::Database,
    eventually,
    models::{Models, PROMPT_TOKENS, Vendor},
    proxy::{Passed, Proxy},
    stack::{Folder, Server, Setting},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Asker, Events, nothing};
use crate::tls;

const KEY: &str = "sk-of-the-vendor-0123456789-ABCD";
const WRONG: &str = "sk-mistyped-9876543210-WXYZ";
const PASSWORD: &str = "correct horse battery";

/// What is expected of one.
struct Known {
    vendor: Vendor,
    kind: &'static str,
    model: &'static str,
    /// By its list, or the table where the list tells nothing.
    context: u32,
    /// Micro-dollars for a million tokens in.
    price: u32,
    from: &'static str,
}

const KNOWN: [Known; 5] = [
    Known {
        vendor: Vendor::Google,
        kind: "google",
        model: "gemini-2.5-pro",
        context: 1_048_576,
        price: 1_250_000,
        from: "table",
    },
    Known {
        vendor: Vendor::Mistral,
        kind: "mistral",
        model: "mistral-small-latest",
        context: 131_072,
        price: 150_000,
        from: "table",
    },
    Known {
        vendor: Vendor::Groq,
        kind: "groq",
        model: "openai/gpt-oss-20b",
        context: 131_072,
        price: 75_000,
        from: "table",
    },
    Known {
        vendor: Vendor::Cerebras,
        kind: "cerebras",
        model: "gpt-oss-120b",
        context: 131_072,
        price: 350_000,
        from: "table",
    },
    Known {
        vendor: Vendor::Openrouter,
        kind: "openrouter",
        model: "acme/large",
        context: 200_000,
        price: 3_000_000,
        from: "provider",
    },
];

/// More than one page of Google's, unless a longer one is asked for.
const LISTED: usize = 60;

struct Scene {
    server: Server,
    owner: Asker,
    stubs: Vec<Models>,
    passed: Passed,
    _folder: Folder,
}

impl Scene {
    async fn new(database: Database) -> Self {
        let folder = Folder::new();
        let (passed, mut stubs, mut roots) = (Passed::default(), Vec::new(), String::new());
        let mut proxy = Proxy::new(passed.clone());
        for Known { vendor, kind, model, .. } in &KNOWN {
            let others: Vec<String> = (1..LISTED).map(|nth| format!("other-{nth:02}")).collect();
            let models: Vec<&str> =
                std::iter::once(*model).chain(others.iter().map(String::as_str)).collect();
            let stub = Models::of(*vendor, &models, KEY).await;
            let root = folder.join(kind);
            let behind = tls::terminate(&[vendor.host()], &root, stub.place()).await;
            roots += &std::fs::read_to_string(root).expect("it is written");
            proxy = proxy.leading(&format!("{}:443", vendor.host()), &behind.to_string());
            stubs.push(stub);
        }
        let root = folder.join("roots.pem");
        std::fs::write(&root, roots).expect("written");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("bound");
        tokio::spawn(proxy.serve(listener));
        let setting = Setting::on(database)
            .env("HTTPS_PROXY", format!("http://{at}"))
            .env("SSL_CERT_FILE", root.display());
        let server = Server::start(folder.join("server"), setting).await;
        let owner = Asker::new(&server.url, &server.client("owner").await.1);
        assert_eq!(owner.post("/vault", json!({ "password": PASSWORD })).await.0, 201);
        Self { server, owner, stubs, passed, _folder: folder }
    }

    async fn keys(&self) -> usize {
        self.owner.get("/vault/keys").await["items"].as_array().expect("a list").len()
    }

    /// What a question that is not streamed is answered, and by whom.
    async fn said(&self, model: &str) -> (u16, String, Value) {
        let answer = self.owner.chat(model, false).await;
        let by = answer.headers().get("x-foreman-provider").map_or("", |by| by.to_str().expect("text"));
        let (status, by) = (answer.status().as_u16(), by.to_owned());
        (status, by, answer.json().await.expect("JSON"))
    }
}

async fn each_vendor_is_added_by_its_key_asked_and_removed(database: Database) {
    let scene = Scene::new(database).await;
    for (known, stub) in KNOWN.iter().zip(&scene.stubs) {
        let provider = it_is_added_once_its_key_is_right(&scene, known).await;
        its_models_are_known(&scene, known).await;
        it_answers(&scene, known).await;
        its_key_is_taken_back(&scene, known, stub, &provider).await;

        let (status, chosen) =
            scene.owner.patch(&provider, json!({ "is_default": true, "default_model": known.model })).await;
        assert_eq!((status, &chosen["is_default"]), (200, &json!(true)), "{chosen}");
        let (status, by, said) = scene.said("auto").await;
        assert_eq!((status, by.as_str(), &said["model"]), (200, known.kind, &json!(known.model)), "{said}");

        assert_eq!(scene.owner.delete(&provider).await.0, 204);
        assert_eq!((scene.owner.providers().await.len(), scene.keys().await), (0, 0));
        let gone = scene.said(&format!("{}/{}", known.kind, known.model)).await;
        assert_eq!((gone.0, &gone.2["error"]["code"]), (404, &json!("model_unavailable")), "{}", gone.2);
    }
    // Nobody else was asked, and each where it documents its API.
    let places: Vec<String> =
        Vendor::ALL.iter().map(|vendor| format!("CONNECT {}:443", vendor.host())).collect();
    let lines = scene.passed.lines();
    assert!(lines.iter().all(|line| places.contains(line)), "{lines:#?}");
    assert!(places.iter().all(|place| lines.contains(place)), "{lines:#?}");
    let log = scene.server.said.text();
    assert!(!log.contains(KEY) && !log.contains(WRONG), "no log has a key");
}

/// Its address at the server.
async fn it_is_added_once_its_key_is_right(scene: &Scene, known: &Known) -> String {
    let (status, added) = scene.owner.post("/providers", json!({ "kind": known.kind, "key": WRONG })).await;
    let health = &added["health"];
    assert_eq!(
        (status, &added["name"], &health["state"], &health["fault"], health.get("models")),
        (201, &json!(known.kind), &json!("failing"), &json!("key_refused"), None),
        "{added}"
    );
    assert!(scene.owner.models("").await.is_empty(), "nothing of it can be asked");
    let path = format!("/providers/{}", added["id"].as_str().expect("an id"));
    let (status, added) = scene.owner.patch(&path, json!({ "key": KEY })).await;
    assert_eq!((status, &added["health"]["state"]), (200, &json!("up")), "{added}");
    assert_eq!(scene.keys().await, 1, "the wrong one is not kept beside it");
    let (status, test) = scene.owner.post(&format!("{path}/test"), nothing()).await;
    assert_eq!(
        (status, &test["state"], &test["models"], test.get("fault")),
        (200, &json!("up"), &json!(LISTED), None),
        "{}: {test}",
        known.kind
    );
    assert!(test["latency_ms"].is_u64(), "{test}");
    path
}

async fn its_models_are_known(scene: &Scene, known: &Known) {
    let models = scene.owner.models(&format!("provider={}", known.kind)).await;
    assert_eq!(models.len(), LISTED);
    let model = models.iter().find(|model| model["id"] == known.model).expect("it is listed");
    assert_eq!(
        (&model["context_tokens"], &model["price"]["input_micros"], &model["known_from"]),
        (&json!(known.context), &json!(known.price), &json!(known.from)),
        "{model}"
    );
    assert_eq!((&model["tools"], &model["private"]), (&json!(true), &json!(false)), "{model}");
}

async fn it_answers(scene: &Scene, known: &Known) {
    let name = format!("{}/{}", known.kind, known.model);
    let said = format!("{} heard: hello", known.model);
    let (status, by, whole) = scene.said(&name).await;
    assert_eq!((status, by.as_str()), (200, known.kind), "{whole}");
    assert_eq!(whole["choices"][0]["message"]["content"], said);

    // As its clients do that want to know what was used, whether or not the vendor has to be asked for it.
    let asked = json!({ "model": name, "stream": true, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": "hello" }] });
    let mut stream = Events::of(scene.owner.complete(&asked).await);
    let mut heard = String::new();
    while let Some((_, data)) = stream.next().await {
        heard += data["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    }
    assert_eq!(heard, said);
    eventually("both are counted as the vendor counted them", || async {
        let sums = scene.owner.get("/usage?by=provider").await["sums"].as_array().cloned()?;
        let sum = sums.into_iter().find(|sum| sum["name"] == known.kind)?;
        (sum["requests"] == 2 && sum["input_tokens"] == 2 * PROMPT_TOKENS).then_some(())
    })
    .await;
}

async fn its_key_is_taken_back(scene: &Scene, known: &Known, stub: &Models, path: &str) {
    stub.want_key("another");
    let (status, _, refused) = scene.said(&format!("{}/{}", known.kind, known.model)).await;
    assert_eq!((status, &refused["error"]["code"]), (502, &json!("upstream_failed")), "{refused}");
    let why = refused["error"]["message"].as_str().expect("words");
    assert!(why.contains("does not accept its key"), "{why}");
    scene
        .owner
        .provider("it is shown at the provider", known.kind, |one| one["health"]["fault"] == "key_refused")
        .await;
    stub.want_key(KEY);
    assert_eq!(scene.owner.post(&format!("{path}/test"), nothing()).await.1["state"], "up");
}

async fn what_a_key_may_still_spend_is_told(database: Database) {
    let scene = Scene::new(database).await;
    let (_, added) = scene.owner.post("/providers", json!({ "kind": "openrouter", "key": KEY })).await;
    assert_eq!((&added["health"]["state"], added["health"].get("credit_micros")), (&json!("up"), None));
    let test = format!("/providers/{}/test", added["id"].as_str().expect("an id"));
    let stub = &scene.stubs[4];
    for (left, told) in [(74.5, 74_500_000), (-0.2, 0)] {
        stub.leave(left);
        let health = scene.owner.post(&test, nothing()).await.1;
        assert_eq!((&health["state"], &health["credit_micros"]), (&json!("up"), &json!(told)), "{health}");
    }
    let kept = &scene.owner.providers().await[0]["health"];
    assert_eq!(kept["credit_micros"], 0, "{kept}");
}

crate::on_both_databases!(
    each_vendor_is_added_by_its_key_asked_and_removed,
    what_a_key_may_still_spend_is_told,
);
