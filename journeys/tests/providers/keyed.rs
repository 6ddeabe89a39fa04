//! A provider with a key: the key is in the vault and nowhere else, goes only to the address it was given for, and
//! leaves with the provider.

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::{any, get},
};
use journeys::{
    database::Database,
    models::Models,
    stack::{Folder, Server, Setting},
};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};

use super::{Asker, nothing};

const KEY: &str = "sk-of-the-test-0123456789-ABCD";
const OTHER: &str = "sk-another-of-the-test-9876543210";
const PASSWORD: &str = "correct horse battery";

/// Lists two models to whoever shows the key.
struct Vendor {
    url: String,
    serving: JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Vendor {
    async fn start() -> Self {
        let router = Router::new()
            .route("/v1/models", get(models))
            .route("/page/models", get(|| async { Html("<html>It works!</html>") }))
            .route("/moved/{*rest}", any(moved))
            .route(
                "/busy/models",
                get(|| async { (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "7")]) }),
            )
            .route("/broken/models", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { url, serving }
    }

    fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }
}

/// As a server that was moved, or one behind a sign-in page, would.
async fn moved(asked: Uri) -> Response {
    let there = asked.path().replace("/moved/", "/v1/");
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, format!("{there}?session=of-the-one-asked"))])
        .into_response()
}

async fn models(headers: HeaderMap) -> Response {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if shown != Some(&format!("Bearer {KEY}")) {
        // As vendors do: the wrong key is repeated.
        let message = format!("Incorrect API key provided: {}", shown.unwrap_or_default());
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": { "message": message } }))).into_response();
    }
    let data = json!([{ "id": "big-model", "max_model_len": 32_768 }, { "id": "acme/embed-1" }]);
    Json(json!({ "object": "list", "data": data })).into_response()
}

struct Scene {
    server: Server,
    vendor: Vendor,
    owner: Asker,
    folder: Folder,
    database: Database,
}

impl Scene {
    async fn new(database: Database) -> Self {
        let folder = Folder::new();
        let setting = Setting::on(database.clone()).env("FOREMAN_LOG", "trace");
        let server = Server::start(folder.join("server"), setting).await;
        let (_, token) = server.client("owner").await;
        let owner = Asker::new(&server.url, &token);
        Self { server, vendor: Vendor::start().await, owner, folder, database }
    }

    async fn as_(&self, role: &str) -> Asker {
        Asker::new(&self.server.url, &self.server.client(role).await.1)
    }

    fn request(&self, key: &str) -> Value {
        json!({ "kind": "openai_compatible", "name": "acme", "base_url": self.vendor.at("v1"), "key": key })
    }

    async fn open_vault(&self) {
        let made = self.owner.post("/vault", json!({ "password": PASSWORD })).await;
        assert_eq!(made.0, 201, "{}", made.1);
    }

