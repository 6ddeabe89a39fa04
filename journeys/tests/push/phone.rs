//! What the app on Android does with a push that needs no phone: its own Java, compiled here, keeps who is told under
//! which token and opens what the server sealed.

use std::process::Command;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use foreman_client::app::{ServerId, notices::Subject, place_of};
use foreman_protocol::{DeviceId, TaskId};
use journeys::{database::Database, push::Pushed, skipped::skipped, stack::Folder};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{fill, plain, scene, wanting};

const PACKAGE: &str = "java/dev/foreman/app/push";
/// What of the app's Java knows nothing of Android, and the way in for a test.
const PLAIN: [&str; 5] = ["main Keys", "main Sealed", "main Registrations", "main Place", "test Phone"];

/// A phone, as far as there is one here.
struct Phone {
    folder: Folder,
}

/// What a phone says of one server.
struct Registration {
    token: String,
    p256dh: String,
    auth: String,
    endpoint: Option<String>,
}

impl Registration {
    fn target(&self) -> Value {
        json!({ "endpoint": self.endpoint, "p256dh": self.p256dh, "auth": self.auth })
    }
}

impl Phone {
    /// Nothing, loudly, where there is no Java.
    fn new() -> Option<Self> {
        if Command::new("javac").arg("-version").output().is_err() {
            skipped("Java is not installed (apt-get install default-jdk-headless)");
            return None;
        }
        let folder = Folder::new();
        let app = concat!(env!("CARGO_MANIFEST_DIR"), "/../src-tauri/gen/android/app/src");
        let sources = PLAIN.map(|source| {
            let (set, name) = source.split_once(' ').expect("two words");
            format!("{app}/{set}/{PACKAGE}/{name}.java")
        });
        // What the app is compiled for.
        let compiled = Command::new("javac")
            .args(["--release", "8", "-Werror", "-Xlint:all,-options", "-d"])
            .arg(folder.path())
            .args(sources)
            .output()
            .expect("javac runs");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Some(Self { folder })
    }

    /// What it says, or that it threw.
    fn try_ask(&self, said: &[&str]) -> Result<String, String> {
        let answer = Command::new("java")
            .arg("-cp")
            .arg(self.folder.path())
            .arg("dev.foreman.app.push.Phone")
            .arg(self.folder.join("registrations"))
            .args(said)
            .output()
            .expect("java runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").trim_end().to_owned();
        if answer.status.success() { Ok(text(answer.stdout)) } else { Err(text(answer.stderr)) }
    }

    fn ask(&self, said: &[&str]) -> String {
        self.try_ask(said).expect("no trouble")
    }

    fn registration(&self, said: &[&str]) -> Option<Registration> {
        let answer = self.ask(said);
        let words: Vec<&str> = answer.split(' ').collect();
        let [server, token, distributor, p256dh, auth, endpoint] = words[..] else {
            assert_eq!(answer, "none");
            return None;
        };
        if said[0] == "begin" {
            assert_eq!([server, distributor], said[1..]);
        }
        Some(Registration {
            token: token.to_owned(),
            p256dh: p256dh.to_owned(),
            auth: auth.to_owned(),
            endpoint: (endpoint != "null").then(|| endpoint.to_owned()),
        })
    }

    fn open(&self, token: &str, body: &[u8]) -> Result<Value, String> {
        let text = self.try_ask(&["open", token, &BASE64_URL_SAFE_NO_PAD.encode(body)])?;
        Ok(serde_json::from_str(&text).expect("JSON"))
    }

    fn read(&self, token: &str, pushed: &Pushed) -> Value {
        assert_eq!(pushed.headers["content-encoding"], "aes128gcm");
        self.open(token, &pushed.body).expect("sealed for it")
    }
}

/// RFC 8291, section 5.
#[test]
fn a_phone_opens_the_published_example() {
    let Some(phone) = Phone::new() else { return };
    let opened = phone.ask(&[
        "open-with",
        "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w\
         EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
    ]);
    assert_eq!(opened, "When I grow up, I want to be a watermelon");
}

#[test]
fn a_phone_knows_whose_token_is_whose_through_every_start() {
    let Some(phone) = Phone::new() else { return };
    let home = phone.registration(&["begin", "home", "io.heckel.ntfy"]).expect("one");
    let cabin = phone.registration(&["begin", "cabin", "io.heckel.ntfy"]).expect("one");
    assert!(home.token != cabin.token && home.p256dh != cabin.p256dh && home.auth != cabin.auth);
    assert!(home.endpoint.is_none());

    // Asked again, a distributor knows it by the same token; another one gets another.
    let again = phone.registration(&["begin", "home", "io.heckel.ntfy"]).expect("one");
    assert_eq!((&again.token, &again.p256dh), (&home.token, &home.p256dh));
    let elsewhere =
        phone.registration(&["begin", "home", "org.unifiedpush.distributor.nextpush"]).expect("one");
    assert!(elsewhere.token != home.token && elsewhere.p256dh != home.p256dh);
    assert!(phone.registration(&["moved", &home.token, "https://push.example.org/1"]).is_none(), "nobody's");

    // A refusal ends what has no address yet, and nothing else.
    assert_eq!(phone.ask(&["refused", &elsewhere.token]), "true");
    assert!(phone.registration(&["of", "home"]).is_none());
    let moved = phone.registration(&["moved", &cabin.token, "https://push.example.org/2"]).expect("its own");
    assert_eq!((&moved.token, moved.endpoint.as_deref()), (&cabin.token, Some("https://push.example.org/2")));
    assert_eq!(phone.ask(&["refused", &cabin.token]), "false");
    let long = format!("https://push.example.org/{}", "x".repeat(1_000));
    assert!(phone.registration(&["moved", &cabin.token, &long]).is_none(), "longer than an address");
    let kept = phone.registration(&["of", "cabin"]).expect("one");
    assert_eq!(kept.endpoint.as_deref(), Some("https://push.example.org/2"));

    assert_eq!(phone.ask(&["ended", &cabin.token]), "true");
    assert_eq!(phone.ask(&["ended", &cabin.token]), "false");
    assert!(phone.registration(&["of", "cabin"]).is_none());
}

