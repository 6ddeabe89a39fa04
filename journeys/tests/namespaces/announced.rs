//! A device whose address changed while nobody could tell: it is found on the local network by what it announces.

use foreman_client::Store;
use journeys::eventually;

use super::Scene;

/// Nobody has this address on the local network.
const OLD: &str = "10.66.1.99:9981";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_at_another_address_is_found_by_multicast_with_the_server_down() {
    let Some(mut scene) = Scene::new().await else { return };
    let status = scene.foreman(&["status", "one"], "").await;
    assert!(status.contains("local network (10.66.1.11"), "{status}");
    let store = Store::at(scene.folder.join("config/foreman"), scene.folder.join("data/foreman"));
    for mut known in store.devices().expect("readable") {
        known.addresses = vec![OLD.to_owned()];
        store.keep(&known).expect("written");
    }
    scene.server.kill().await;

    let status = scene.foreman(&["status", "one"], "").await;
    assert!(status.contains("reached   over local network (announced by mDNS)"), "{status}");
    assert!(status.contains("end to end"), "{status}");
    let said = scene.foreman(&["shell", "one", "--", "sh", "-c", "echo in-$((40+2))"], "").await;
    assert!(said.contains("in-42"), "{said}");
    let file = scene.folder.join("sent");
    std::fs::write(&file, b"over the local network".repeat(100_000)).expect("written");
    let remote = scene.folder.join("received");
    let to = format!("one:{}", remote.display());
    scene.foreman(&["cp", &file.display().to_string(), &to], "").await;
    assert_eq!(std::fs::read(&remote).expect("there"), std::fs::read(&file).expect("there"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_found_where_the_network_has_nothing_but_link_local_addresses() {
    let Some(mut scene) = Scene::new().await else { return };
    // Keys and rights, which need the server once.
    scene.foreman(&["status", "one"], "").await;
    scene.server.kill().await;
    scene.network.link_local_only();
    let said = eventually("the device is found by what it announces", async || {
        let output = scene.command(&["shell", "one", "--", "sh", "-c", "echo in-$((40+2))"]).output().await;
        let output = output.expect("foreman runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    })
    .await;
    assert!(said.contains("in-42"), "{said}");
}
