//! A device in a network that has an HTTP proxy and no other way out.

use journeys::{
    network::{Host, SERVER, SERVER_BEYOND},
    proxy::{self, Passed},
};
use serde_json::json;
use tokio::process::Command;

use super::{Scene, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_behind_a_proxy_is_online_and_reached_by_the_relay() {
    let Some(mut scene) = Scene::without_devices(SERVER_BEYOND).await else { return };
    let mut direct = Command::new("curl");
    direct.args(["--silent", "--max-time", "10", &scene.url]);
    let direct = scene.network.inside(Host::Two, &direct).status().await.expect("curl runs");
    assert_eq!(direct.code(), Some(7), "there is no way to the server but the proxy");

    let passed = Passed::default();
    let proxy = format!("{SERVER}:3128");
    scene.network.spawn(Host::Server, proxy::serve(proxy.clone(), passed.clone()));
    let proxy = format!("http://{proxy}");
    let env = [("HTTP_PROXY", proxy.as_str()), ("HTTPS_PROXY", proxy.as_str())];
    let agent = scene.join(Host::Two, "two", &["--dashboard", "operate"], &env).await;
    scene.agents.push(agent);

    let devices = scene.json(&["devices"]).await;
    assert_eq!(text(&devices[0], "status"), "online", "{devices}");
    let status = scene.json(&["status", "two"]).await;
    assert_eq!(text(&status, "path"), "relay", "{status}");
    let file = scene.folder.join("sent");
    std::fs::write(&file, b"by the proxy".repeat(200_000)).expect("written");
    let remote = scene.folder.join("received");
    let to = format!("two:{}", remote.display());
    scene.foreman(&["cp", &file.display().to_string(), &to], "").await;
    assert_eq!(std::fs::read(&remote).expect("there"), std::fs::read(&file).expect("there"));
    let said = scene.foreman(&["shell", "two", "--", "sh", "-c", "echo in-$((40+2))"], "").await;
    assert!(said.contains("in-42"), "{said}");
    // The server itself, as the dashboard asks it to, and a task.
    let device = scene.device("two").await.id;
    let path = format!("/api/v1/devices/{device}/link/files/stat?path={}", remote.display());
    let (status, found) = scene.ask("GET", &path, &json!(null)).await;
    assert_eq!((status, found["size"].as_u64()), (200, Some(2_400_000)), "{found}");
    let out = scene.foreman(&["run", "two", "--shell", "--", "echo out"], "").await;
    assert_eq!(out, "out\n");

    let lines = passed.lines();
    let address = scene.url.trim_start_matches("http://");
    let tunnelled = lines.iter().any(|line| line == &format!("CONNECT {address}"));
    assert!(tunnelled && lines.iter().any(|line| line.contains(&scene.url)), "{lines:#?}");
}