#[test]
fn what_the_app_showed_itself_stays_where_the_same_is_brought_at_once_and_not_for_long() {
    let Some(phone) = Phone::new() else { return };
    let stays = |after: u64| phone.ask(&["stays", "1800000000000", &(1_800_000_000_000 + after).to_string()]);
    assert_eq!((stays(0), stays(2_000), stays(3_600_000)), ("true".into(), "true".into(), "false".into()));
    let (home, cabin) = (ServerId::fresh(), ServerId::fresh());
    let things = [Subject::Many, Subject::Task(TaskId::fresh()), Subject::Reach(DeviceId::fresh())];
    for thing in things {
        for server in [&home, &cabin] {
            let place = phone.ask(&["place", server.as_str(), &thing.to_string()]);
            assert_eq!(place, place_of(server, thing).to_string());
        }
        assert_ne!(place_of(&home, thing), place_of(&cabin, thing));
    }
}

async fn a_phone_opens_what_the_server_seals_also_at_a_new_address(database: Database) {
    let Some(phone) = Phone::new() else { return };
    let scene = scene(database, plain).await;
    let (_, app) = scene.server.client("operator").await;
    let first = phone.registration(&["begin", "home", "io.heckel.ntfy"]).expect("one");
    let address = |name: &str| format!("{}/push/{name}", scene.carriers.url);
    let told = phone.registration(&["moved", &first.token, &address("one")]).expect("its own");
    let mut target = told.target();
    target["kind"] = json!("unified_push");
    let receiver = wanting(json!({ "name": "Phone", "target": target }), "full");
    let (status, made) = scene.ask_as(&app, Method::POST, "/receivers", Some(receiver)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");

    let device = scene.device("Spark").await;
    fill(&device, 95).await;
    let pushed = scene.carriers.nth(1).await;
    let said = phone.read(&first.token, &pushed);
    assert_eq!(said["title"], "GPU memory is nearly full on Spark");
    assert_eq!((&said["page"], &said["urgent"]), (&json!(format!("/devices/{}", device.id)), &json!(true)));
    // The app itself shows the same there.
    let home = ServerId::fresh();
    let subject = said["subject"].as_str().expect("what it is about");
    let place = phone.ask(&["place", home.as_str(), subject]);
    assert_eq!(place, place_of(&home, Subject::GpuMemory(device.id)).to_string());

    // Neither changed on its way nor by another's keys.
    let other = phone.registration(&["begin", "cabin", "io.heckel.ntfy"]).expect("one");
    assert!(phone.open(&other.token, &pushed.body).is_err());
    for at in [0, 20, 30, 90, pushed.body.len() - 1] {
        let mut changed = pushed.body.to_vec();
        changed[at] ^= 1;
        assert!(phone.open(&first.token, &changed).is_err(), "byte {at}");
    }
    assert!(phone.open(&first.token, &pushed.body[..pushed.body.len() - 1]).is_err());
    assert!(phone.open(&first.token, &[]).is_err());

    // The distributor moves: the app says so, and what was told is taken back there.
    let moved = phone.registration(&["moved", &first.token, &address("two")]).expect("its own");
    let asked = json!({ "kind": "unified_push", "target": moved.target() });
    let (status, renewed) = scene.ask_as(&app, Method::POST, "/receivers/renew", Some(asked.clone())).await;
    assert_eq!(
        (status, &renewed["id"], &renewed["kind"]),
        (StatusCode::OK, &made["id"], &json!("unified_push"))
    );
    fill(&device, 10).await;
    let back = scene.carriers.nth(2).await;
    assert_eq!(back.path, "/push/two");
    let over = phone.read(&first.token, &back);
    assert_eq!((&over["over"], &over["tag"]), (&json!(true), &said["tag"]));

    // Removed elsewhere, or by somebody else's account: the app gives it up.
    let path = format!("/receivers/{}", made["id"].as_str().expect("an id"));
    assert_eq!(scene.ask_as(&app, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let (status, _) = scene.ask_as(&app, Method::POST, "/receivers/renew", Some(asked)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let asked = json!({ "kind": "ntfy", "target": moved.target() });
    let (status, problem) = scene.ask_as(&app, Method::POST, "/receivers/renew", Some(asked)).await;
    assert_eq!((status, &problem["details"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("kind")));
}

crate::on_both_databases!(a_phone_opens_what_the_server_seals_also_at_a_new_address);