    async fn keys(&self) -> Vec<String> {
        let page = self.owner.get("/vault/keys").await;
        page["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn path(provider: &Value) -> String {
    format!("/providers/{}", provider["id"].as_str().expect("an id"))
}

async fn a_key_goes_into_the_vault_and_nowhere_else(database: Database) {
    let mut scene = Scene::new(database).await;
    let owner = &scene.owner;
    assert_eq!(owner.post("/providers", scene.request(KEY)).await.1["code"], "vault_missing");
    scene.open_vault().await;
    owner.post("/vault/lock", nothing()).await;
    assert_eq!(owner.post("/providers", scene.request(KEY)).await.1["code"], "vault_locked");
    assert_eq!(owner.providers().await.len(), 0);
    owner.post("/vault/unlock", json!({ "password": PASSWORD })).await;

    let (status, acme) = owner.post("/providers", scene.request(KEY)).await;
    assert_eq!(status, 201, "{acme}");
    assert_eq!(
        (&acme["vault_key"], &acme["health"]["models"], &acme["health"]["state"]),
        (&json!("acme"), &json!(2), &json!("up"))
    );
    assert_eq!(scene.keys().await, ["acme"]);
    assert_eq!(owner.post("/providers", scene.request(KEY)).await.1["code"], "conflict");
    let model = owner.get("/models/acme/big-model").await;
    assert_eq!(
        (&model["context_tokens"], &model["private"], &model["known_from"]),
        (&json!(32_768), &json!(false), &json!("provider"))
    );
    assert_eq!(owner.get("/models/acme/acme/embed-1").await["embeddings"], true);

    // A wrong key is said to be wrong, in our words: the vendor repeats it.
    let (status, changed) = owner.patch(&path(&acme), json!({ "key": OTHER })).await;
    assert_eq!((status, &changed["health"]["fault"]), (200, &json!("key_refused")), "{changed}");
    assert_eq!((scene.keys().await, owner.models("provider=acme").await.len()), (vec!["acme".to_owned()], 2));
    let (_, changed) = owner.patch(&path(&acme), json!({ "key": KEY })).await;
    assert_eq!(changed["health"]["state"], "up");

    // The vault locks: what needs the key says so, and what is known stays known.
    owner.post("/vault/lock", nothing()).await;
    let test = owner.post(&format!("{}/test", path(&acme)), nothing()).await.1;
    assert_eq!((&test["state"], &test["fault"]), (&json!("locked"), &json!("vault_locked")), "{test}");
    assert_eq!(owner.patch(&path(&acme), json!({ "key": KEY })).await.1["code"], "vault_locked");
    owner.post("/vault/unlock", json!({ "password": PASSWORD })).await;
    owner.provider("it is up again by itself", "acme", |acme| acme["health"]["state"] == "up").await;

    // What there is survives a restart, with the vendor away and the vault locked.
    scene.vendor = Vendor::start().await;
    scene.server.program.kill().await;
    scene.server.start_again().await;
    let owner = &scene.owner;
    assert_eq!(owner.get("/models/acme/big-model").await["context_tokens"], 32_768);
    assert_eq!(owner.providers().await[0]["health"]["state"], "locked");

    // Removing it needs no open vault, and takes the key along.
    assert_eq!(owner.delete(&path(&acme)).await.0, 204);
    assert_eq!((scene.keys().await.len(), owner.providers().await.len()), (0, 0));
    let told: Vec<Value> = owner.told("").await;
    let kinds: Vec<&str> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    for kind in
        ["provider.added", "provider.updated", "provider.removed", "vault.key_added", "vault.key_removed"]
    {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let told = serde_json::to_string(&told).expect("text");
    scene.server.program.stop().await;
    let places = [
        ("the events", told.into_bytes()),
        ("the log", scene.server.said.text().into_bytes()),
        ("the database", scene.database.dump(&scene.folder.join("server"))),
    ];
    for (place, bytes) in places {
        assert!(bytes.len() > 100, "{place} is empty");
        for secret in [KEY, OTHER] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a key is in {place}");
        }
    }
}

async fn a_key_goes_only_where_it_was_given_for(database: Database) {
    let scene = Scene::new(database).await;
    scene.open_vault().await;
    let owner = &scene.owner;
    let (_, acme) = owner.post("/providers", scene.request(KEY)).await;
    let elsewhere = json!({ "base_url": scene.vendor.at("page") });
    let refused = owner.patch(&path(&acme), elsewhere).await.1;
    assert_eq!((&refused["code"], &refused["details"]["field"]), (&json!("invalid_request"), &json!("key")));
    assert_eq!(owner.get(&path(&acme)).await["base_url"], scene.vendor.at("v1"));
    for (place, fault) in [
        ("page", "not_an_api"),
        ("moved", "not_an_api"),
        ("nothing", "not_an_api"),
        ("busy", "rate_limited"),
        ("broken", "failed"),
    ] {
        let there = json!({ "base_url": scene.vendor.at(place), "key": KEY });
        let (status, changed) = owner.patch(&path(&acme), there).await;
        assert_eq!((status, &changed["health"]["fault"]), (200, &json!(fault)), "{place}: {changed}");
    }
    // A port on which nobody listens, and that nobody else gets meanwhile.
    let taken = TcpSocket::new_v4().expect("a socket");
    taken.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let free = taken.local_addr().expect("bound");
    let away = json!({ "base_url": format!("http://{free}/v1"), "key": KEY });
    let (_, changed) = owner.patch(&path(&acme), away).await;
    assert_eq!(changed["health"]["fault"], "unreachable", "{changed}");

    // Where clouds hand out the rights of a machine, and where a key could be read on the way.
    for base_url in [
        "http://169.254.169.254/v1",
        "https://[fe80::1]/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://8.8.8.8/v1",
        "https://name:word@api.example.com/v1",
    ] {
        let request = json!({ "kind": "openai_compatible", "name": "x", "base_url": base_url, "key": KEY });
        let refused = owner.post("/providers", request).await.1;
        assert_eq!(
            (&refused["code"], &refused["details"]["field"]),
            (&json!("invalid_request"), &json!("base_url")),
            "{base_url}"
        );
        let there = json!({ "base_url": base_url, "key": KEY });
        assert_eq!(owner.patch(&path(&acme), there).await.1["code"], "invalid_request", "{base_url}");
    }

    // A key of the vault goes where it goes already, and not where somebody says now.
    let back = json!({ "base_url": scene.vendor.at("v1"), "key": KEY });
    assert_eq!(owner.patch(&path(&acme), back).await.1["health"]["state"], "up");
    let shared = |name: &str, base_url: &str| json!({ "kind": "openai_compatible", "name": name, "base_url": base_url, "vault_key": "acme" });
    let thief = owner.post("/providers", shared("thief", &scene.vendor.at("page"))).await.1;
    assert_eq!(thief["details"]["field"], "vault_key", "{thief}");
    let (status, twin) = owner.post("/providers", shared("twin", &scene.vendor.at("v1"))).await;
    assert_eq!((status, &twin["health"]["models"]), (201, &json!(2)), "{twin}");
    // The one that is still used stays.
    assert_eq!(owner.delete(&path(&acme)).await.0, 204);
    assert_eq!(scene.keys().await, ["acme"]);
    assert_eq!(owner.post(&format!("{}/test", path(&twin)), nothing()).await.1["state"], "up");
    assert_eq!(owner.delete(&path(&twin)).await.0, 204);
    assert!(scene.keys().await.is_empty());
}

async fn an_address_that_leads_elsewhere_says_where_and_is_not_followed(database: Database) {
    let scene = Scene::new(database).await;
    scene.open_vault().await;
    let owner = &scene.owner;
    let (_, acme) = owner.post("/providers", scene.request(KEY)).await;
    let there = json!({ "base_url": scene.vendor.at("moved"), "key": KEY, "is_default": true });
    let (_, changed) = owner.patch(&path(&acme), there).await;
    let said = format!(
        "It leads on to {}. No key is sent there by itself: enter that address if it is the right one.",
        scene.vendor.at("v1")
    );
    assert_eq!(
        (&changed["health"]["fault"], &changed["health"]["reason"]),
        (&json!("not_an_api"), &json!(said)),
        "{changed}"
    );

    let answer = owner.chat("acme/big-model", false).await;
    assert_eq!((answer.status().as_u16(), answer.headers().get("location")), (502, None));
    let error = &answer.json::<Value>().await.expect("JSON")["error"];
    assert_eq!(
        (&error["code"], &error["message"], &error["details"]["leads_to"]),
        (&json!("upstream_failed"), &json!(format!("acme: {said}")), &json!(scene.vendor.at("v1"))),
        "{error}"
    );
    // For whoever asks no model by name, another one answers.
    let spare = Models::start(&["spare"]).await;
    let added = json!({ "kind": "openai_compatible", "name": "spare", "base_url": spare.base() });
    assert_eq!(owner.post("/providers", added).await.0, 201);
    let answer = owner.chat("auto", false).await;
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["x-foreman-instead-of"], "acme/big-model: failed");
}

async fn who_may_do_what_and_what_people_enter(database: Database) {
    let scene = Scene::new(database).await;
    scene.open_vault().await;
    let owner = &scene.owner;
    let (_, acme) = owner.post("/providers", scene.request(KEY)).await;
    let (viewer, operator) = (scene.as_("viewer").await, scene.as_("operator").await);
    for asker in [&viewer, &operator] {
        assert_eq!(asker.post("/providers", scene.request(KEY)).await.1["code"], "forbidden");
        assert_eq!(asker.patch(&path(&acme), json!({ "enabled": false })).await.1["code"], "forbidden");
        assert_eq!(asker.delete(&path(&acme)).await.1["code"], "forbidden");
        assert_eq!(
            asker.patch("/models/acme/big-model", json!({ "enabled": false })).await.1["code"],
            "forbidden"
        );
    }
    assert_eq!(operator.post(&format!("{}/test", path(&acme)), nothing()).await.0, 200);
    assert_eq!(viewer.post(&format!("{}/test", path(&acme)), nothing()).await.0, 403);
    let seen = viewer.get(&path(&acme)).await;
    assert_eq!((&seen["name"], seen.get("base_url"), seen.get("vault_key")), (&json!("acme"), None, None));
    assert!(operator.get(&path(&acme)).await["base_url"].is_string());

    // What a person enters wins, and goes back.
    let price = json!({ "input_micros": 3_000_000, "output_micros": 15_000_000 });
    let entered = json!({ "context_tokens": 64_000, "tools": true, "price": price, "enabled": false });
    let (status, model) = owner.patch("/models/acme/big-model", entered).await;
    assert_eq!(
        (status, &model["context_tokens"], &model["known_from"]),
        (200, &json!(64_000), &json!("person"))
    );
    assert_eq!((&model["enabled"], &model["price"]["output_micros"]), (&json!(false), &json!(15_000_000)));
    assert_eq!(owner.told("model.updated").await.len(), 1);
    let (_, model) = owner.patch("/models/acme/big-model", json!({ "enabled": true })).await;
    assert_eq!((&model["context_tokens"], &model["known_from"]), (&json!(32_768), &json!("provider")));
    let wrong = json!({ "price": { "input_micros": -1, "output_micros": 0 }, "enabled": true });
    assert_eq!(owner.patch("/models/acme/big-model", wrong).await.1["code"], "invalid_request");
    assert_eq!(owner.patch("/models/acme/none", json!({ "enabled": true })).await.1["code"], "not_found");

    // The table knows what a vendor's own list does not tell.
    let openai = json!({ "kind": "openai", "base_url": scene.vendor.at("v1"), "key": KEY });
    assert_eq!(owner.post("/providers", openai).await.0, 201);
    let first = owner.get("/models?limit=1").await;
    assert_eq!(first["items"][0]["provider"], "acme");
    let rest =
        owner.get(&format!("/models?limit=200&cursor={}", first["next"].as_str().expect("more"))).await;
    assert_eq!(rest["items"].as_array().expect("a list").len(), 3);

    // Off, it is shown as off; the mark of the default is one's only.
    let (_, off) = owner.patch(&path(&acme), json!({ "enabled": false, "is_default": true })).await;
    assert_eq!(off["health"]["state"], "disabled");
    let other =
        owner.providers().await.into_iter().find(|provider| provider["name"] == "openai").expect("there");
    owner.patch(&path(&other), json!({ "is_default": true })).await;
    let marks: Vec<Value> =
        owner.providers().await.iter().map(|provider| provider["is_default"].clone()).collect();
    assert_eq!(marks, [json!(false), json!(true)]);
    for bad in [
        json!({ "kind": "openai", "name": "y" }),
        json!({ "kind": "openai_compatible", "name": "y" }),
        json!({ "kind": "ollama", "name": "y" }),
        json!({ "kind": "ollama", "name": "y", "key": KEY }),
        json!({ "kind": "openai", "name": "auto", "key": KEY }),
        json!({ "kind": "openai", "name": "A b", "key": KEY }),
        json!({ "kind": "groq", "name": "y", "vault_key": "nothing" }),
    ] {
        let (status, refused) = owner.post("/providers", bad.clone()).await;
        assert!([404, 422].contains(&status), "{bad}: {refused}");
    }
}

crate::on_both_databases!(
    a_key_goes_into_the_vault_and_nowhere_else,
    a_key_goes_only_where_it_was_given_for,
    an_address_that_leads_elsewhere_says_where_and_is_not_followed,
    who_may_do_what_and_what_people_enter,
);
