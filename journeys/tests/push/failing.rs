//! What goes wrong on the way.

use std::time::Duration;

use journeys::{
    database::Database,
    eventually,
    push::{Browser, Carriers},
    stack::{Folder, Server, Setting},
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Scene, fill, plain, scene, wanting};

/// Longer than everything that could be sent again takes to be sent.
const REST: Duration = Duration::from_secs(3);

async fn subscribed(database: Database) -> (Scene, Browser) {
    let scene = scene(database, plain).await;
    let browser = Browser::subscribe(&scene.carriers, "one");
    let receiver = json!({ "name": "Laptop", "target": browser.target("web_push") });
    scene.add(wanting(receiver, "full")).await;
    (scene, browser)
}

async fn killed_between_the_event_and_the_push_it_is_sent_once(database: Database) {
    let (mut scene, browser) = subscribed(database).await;
    let (spark, forge) = (scene.device("Spark").await, scene.device("Forge").await);
    // It waits for a push service that has no time, so the push is due and not sent when the server dies.
    for _ in 0..50 {
        scene.carriers.answer_next(503, None, "");
    }
    fill(&spark, 95).await;
    scene.carriers.nth(1).await;
    scene.server.program.kill().await;
    scene.carriers.be_well();
    let before = scene.carriers.all().len();
    scene.server.start_again().await;
    let told = browser.read(&scene.carriers.nth(before + 1).await);
    assert_eq!(told["title"], "GPU memory is nearly full on Spark");

    // Killed when it was sent: not sent again.
    eventually("it is noted", || async { scene.receivers().await.first()?["last_success_at"].as_i64() })
        .await;
    scene.server.program.kill().await;
    scene.server.start_again().await;
    fill(&forge, 95).await;
    let next = browser.read(&scene.carriers.nth(before + 2).await);
    assert_eq!(next["title"], "GPU memory is nearly full on Forge");
}

async fn a_receiver_that_is_gone_is_removed(database: Database) {
    let (scene, _browser) = subscribed(database).await;
    let device = scene.device("Spark").await;
    scene.carriers.answer_next(410, None, "");
    fill(&device, 95).await;
    eventually("it is removed", || async { scene.receivers().await.is_empty().then_some(()) }).await;
    fill(&device, 10).await;
    tokio::time::sleep(REST).await;
    assert_eq!(scene.carriers.all().len(), 1);
}

async fn a_service_that_asks_for_time_gets_it(database: Database) {
    let (scene, browser) = subscribed(database).await;
    let device = scene.device("Spark").await;
    scene.carriers.answer_next(429, Some(9), "");
    fill(&device, 95).await;
    let first = scene.carriers.nth(1).await;
    let failed = eventually("it is said", || async {
        let receiver = scene.receivers().await.first().cloned()?;
        receiver["last_failure"].as_str().map(str::to_owned)
    })
    .await;
    assert!(failed.contains("429"), "{failed}");
    let again = scene.carriers.nth(2).await;
    assert!(again.at.duration_since(first.at) >= Duration::from_secs(9));
    assert_eq!(browser.read(&again), browser.read(&first));
}

async fn many_at_once_are_one_push(database: Database) {
    let (scene, browser) = subscribed(database).await;
    let mut devices = Vec::new();
    for number in 0..6 {
        devices.push(scene.device(&format!("gpu-{number}")).await);
    }
    // The first one finds a service that has no time; the others gather behind it.
    scene.carriers.answer_next(429, Some(6), "");
    for device in &devices {
        fill(device, 95).await;
    }
    let told = browser.read(&scene.carriers.nth(2).await);
    assert_eq!(told["title"], "6 things happened");
}

crate::on_both_databases!(
    killed_between_the_event_and_the_push_it_is_sent_once,
    a_receiver_that_is_gone_is_removed,
    a_service_that_asks_for_time_gets_it,
    many_at_once_are_one_push,
);

/// Of two servers over one database, one sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_send_once() {
    let database = Database::postgresql();
    let (folder, carriers) = (Folder::new(), Carriers::start().await);
    let setting = carriers
        .setting(Setting::on(database))
        .env("FOREMAN_SEAL_KEY_FILE", folder.join("seal.key").display());
    let server = Server::start(folder.join("one"), setting.clone()).await;
    let two = Server::start(folder.join("two"), setting).await;
    let (foreman, owner) = server.client("owner").await;
    let client = foreman_link::http::client().expect("a client");
    let scene = Scene { _folder: folder, carriers, server, foreman, owner, client };
    let browser = Browser::subscribe(&scene.carriers, "one");
    scene.add(wanting(json!({ "name": "Laptop", "target": browser.target("web_push") }), "full")).await;
    let mut devices = Vec::new();
    for number in 0..3 {
        devices.push(scene.device(&format!("gpu-{number}")).await);
    }
    for device in &devices {
        fill(device, 95).await;
    }
    scene.carriers.nth(3).await;
    tokio::time::sleep(REST).await;
    let mut titles: Vec<_> =
        scene.carriers.all().iter().map(|pushed| browser.read(pushed)["title"].to_string()).collect();
    titles.sort();
    titles.dedup();
    assert_eq!((titles.len(), scene.carriers.all().len()), (3, 3));
    // Both know themselves by the same key.
    let address = format!("{}/api/v1/push", two.url);
    let offer: serde_json::Value =
        foreman_link::http::json(scene.client.get(address).bearer_auth(&scene.owner))
            .await
            .expect("readable");
    let (status, own) = scene.ask(Method::GET, "", None).await;
    assert_eq!((status, &own["public_key"]), (StatusCode::OK, &offer["public_key"]));
}
