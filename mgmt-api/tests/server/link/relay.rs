//! The relay with real WebSockets on both ends: what it carries, whom it lets in, and how it ends.

use std::time::Duration;

use foreman_protocol::{AccountId, Dial, RELAY_TICKET_HEADER};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use super::device::{Commands, Socket, TestDevice, open, open_with, refusal};
use crate::{
    accounts::owner,
    running::{Running, json},
};

struct Scene {
    server: Running,
    admin: String,
    device: TestDevice,
    commands: Commands,
}

impl Scene {
    /// A value of the server's metrics.
    async fn metric(&self, name: &str) -> Option<f64> {
        let asked = self.server.get("/metrics").bearer_auth(&self.admin).send().await.ok()?;
        let text = asked.text().await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    async fn set(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Running::over(folder.keep().join("data"), options);
        let admin = server.token("admin");
        let device = TestDevice::join(&server, &admin).await;
        let commands = device.listen().await;
        Self { server, admin, device, commands }
    }

    /// Asks for a connection, which waits until the device comes.
    fn call(&self) -> tokio::task::JoinHandle<Result<Socket, tokio_tungstenite::tungstenite::Error>> {
        let (url, path, admin) = (self.server.url.clone(), self.device.path("relay"), self.admin.clone());
        tokio::spawn(async move { open(&url, &path, &admin, &[]).await })
    }

    async fn connect(&mut self) -> (Socket, Socket) {
        let client = self.call();
        let dial = self.commands.dial().await.unwrap();
        let device = self.device.come(&dial).await.unwrap();
        (client.await.unwrap().unwrap(), device)
    }
}

async fn binary(socket: &mut Socket) -> Vec<u8> {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(data) => return data.to_vec(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The code with which the server closes.
async fn closed(socket: &mut Socket) -> Option<CloseCode> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn messages_go_both_ways_as_they_are() {
    let mut scene = Scene::set(&[]).await;
    let (mut client, mut device) = scene.connect().await;
    for size in [1, 100, 64 * 1024] {
        let there: Vec<u8> = (0..size).map(|n| n as u8).collect();
        let back: Vec<u8> = there.iter().rev().copied().collect();
        client.send(Message::binary(there.clone())).await.unwrap();
        assert_eq!(binary(&mut device).await, there);
        device.send(Message::binary(back.clone())).await.unwrap();
        assert_eq!(binary(&mut client).await, back);
    }
    let metrics =
        scene.server.get("/metrics").bearer_auth(&scene.admin).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("foreman_relays_open 1"), "{metrics}");
    assert!(metrics.contains("foreman_relay_bytes_total{to=\"device\"} 65637"), "{metrics}");
    // One end closes, the other hears it.
    client.close(None).await.unwrap();
    assert_eq!(closed(&mut device).await, Some(CloseCode::Normal));
}

#[tokio::test]
async fn each_ends_ping_is_answered_by_the_server() {
    let mut scene = Scene::set(&[]).await;
    let (mut client, mut device) = scene.connect().await;
    for socket in [&mut client, &mut device] {
        socket.send(Message::Ping(vec![1, 2].into())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(vec![1, 2].into()));
    }
}

#[tokio::test]
async fn what_is_no_link_ends_the_relay() {
    let mut scene = Scene::set(&[]).await;
    let (mut client, mut device) = scene.connect().await;
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(closed(&mut device).await, Some(CloseCode::Protocol));
    let (mut client, mut device) = scene.connect().await;
    client.send(Message::binary(vec![0; 64 * 1024 + 1])).await.unwrap();
    assert_eq!(closed(&mut device).await, Some(CloseCode::Protocol));
    drop(client);
    // A device that vanishes is noticed too.
    let (mut client, device) = scene.connect().await;
    drop(device);
    assert!(matches!(closed(&mut client).await, Some(CloseCode::Normal | CloseCode::Protocol)));
}

#[tokio::test]
async fn a_ticket_is_good_once_and_only_for_the_device_that_was_called() {
    let mut scene = Scene::set(&[]).await;
    let other = TestDevice::join(&scene.server, &scene.admin).await;
    let waiting = scene.call();
    let dial = scene.commands.dial().await.unwrap();
    assert!(dial.ticket.starts_with("fmr_") && dial.server.is_none());
    assert!(matches!(dial.account, Some(AccountId::Token(_))), "the device can tell callers apart");

    let wrong = Dial { ticket: "fmr_AAAA".to_owned(), server: None, account: None };
    assert_eq!(refusal(scene.device.come(&wrong).await).1["code"], "forbidden");
    assert_eq!(refusal(other.come(&dial).await).1["code"], "forbidden");
    let path = scene.device.path("relay/accept");
    let ticket = [(RELAY_TICKET_HEADER, dial.ticket.as_str())];
    let stranger = open(&scene.server.url, &path, &other.bearer, &ticket).await;
    assert_eq!(refusal(stranger).1["code"], "forbidden");
    let nobody = open_with(&scene.server.url, &path, &ticket).await;
    assert_eq!(refusal(nobody).1["code"], "unauthenticated");

    let _device = scene.device.come(&dial).await.unwrap();
    let _client = waiting.await.unwrap().unwrap();
    assert_eq!(refusal(scene.device.come(&dial).await).1["code"], "forbidden");

    // Whoever waited has gone: nobody is there to be met.
    let waiting = scene.call();
    let dial = scene.commands.dial().await.unwrap();
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    journeys::eventually("the server notices", || async {
        match scene.device.come(&dial).await {
            // The caller was still thought to wait: its ticket is spent all the same.
            Ok(_) => Some(()),
            refused => (refusal(refused).1["code"] == "forbidden").then_some(()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_device_that_does_not_listen_is_unreachable_at_once() {
    let Scene { server, admin, device, commands } = Scene::set(&[]).await;
    drop(commands);
    let (status, said) = journeys::eventually("the server notices that the stream is gone", || async {
        let path = device.path("relay");
        let outcome =
            tokio::time::timeout(Duration::from_secs(5), open(&server.url, &path, &admin, &[])).await;
        outcome.ok().map(refusal)
    })
    .await;
    assert_eq!((status, said["code"].as_str()), (503, Some("device_unreachable")));
    assert!(said["detail"].as_str().unwrap().contains("last heard"), "{said}");
    assert!(said["details"]["last_seen_at"].is_i64(), "{said}");
}

#[tokio::test]
async fn only_the_tenants_people_and_programs_may_call() {
    let scene = Scene::set(&[]).await;
    let path = scene.device.path("relay");
    let refused =
        async |headers: &[(&'static str, &str)]| refusal(open_with(&scene.server.url, &path, headers).await);
    assert_eq!(refused(&[]).await.1["code"], "unauthenticated");
    let as_device = format!("Bearer {}", scene.device.bearer);
    assert_eq!(refused(&[("authorization", &as_device)]).await.1["code"], "unauthenticated");
    let other = "/api/v1/devices/01a1fd32-31ab-7322-b26a-bc705ba312b0/relay";
    let missing = open(&scene.server.url, other, &scene.admin, &[]).await;
    assert_eq!(refusal(missing).1["code"], "not_found");
    let plain = scene.server.get(&path).bearer_auth(&scene.admin);
    assert_eq!(crate::running::problem(plain).await.1, "invalid_request");
}

#[tokio::test]
async fn a_cookie_opens_a_web_socket_only_from_our_own_page() {
    let mut scene = Scene::set(&["--public-url", "https://foreman.example"]).await;
    let cookie = owner(&scene.server).await;
    let path = scene.device.path("relay");
    for origin in [None, Some("https://evil.example"), Some("null"), Some("http://127.0.0.1:1")] {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let (status, said) = refusal(open_with(&scene.server.url, &path, &headers).await);
        assert_eq!((status, said["code"].as_str()), (403, Some("forbidden")), "{origin:?}");
        assert!(said["detail"].as_str().unwrap().contains("--public-url"), "{said}");
    }
    for origin in [scene.server.url.clone(), "https://foreman.example".to_owned()] {
        let (url, path, cookie) = (scene.server.url.clone(), path.clone(), cookie.clone());
        let client =
            tokio::spawn(
                async move { open_with(&url, &path, &[("cookie", &cookie), ("origin", &origin)]).await },
            );
        let dial = scene.commands.dial().await.unwrap();
        let _device = scene.device.come(&dial).await.unwrap();
        client.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn too_many_who_wait_and_too_many_relays_are_turned_away() {
    let mut scene = Scene::set(&["--relays", "12"]).await;
    let waiting: Vec<_> = (0..8).map(|_| scene.call()).collect();
    let mut dials = Vec::new();
    for _ in 0..8 {
        dials.push(scene.commands.dial().await.unwrap());
    }
    let (status, said) = refusal(scene.call().await.unwrap());
    assert_eq!((status, said["code"].as_str()), (409, Some("limit_reached")));
    assert_eq!(said["details"]["limit"], 8);
    // Somebody else is let in all the same.
    let (url, path, viewer) =
        (scene.server.url.clone(), scene.device.path("relay"), scene.server.token("viewer"));
    let other = tokio::spawn(async move { open(&url, &path, &viewer, &[]).await });
    let dial = scene.commands.dial().await.unwrap();
    let theirs = scene.device.come(&dial).await.unwrap();
    other.await.unwrap().unwrap();
    drop(theirs);

    let mut open = Vec::new();
    for dial in dials {
        open.push(scene.device.come(&dial).await.unwrap());
    }
    for client in waiting {
        open.push(client.await.unwrap().unwrap());
    }
    for _ in 8..12 {
        let (client, device) = scene.connect().await;
        open.extend([client, device]);
    }
    let (_, said) = refusal(scene.call().await.unwrap());
    assert_eq!((said["code"].as_str(), &said["details"]["limit"]), (Some("limit_reached"), &json!(12)));
    drop(open);
    journeys::eventually("places are free again", || async {
        (scene.metric("foreman_relays_open").await? <= 0.0).then_some(())
    })
    .await;
    scene.connect().await;
}

/// Resident memory of the server, in KiB.
fn memory(server: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn an_end_that_does_not_read_holds_the_other_back() {
    let mut scene = Scene::set(&[]).await;
    let (mut client, mut device) = scene.connect().await;
    let before = memory(&scene.server);
    // The device does not read; the client would send 256 MiB.
    let piece = vec![7; 64 * 1024];
    let mut sent = 0;
    while sent < 4096 {
        let sending = client.send(Message::binary(piece.clone()));
        if tokio::time::timeout(Duration::from_secs(2), sending).await.is_err() {
            break;
        }
        sent += 1;
    }
    assert!(sent < 1024, "{sent} pieces were taken and read by nobody");
    assert!(
        memory(&scene.server) < before + 8 * 1024,
        "memory grew from {before} KiB to {} KiB",
        memory(&scene.server)
    );
    // Nothing of it was lost: what was taken arrives when the device reads again.
    for _ in 0..sent {
        assert_eq!(binary(&mut device).await.len(), piece.len());
    }
}

#[tokio::test]
async fn idle_relays_end() {
    let mut scene = Scene::set(&["--relay-idle-s", "2"]).await;
    let (mut client, mut device) = scene.connect().await;
    assert_eq!(closed(&mut client).await, Some(CloseCode::Away));
    assert_eq!(closed(&mut device).await, Some(CloseCode::Away));
}

/// Also where the other end is idle: it reads nothing, so it does not hear that it is over.
#[tokio::test]
async fn a_relay_makes_room_when_one_end_goes() {
    let mut scene = Scene::set(&["--relays", "1"]).await;
    let free = async |scene: &Scene| {
        journeys::eventually("its place is free again", || async {
            (scene.metric("foreman_relays_open").await? <= 0.0).then_some(())
        })
        .await;
    };
    let (client, device) = scene.connect().await;
    assert_eq!(refusal(scene.call().await.unwrap()).1["code"], "limit_reached");
    drop(device);
    free(&scene).await;
    let (other, device) = scene.connect().await;
    drop(other);
    free(&scene).await;
    scene.connect().await;
    drop((client, device));
}

#[tokio::test]
async fn idle_relays_are_small() {
    let mut scene = Scene::set(&[]).await;
    let mut open = vec![scene.connect().await];
    let before = memory(&scene.server);
    for _ in 1..50 {
        open.push(scene.connect().await);
    }
    let each = memory(&scene.server).saturating_sub(before) / 49;
    println!("an idle relay takes {each} KiB");
    assert!(each <= 64, "an idle relay takes {each} KiB");
    let small = scene.metric("foreman_relay_buffer_bytes").await.unwrap();
    for (client, device) in &mut open {
        client.send(Message::binary(vec![1; 64 * 1024])).await.unwrap();
        binary(device).await;
    }
    // What was large once does not stay large.
    let grown = scene.metric("foreman_relay_buffer_bytes").await.unwrap();
    assert!(grown > small, "{grown} bytes after {small}");
    journeys::eventually("relays give back what they needed", || async {
        (scene.metric("foreman_relay_buffer_bytes").await? <= small).then_some(())
    })
    .await;
    assert_eq!(scene.metric("foreman_relays_open").await, Some(50.0), "and they are still there");
    drop(open);
    journeys::eventually("with them goes what they had", || async {
        (scene.metric("foreman_relay_buffer_bytes").await? <= 0.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_closes_relays_and_turns_away_who_waits() {
    let mut scene = Scene::set(&[]).await;
    let (mut client, mut device) = scene.connect().await;
    let waiting = scene.call();
    scene.commands.dial().await.unwrap();
    let mut server = scene.server;
    let stopped = tokio::task::spawn_blocking(move || server.terminate());
    assert_eq!(closed(&mut client).await, Some(CloseCode::Away));
    assert_eq!(closed(&mut device).await, Some(CloseCode::Away));
    assert_eq!(refusal(waiting.await.unwrap()).1["code"], "unavailable");
    assert_eq!(stopped.await.unwrap(), Some(0));
}

#[tokio::test]
async fn relays_of_a_device_that_was_removed_end() {
    let mut scene = Scene::set(&[]).await;
    let (mut client, mut device) = scene.connect().await;
    let path = format!("/api/v1/devices/{}", scene.device.id);
    let deleted = scene.server.request(reqwest::Method::DELETE, &path).bearer_auth(&scene.admin).send().await;
    assert_eq!(deleted.unwrap().status(), reqwest::StatusCode::NO_CONTENT);
    assert_eq!(closed(&mut client).await, Some(CloseCode::Policy));
    assert_eq!(closed(&mut device).await, Some(CloseCode::Policy));
}

#[tokio::test]
async fn relays_of_a_client_whose_token_was_taken_back_end() {
    let mut scene = Scene::set(&[]).await;
    let (mut others, mut to_others) = scene.connect().await;
    let admin = scene.admin.clone();
    let made = scene.server.post("/api/v1/tokens", json!({ "name": "ci", "role": "operator" }));
    let made = json(made.bearer_auth(&admin)).await;
    scene.admin = made["secret"].as_str().unwrap().to_owned();
    let (mut client, mut device) = scene.connect().await;
    let token = format!("/api/v1/tokens/{}", made["token"]["id"].as_str().unwrap());
    let taken = scene.server.request(reqwest::Method::DELETE, &token).bearer_auth(&admin).send().await;
    assert_eq!(taken.unwrap().status(), reqwest::StatusCode::NO_CONTENT);
    for socket in [&mut client, &mut device] {
        let end = tokio::time::timeout(journeys::PATIENCE, closed(socket)).await.expect("it ends");
        assert_eq!(end, Some(CloseCode::Policy));
    }
    others.send(Message::binary(vec![1])).await.unwrap();
    assert_eq!(binary(&mut to_others).await, [1], "others go on");
}

#[tokio::test]
async fn a_viewer_may_use_the_relay_because_the_device_decides() {
    let mut scene = Scene::set(&[]).await;
    scene.admin = scene.server.token("viewer");
    scene.connect().await;
    let made = scene.server.post("/api/v1/devices", json!({ "name": "x", "type": "inference" }));
    assert_eq!(crate::running::problem(made.bearer_auth(&scene.admin)).await.1, "forbidden");
    json(scene.server.get("/api/v1/devices").bearer_auth(&scene.admin)).await;
}
