//! Which path is taken, and that another one takes over.

use foreman_client::{DeviceConnection, DeviceOptions, PathKind};
use foreman_protocol::ProblemCode;

use crate::scene::{Scene, options, reached};

#[tokio::test]
async fn the_local_network_wins_and_when_it_dies_the_relay_takes_over_and_back() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let device = scene.connect(scene.known(), Some(&server));
    let state = reached(&device, PathKind::Lan).await;
    assert_eq!(state.address, lan.address);
    assert_eq!(device.hello().await.unwrap().name, "lan");

    let address = lan.address.clone();
    lan.cut().await;
    assert_eq!(device.hello().await.unwrap().name, "relay");
    let state = reached(&device, PathKind::Relay).await;
    assert!(state.address.starts_with("ws://127.0.0.1:"), "{}", state.address);

    let _lan = scene.lan_at(&address).await;
    reached(&device, PathKind::Lan).await;
    assert_eq!(device.hello().await.unwrap().name, "lan");
}

#[tokio::test]
async fn latency_is_measured_and_every_path_can_be_looked_at() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let (lan, gone) = (scene.lan().await, scene.lan().await);
    scene.tell_addresses(&[&lan, &gone]);
    gone.cut().await;
    let device = scene.connect(scene.known(), Some(&server));
    let mut states = device.watch();
    states.wait_for(|state| state.latency.is_some()).await.unwrap();
    let tries = device.survey().await;
    let told: Vec<_> = tries.iter().map(|one| (one.kind, one.outcome.is_ok())).collect();
    assert_eq!(told, [(PathKind::Lan, true), (PathKind::Lan, false), (PathKind::Relay, true)]);
    assert!(tries[1].outcome.as_ref().unwrap_err().contains("refused"), "{tries:?}");
}

#[tokio::test]
async fn without_any_path_it_says_why_and_goes_on_as_soon_as_there_is_one() {
    let scene = Scene::new();
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let (known, address) = (scene.known(), lan.address.clone());
    lan.cut().await;
    let device = scene.connect(known, None);
    let mut states = device.watch();
    let state = states.wait_for(|state| state.trouble.is_some()).await.unwrap().clone();
    let trouble = state.trouble.unwrap();
    assert!(trouble.contains("cannot be reached") && trouble.contains(&address), "{trouble}");
    let (answer, _lan) = tokio::join!(device.hello(), scene.lan_at(&address));
    assert_eq!(answer.unwrap().name, "lan");
}

#[tokio::test]
async fn a_device_that_is_nowhere_is_said_to_be_so_after_one_look() {
    let scene = Scene::new();
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let (known, address) = (scene.known(), lan.address.clone());
    lan.cut().await;
    let device = scene.connect(known, None);
    let asked = std::time::Instant::now();
    let error = device.hello().await.unwrap_err().to_string();
    assert!(error.contains(&address), "{error}");
    // A request waits longer than that for a device that may yet be found.
    assert!(asked.elapsed() < options().pace.request, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_rotated_link_key_is_learnt_from_the_server() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let known = scene.known();
    scene.rotate();
    let device = scene.connect(known, Some(&server));
    assert_eq!(device.hello().await.unwrap().name, "lan");
    assert_eq!(device.known().key.serial, 2);
}

#[tokio::test]
async fn a_refusal_is_not_tried_over_every_path_and_the_server_speaks_instead() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let mut known = scene.known();
    known.grant = Some(scene.grant(&known, &foreman_link::grant::Issuer::generate()));

    let alone = scene.connect(known.clone(), None);
    let error = alone.hello().await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::GrantNotEnough), "{error}");
    assert!(error.to_string().contains("anvil was reached and refused"), "{error}");

    let device = scene.connect(known, Some(&server));
    let state = reached(&device, PathKind::Server).await;
    assert!(state.trouble.unwrap().contains("refused"));
    assert_eq!(device.hello().await.unwrap().name, "server");
}

#[tokio::test]
async fn asked_for_nothing_but_the_server_it_goes_there_whatever_else_would_lead_to_the_device() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let only = DeviceOptions { only: Some(vec![PathKind::Server]), ..options() };
    let connect = |server| {
        DeviceConnection::new(scene.known(), scene.client.clone(), None, server, only.clone()).unwrap()
    };
    assert_eq!(connect(Some(server)).hello().await.unwrap().name, "server");
    let error = connect(None).hello().await.unwrap_err();
    assert!(error.to_string().contains("nothing but the way through the server"), "{error}");
}
