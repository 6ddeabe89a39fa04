//! Pushes: sealed for who gets them, sent once whatever is killed, taken back when they hold no longer, and never to
//! where this server must not write.

mod failing;
mod phone;
mod renewing;
mod vendors;

use foreman_client::Foreman;
use foreman_link::http;
use foreman_protocol::{GpuSample, HeartbeatAnswer, Sample};
use journeys::{
    database::Database,
    device::BareDevice,
    eventually,
    push::{Browser, Carriers, vapid},
    stack::{Folder, Server, Setting, new_device},
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

pub struct Scene {
    /// Gone when the scene is.
    pub _folder: Folder,
    pub carriers: Carriers,
    pub server: Server,
    pub foreman: Foreman,
    pub owner: String,
    pub client: Client,
}

pub async fn scene(database: Database, with: impl FnOnce(&Folder, &Carriers, Setting) -> Setting) -> Scene {
    let folder = Folder::new();
    let carriers = Carriers::start().await;
    let setting = with(&folder, &carriers, carriers.setting(Setting::on(database)));
    let server = Server::start(folder.join("server"), setting).await;
    let (foreman, owner) = server.client("owner").await;
    let client = http::client().expect("a client");
    Scene { _folder: folder, carriers, server, foreman, owner, client }
}

pub fn plain(_: &Folder, _: &Carriers, setting: Setting) -> Setting {
    setting
}

/// What a receiver is told when everything about GPUs is wanted.
pub fn wanting(mut receiver: Value, says: &str) -> Value {
    receiver["says"] = json!(says);
    receiver["rules"] = json!({ "on": true, "kinds": ["gpu_memory"], "muted": [], "quiet": null });
    receiver
}

impl Scene {
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.ask_as(&self.owner, method, path, body).await
    }

    pub async fn ask_as(
        &self,
        bearer: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let address = format!("{}/api/v1/push{path}", self.server.url);
        let mut request = self.client.request(method, address).bearer_auth(bearer);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Adds a receiver and gives its id.
    pub async fn add(&self, receiver: Value) -> String {
        let (status, made) = self.ask(Method::POST, "/receivers", Some(receiver)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        made["id"].as_str().expect("an id").to_owned()
    }

    pub async fn receivers(&self) -> Vec<Value> {
        let (_, page) = self.ask(Method::GET, "/receivers", None).await;
        page["items"].as_array().expect("a page").clone()
    }

    pub async fn device(&self, name: &str) -> BareDevice {
        let token = new_device(&self.foreman, name).await.token;
        BareDevice::join(&self.client, &self.server.url, &token).await
    }
}

/// Its GPU's memory is this full, in percent.
pub async fn fill(device: &BareDevice, percent: u64) {
    let gpu =
        GpuSample { index: 0, memory_used: Some(percent), memory_total: Some(100), ..GpuSample::default() };
    let sample = Sample { gpus: vec![gpu], ..Sample::default() };
    let request = device.request(Method::POST, "heartbeat").json(&sample);
    http::json::<HeartbeatAnswer>(request).await.expect("taken");
}

async fn a_browser_alone_reads_its_pushes_and_they_are_taken_back(database: Database) {
    let dumped = database.clone();
    let scene = scene(database, plain).await;
    let browser = Browser::subscribe(&scene.carriers, "one");
    let device = scene.device("Spark").await;
    let receiver = json!({ "name": "Laptop", "target": browser.target("web_push") });
    scene.add(wanting(receiver, "full")).await;

    fill(&device, 95).await;
    let pushed = scene.carriers.nth(1).await;
    let told = browser.read(&pushed);
    assert_eq!(told["title"], "GPU memory is nearly full on Spark");
    assert_eq!((&told["page"], &told["urgent"]), (&json!(format!("/devices/{}", device.id)), &json!(true)));
    assert_eq!(pushed.headers["urgency"], "high");
    let (claims, key) = vapid(&pushed);
    assert_eq!(claims["aud"], scene.carriers.url);
    assert!(claims["exp"].as_i64().expect("an end") > 0 && claims["sub"].is_string());
    let (_, offer) = scene.ask(Method::GET, "", None).await;
    assert_eq!(offer["public_key"], key, "the key that browsers subscribe with");

    fill(&device, 10).await;
    let back = scene.carriers.nth(2).await;
    assert_eq!(back.headers["topic"], pushed.headers["topic"], "it takes the place of the first");
    assert_eq!((&browser.read(&back)["over"], back.headers["urgency"].as_str()), (&json!(true), "low"));

    // Nobody who has the database alone can write to the browser.
    let dump = dumped.dump(&scene.server.data);
    for secret in [browser.endpoint.as_bytes(), browser.auth().as_bytes()] {
        assert!(!dump.windows(secret.len()).any(|window| window == secret));
    }
    assert!(scene.foreman.verify_audit().await.expect("it can be checked").intact);
}

async fn little_is_said_unless_more_is_wanted(database: Database) {
    let scene = scene(database, plain).await;
    let browser = Browser::subscribe(&scene.carriers, "one");
    let device = scene.device("Spark").await;
    let receiver = json!({ "name": "Phone", "target": browser.target("unified_push"), "language": "de" });
    scene.add(wanting(receiver, "little")).await;
    fill(&device, 95).await;
    let told = browser.read(&scene.carriers.nth(1).await);
    assert_eq!(told["body"], "Etwas braucht dich.");
    assert!(!told.to_string().contains("Spark"), "{told}");
}

async fn quiet_hours_hold_it_back_until_they_end(database: Database) {
    let scene = scene(database, plain).await;
    let browser = Browser::subscribe(&scene.carriers, "one");
    let (full, other) = (scene.device("full").await, scene.device("other").await);
    let mut receiver = wanting(json!({ "name": "Phone", "target": browser.target("web_push") }), "title");
    receiver["time_zone"] = json!("Etc/UTC");
    let (from, to) = nearly_always();
    receiver["rules"]["quiet"] = json!({ "from": from, "to": to });
    let id = scene.add(receiver.clone()).await;
    fill(&full, 95).await;
    fill(&other, 95).await;
    fill(&other, 10).await;

    // A test goes out at any time; when it is there, the others would have been.
    let (status, _) = scene.ask(Method::POST, &format!("/receivers/{id}/test"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(browser.read(&scene.carriers.nth(1).await)["title"], "Notifications work");
    receiver["rules"]["quiet"] = Value::Null;
    let choice = json!({ "choice": {
        "rules": receiver["rules"], "says": "title", "language": "en", "time_zone": "Europe/Vienna",
    }});
    let (status, _) = scene.ask(Method::PATCH, &format!("/receivers/{id}"), Some(choice)).await;
    assert_eq!(status, StatusCode::OK);
    let told = browser.read(&scene.carriers.nth(2).await);
    assert_eq!(told["title"], "GPU memory is nearly full on full", "what holds no longer is not told");
}

/// Hours of UTC that end twelve hours from now and begin a minute later.
fn nearly_always() -> (u64, u64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let away = now.as_secs() / 60 + 12 * 60;
    ((away + 1) % (24 * 60), away % (24 * 60))
}

async fn each_has_their_own_and_no_other(database: Database) {
    let scene = scene(database, plain).await;
    let browser = Browser::subscribe(&scene.carriers, "one");
    let receiver = json!({ "name": "Laptop", "target": browser.target("web_push") });
    let id = scene.add(wanting(receiver.clone(), "full")).await;
    let (_, other) = scene.server.client("owner").await;
    let (_, page) = scene.ask_as(&other, Method::GET, "/receivers", None).await;
    assert_eq!(page["items"], json!([]));
    for (method, path, body) in [
        (Method::PATCH, format!("/receivers/{id}"), Some(json!({ "name": "mine" }))),
        (Method::DELETE, format!("/receivers/{id}"), None),
        (Method::POST, format!("/receivers/{id}/test"), None),
    ] {
        let (status, problem) = scene.ask_as(&other, method, &path, body).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
    }
    assert!(scene.carriers.all().is_empty());

    // The same browser again is the same receiver; for whoever signed in last.
    let (status, again) =
        scene.ask(Method::POST, "/receivers", Some(wanting(receiver.clone(), "title"))).await;
    assert_eq!((status, again["id"].as_str()), (StatusCode::OK, Some(id.as_str())));
    let (status, _) = scene.ask_as(&other, Method::POST, "/receivers", Some(receiver)).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(scene.receivers().await.is_empty());

    for target in [
        json!({ "kind": "ntfy", "address": "http://169.254.169.254/topic" }),
        json!({ "kind": "ntfy", "address": "ftp://example.org/topic" }),
        json!({ "kind": "apns", "token": "ab".repeat(32) }),
        json!({ "kind": "web_push", "endpoint": "https://push.example.org/x", "p256dh": "AAAA", "auth": "AAAA" }),
    ] {
        let asked = json!({ "name": "x", "target": target });
        let (status, problem) = scene.ask(Method::POST, "/receivers", Some(asked)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    }
}

/// Whoever lost the right to be here is told nothing more.
async fn a_revoked_token_takes_its_receivers_along(database: Database) {
    let scene = scene(database, plain).await;
    let device = scene.device("Spark").await;
    let (_, phone) = scene.server.client("viewer").await;
    let browser = Browser::subscribe(&scene.carriers, "phone");
    let asked = wanting(json!({ "name": "Phone", "target": browser.target("unified_push") }), "full");
    let (status, _) = scene.ask_as(&phone, Method::POST, "/receivers", Some(asked)).await;
    assert_eq!(status, StatusCode::CREATED);
    let tokens: Value =
        http::json(scene.client.get(format!("{}/api/v1/tokens", scene.server.url)).bearer_auth(&scene.owner))
            .await
            .expect("readable");
    let id = tokens["items"].as_array().expect("a page").last().expect("the phone's")["id"].clone();
    let address = format!("{}/api/v1/tokens/{}", scene.server.url, id.as_str().expect("an id"));
    http::send(scene.client.delete(address).bearer_auth(&scene.owner)).await.expect("revoked");
    fill(&device, 95).await;
    let removed = format!("{}/api/v1/audit?type=push.receiver_removed", scene.server.url);
    let record = eventually("it is removed", || async {
        let request = scene.client.get(&removed).bearer_auth(&scene.owner);
        let page: Value = http::json(request).await.ok()?;
        page["items"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(record["data"]["because"], "signed_out");
    assert!(scene.carriers.all().is_empty());
}

/// Only where whoever runs the server allows it.
async fn private_addresses_are_refused_unless_allowed(database: Database) {
    let scene = scene(database, |_, _, setting| {
        let mut setting = setting;
        setting.env.retain(|(name, _)| name != "FOREMAN_PUSH_PRIVATE");
        setting
    })
    .await;
    for address in ["https://127.0.0.1/topic", "http://192.168.0.9/topic", "https://[fd00::1]/topic"] {
        let asked = json!({ "name": "x", "target": { "kind": "ntfy", "address": address } });
        let (status, _) = scene.ask(Method::POST, "/receivers", Some(asked)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{address}");
    }
    // A name that leads there is found out when it is asked.
    let asked = json!({ "name": "x", "target": { "kind": "ntfy", "address": "https://localhost/topic" } });
    let id = scene.add(asked).await;
    let (status, problem) = scene.ask(Method::POST, &format!("/receivers/{id}/test"), None).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{problem}");
    assert_eq!(problem["details"]["failure"], json!({ "code": "address_refused" }), "{problem}");
}

crate::on_both_databases!(
    a_browser_alone_reads_its_pushes_and_they_are_taken_back,
    little_is_said_unless_more_is_wanted,
    quiet_hours_hold_it_back_until_they_end,
    each_has_their_own_and_no_other,
    a_revoked_token_takes_its_receivers_along,
    private_addresses_are_refused_unless_allowed,
);
