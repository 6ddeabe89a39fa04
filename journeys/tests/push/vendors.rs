//! ntfy, Apple and Google, as they document themselves.

use base64::{Engine, prelude::BASE64_STANDARD};
use journeys::{
    database::Database,
    device::BareDevice,
    eventually,
    push::{ACCESS_TOKEN, Pushed, claims},
};
use reqwest::{Method, StatusCode};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};

use super::{Scene, fill, plain, scene, wanting};

async fn a_ntfy_topic_is_told_and_its_message_deleted(database: Database) {
    let dumped = database.clone();
    let scene = scene(database, plain).await;
    let device = scene.device("Spark").await;
    let address = format!("{}/under/my-topic", scene.carriers.url);
    let target = json!({ "kind": "ntfy", "address": address, "token": "tk_of_the_test" });
    scene.add(wanting(json!({ "name": "Desk", "target": target }), "title")).await;

    fill(&device, 95).await;
    let pushed = scene.carriers.nth(1).await;
    assert_eq!((pushed.method.as_str(), pushed.path.as_str()), ("POST", "/under/"));
    assert_eq!(pushed.headers["authorization"], "Bearer tk_of_the_test");
    let told = pushed.json();
    assert_eq!(told["topic"], "my-topic");
    assert_eq!(told["title"], "GPU memory is nearly full on Spark");
    assert_eq!((&told["priority"], &told["tags"]), (&json!(4), &json!(["warning"])));
    let click = told["click"].as_str().expect("a link");
    assert!(click.starts_with(&scene.server.url) && click.ends_with(&device.id.to_string()), "{click}");
    assert!(told["actions"].as_array().expect("actions").iter().all(|action| action["action"] == "view"));

    fill(&device, 10).await;
    let back = scene.carriers.nth(2).await;
    let sequence = told["sequence_id"].as_str().expect("an id");
    assert_eq!((back.method.as_str(), back.path), ("DELETE", format!("/under/my-topic/{sequence}")));

    let dump = dumped.dump(&scene.server.data);
    for secret in ["tk_of_the_test", "under/my-topic"] {
        assert!(!dump.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let (_, page) = scene.ask(Method::GET, "/receivers", None).await;
    assert!(!page.to_string().contains("my-topic"), "{page}");
}

/// A team's account with Apple: its key as Apple gives it, and the public half.
fn team() -> (String, Vec<u8>) {
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &SystemRandom::new());
    (pem(pkcs8.as_ref()), pair.expect("just made").public_key().as_ref().to_vec())
}

async fn with_apple(database: Database, pem: String) -> Scene {
    scene(database, |folder, carriers, setting| {
        let file = folder.join("AuthKey.p8");
        std::fs::write(&file, pem).expect("written");
        let setting =
            setting.env("FOREMAN_APNS_KEY_FILE", file.display()).env("FOREMAN_APNS_URL", &carriers.apns);
        let setting =
            setting.env("FOREMAN_APNS_KEY_ID", "KEYID12345").env("FOREMAN_APNS_TEAM_ID", "TEAM123456");
        setting.env("FOREMAN_APNS_TOPIC", "run.foreman.app")
    })
    .await
}

async fn apple_is_told_over_http_2_with_a_signed_token(database: Database) {
    let (pem, public) = team();
    let scene = with_apple(database, pem).await;
    let device = scene.device("Spark").await;
    let token = "ab".repeat(32);
    let target = json!({ "kind": "apns", "token": token });
    scene.add(wanting(json!({ "name": "iPhone", "target": target }), "full")).await;

    fill(&device, 95).await;
    let pushed = scene.carriers.nth(1).await;
    assert_eq!(pushed.version, axum::http::Version::HTTP_2);
    assert_eq!(pushed.path, format!("/3/device/{token}"));
    let bearer = pushed.headers["authorization"]
        .strip_prefix("bearer ")
        .or(pushed.headers["authorization"].strip_prefix("Bearer "));
    let (header, said) = claims(bearer.expect("a bearer"), &public);
    assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &json!("KEYID12345")));
    assert_eq!(said["iss"], "TEAM123456");
    assert_eq!(pushed.headers["apns-topic"], "run.foreman.app");
    assert_eq!(
        (pushed.headers["apns-push-type"].as_str(), pushed.headers["apns-priority"].as_str()),
        ("alert", "10")
    );
    assert_eq!(pushed.json()["aps"]["alert"]["title"], "GPU memory is nearly full on Spark");

    // The same token is used again, and a device that is no more is forgotten.
    scene.carriers.answer_next(410, None, r#"{"reason":"Unregistered"}"#);
    fill(&device, 10).await;
    let back = scene.carriers.nth(2).await;
    assert_eq!(back.headers["authorization"], pushed.headers["authorization"]);
    assert_eq!(back.headers["apns-collapse-id"], pushed.headers["apns-collapse-id"]);
    eventually("it is removed", || async { scene.receivers().await.is_empty().then_some(()) }).await;
}

/// What is pushed when a device fills up.
async fn told(scene: &Scene, device: &BareDevice, nth: usize) -> Pushed {
    fill(device, 95).await;
    scene.carriers.nth(nth).await
}

