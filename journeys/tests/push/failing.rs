//! What goes wrong on the way.

use std::time::Duration;

use journeys::{
    database::Database,
    eventually,
    push::{Browser, Carriers, Pushed},
    stack::{Folder, Server, Setting},
};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Scene, fill, plain, scene, wanting};

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
    // What comes next is for whoever came next, and nothing went out before it.
    let next = Browser::subscribe(&scene.carriers, "two");
    scene.add(wanting(json!({ "name": "Phone", "target": next.target("web_push") }), "full")).await;
    fill(&device, 10).await;
    fill(&scene.device("Forge").await, 95).await;
    let told = next.read(&scene.carriers.nth(2).await);
    assert_eq!(told["title"], "GPU memory is nearly full on Forge");
    assert_eq!(scene.carriers.all().len(), 2);
}

fn pushed_to(scene: &Scene, name: &str) -> Vec<Pushed> {
    let all = scene.carriers.all();
    all.into_iter().filter(|pushed| pushed.path.ends_with(&format!("/{name}"))).collect()
}

async fn a_test_in_the_middle_of_a_push_does_not_send_that_again(database: Database) {
    let (scene, browser) = subscribed(database).await;
    let (spark, forge) = (scene.device("Spark").await, scene.device("Forge").await);
    let release = scene.carriers.hold_next();
    fill(&spark, 95).await;
    scene.carriers.nth(1).await;
    let id = scene.receivers().await[0]["id"].as_str().expect("an id").to_owned();
    let (status, said) = scene.ask(Method::POST, &format!("/receivers/{id}/test"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{said}");
    // What is for somebody else went out, so the sender has looked at everybody since.
    let other = Browser::subscribe(&scene.carriers, "two");
    scene.add(wanting(json!({ "name": "Phone", "target": other.target("web_push") }), "full")).await;
    fill(&forge, 95).await;
    eventually("the other is told", || async { pushed_to(&scene, "two").pop() }).await;
    drop(release);
    let titles = eventually("what came in between is told", || async {
        let told = pushed_to(&scene, "one");
        let titles: Vec<_> = told.iter().map(|pushed| browser.read(pushed)["title"].to_string()).collect();
        titles.iter().any(|title| title.contains("Forge")).then_some(titles)
    })
    .await;
    assert_eq!(titles.iter().filter(|title| title.contains("Spark")).count(), 1, "{titles:?}");
}

async fn a_service_that_asks_for_time_gets_it(database: Database) {
    let (scene, browser) = subscribed(database).await;
    let device = scene.device("Spark").await;
    scene.carriers.answer_next(429, Some(9), "slow\ndown");
    fill(&device, 95).await;
    let first = scene.carriers.nth(1).await;
    let failed = eventually("it is said", || async {
        let receiver = scene.receivers().await.first().cloned()?;
        receiver["last_failure"].is_object().then(|| receiver["last_failure"].clone())
    })
    .await;
    assert_eq!(failed, json!({ "code": "busy", "status": 429, "detail": "slow down" }));
    let again = scene.carriers.nth(2).await;
    assert!(again.at.duration_since(first.at) >= Duration::from_secs(9));
    assert_eq!(browser.read(&again), browser.read(&first));
}

/// A code for each, which readers have words for, and what the carrier said beside it.
async fn each_way_to_fail_has_its_code(database: Database) {
    let scene = scene(database, plain).await;
    let address = format!("{}/my-topic", scene.carriers.url);
    let ntfy = json!({ "name": "Desk", "target": { "kind": "ntfy", "address": address } });
    for (status, body, failure) in [
        (
            403,
            r#"{"code":40301,"http":403,"error":"forbidden"}"#,
            json!({ "code": "not_allowed", "status": 403, "detail": "forbidden" }),
        ),
        (400, "", json!({ "code": "refused", "status": 400 })),
        (503, "nobody here", json!({ "code": "trouble", "status": 503, "detail": "nobody here" })),
    ] {
        // A fresh one each time: one receiver is not tried twice in a moment.
        let id = scene.add(ntfy.clone()).await;
        scene.carriers.answer_next(status, None, body);
        let (answered, problem) = scene.ask(Method::POST, &format!("/receivers/{id}/test"), None).await;
        assert_eq!((answered, &problem["code"]), (StatusCode::BAD_GATEWAY, &json!("upstream_failed")));
        assert_eq!(problem["details"]["failure"], failure);
        assert_eq!(scene.receivers().await[0]["last_failure"], failure);
        scene.ask(Method::DELETE, &format!("/receivers/{id}"), None).await;
    }
    // Nobody listens there.
    let nowhere = json!({ "kind": "ntfy", "address": "http://127.0.0.1:9/my-topic" });
    let id = scene.add(json!({ "name": "Nowhere", "target": nowhere })).await;
    let (_, problem) = scene.ask(Method::POST, &format!("/receivers/{id}/test"), None).await;
    let failure = &problem["details"]["failure"];
    assert_eq!((&failure["code"], &failure["detail"]), (&json!("unreachable"), &json!("Connection refused")));
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
    a_test_in_the_middle_of_a_push_does_not_send_that_again,
    a_service_that_asks_for_time_gets_it,
    each_way_to_fail_has_its_code,
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
    // One more, behind whatever the other server sent of these.
    fill(&scene.device("gpu-3").await, 95).await;
    scene.carriers.nth(4).await;
    let mut titles: Vec<_> =
        scene.carriers.all().iter().map(|pushed| browser.read(pushed)["title"].to_string()).collect();
    titles.sort();
    titles.dedup();
    assert_eq!((titles.len(), scene.carriers.all().len()), (4, 4));
    // Both know themselves by the same key.
    let address = format!("{}/api/v1/push", two.url);
    let offer: serde_json::Value =
        foreman_link::http::json(scene.client.get(address).bearer_auth(&scene.owner))
            .await
            .expect("readable");
    let (status, own) = scene.ask(Method::GET, "", None).await;
    assert_eq!((status, &own["public_key"]), (StatusCode::OK, &offer["public_key"]));
}