async fn an_app_of_apples_is_told_of_whose_it_is_and_goes_on_with_a_new_token(database: Database) {
    let scene = with_apple(database, team().0).await;
    let (_, mia) = scene.server.client("operator").await;
    let (_, noor) = scene.server.client("viewer").await;
    let target = |token: &str| json!({ "token": token.repeat(32), "mark": "c0ffee" });
    let receiver = |token: &str| {
        let mut target = target(token);
        target["kind"] = json!("apns");
        wanting(json!({ "name": "iPhone", "target": target }), "little")
    };
    let (status, made) = scene.ask_as(&mia, Method::POST, "/receivers", Some(receiver("ab"))).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");

    // Apple reads that there is something, and neither what it is nor on which device.
    let first = scene.device("Spark").await;
    let said = told(&scene, &first, 1).await.json();
    assert_eq!((&said["mark"], &said["page"]), (&json!("c0ffee"), &json!(format!("/devices/{}", first.id))));
    assert_eq!(said["aps"]["alert"]["body"], "Something needs you.");
    assert!(!said.to_string().contains("Spark"), "{said}");

    // The system gave another token: told there, by the same receiver.
    let renew = |token: &str| Some(json!({ "kind": "apns", "target": target(token) }));
    let (status, renewed) = scene.ask_as(&mia, Method::POST, "/receivers/renew", renew("cd")).await;
    assert_eq!((status, &renewed["id"]), (StatusCode::OK, &made["id"]), "{renewed}");
    assert_ne!(renewed["fingerprint"], made["fingerprint"]);
    let second = scene.device("Anvil").await;
    let pushed = told(&scene, &second, 2).await;
    assert_eq!(pushed.path, format!("/3/device/{}", "cd".repeat(32)));
    assert_eq!(pushed.json()["mark"], "c0ffee");

    // Somebody else signed in on the phone: it tells them from now on, and nobody else.
    let (status, problem) = scene.ask_as(&noor, Method::POST, "/receivers/renew", renew("cd")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    let (_, left) = scene.ask_as(&mia, Method::GET, "/receivers", None).await;
    assert_eq!(left["items"], json!([]));
    let (status, _) = scene.ask_as(&noor, Method::POST, "/receivers", Some(receiver("cd"))).await;
    assert_eq!(status, StatusCode::CREATED);

    let mut unmarked = receiver("ef");
    unmarked["target"]["mark"] = json!("two words");
    let (status, problem) = scene.ask(Method::POST, "/receivers", Some(unmarked)).await;
    assert_eq!((status, &problem["details"]["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("mark")));
}

async fn google_is_told_with_an_access_token_of_the_account(database: Database) {
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let key = openssl.output().expect("openssl runs").stdout;
    let key = String::from_utf8(key).expect("PEM");
    let scene = scene(database, |folder, carriers, setting| {
        let account = json!({
            "type": "service_account", "project_id": "foreman-test", "private_key_id": "k1", "private_key": key,
            "client_email": "push@foreman-test.example", "token_uri": format!("{}/token", carriers.url),
        });
        let file = folder.join("account.json");
        std::fs::write(&file, account.to_string()).expect("written");
        setting.env("FOREMAN_FCM_ACCOUNT_FILE", file.display()).env("FOREMAN_FCM_URL", &carriers.url)
    })
    .await;
    let device = scene.device("Spark").await;
    let target = json!({ "kind": "fcm", "token": "registration:token" });
    let id = scene.add(wanting(json!({ "name": "Pixel", "target": target }), "title")).await;

    fill(&device, 95).await;
    let asked = scene.carriers.nth(1).await;
    assert_eq!(asked.path, "/token");
    let form = String::from_utf8_lossy(&asked.body).into_owned();
    assert!(
        form.starts_with("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="),
        "{form}"
    );
    let pushed = scene.carriers.nth(2).await;
    assert_eq!(pushed.path, "/v1/projects/foreman-test/messages:send");
    assert_eq!(pushed.headers["authorization"], format!("Bearer {ACCESS_TOKEN}"));
    let told: Value = pushed.json();
    assert_eq!(told["message"]["token"], "registration:token");
    assert_eq!(told["message"]["notification"]["title"], "GPU memory is nearly full on Spark");
    assert_eq!(told["message"]["android"]["priority"], "HIGH");

    let unregistered =
        json!({ "error": { "status": "NOT_FOUND", "details": [{ "errorCode": "UNREGISTERED" }] } });
    scene.carriers.answer_next(404, None, &unregistered.to_string());
    fill(&device, 10).await;
    eventually("it is removed", || async { scene.receivers().await.is_empty().then_some(()) }).await;
    assert_eq!(scene.carriers.all().len(), 3, "one access token is enough");
    let (status, _) = scene.ask(Method::DELETE, &format!("/receivers/{id}"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

fn pem(pkcs8: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(pkcs8))
}

crate::on_both_databases!(
    a_ntfy_topic_is_told_and_its_message_deleted,
    apple_is_told_over_http_2_with_a_signed_token,
    an_app_of_apples_is_told_of_whose_it_is_and_goes_on_with_a_new_token,
    google_is_told_with_an_access_token_of_the_account,
);
