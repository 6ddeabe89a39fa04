//! From an id to a connection: with a server, without one, and with one that lies.

use foreman_client::{
    DeviceConnection, Foreman, KnownDevice, PathKind, Store,
    device::{NotBelieved, OpenError},
};
use foreman_link::grant::Issuer;
use foreman_protocol::DeviceId;

use crate::scene::{Scene, options, reached};

pub fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::at(folder.path().join("config"), folder.path().join("data"));
    (folder, store)
}

/// A scene whose device trusts this store's owner key.
pub fn trusting(store: &Store) -> Scene {
    let mut scene = Scene::new();
    scene.owner = store.owner_key().unwrap();
    scene.client = store.client_key().unwrap();
    scene
}

#[tokio::test]
async fn a_device_met_once_is_reached_on_the_local_network_with_the_server_down() {
    let (_folder, store) = store();
    let scene = trusting(&store);
    let (server, listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let met = DeviceConnection::open(&store, Some(&server), scene.id, options()).await.unwrap();
    assert_eq!(met.hello().await.unwrap().name, "lan");
    drop(met);
    listening.cut().await;
    for server in [Some(&server), None] {
        let device = DeviceConnection::open(&store, server, scene.id, options()).await.unwrap();
        reached(&device, PathKind::Lan).await;
        assert_eq!(device.hello().await.unwrap().name, "lan");
    }
}

#[tokio::test]
async fn a_device_that_does_not_trust_this_user_is_reached_through_the_server_and_not_bothered_again() {
    let (_folder, store) = store();
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let device = DeviceConnection::open(&store, Some(&server), scene.id, options()).await.unwrap();
    assert_eq!(device.hello().await.unwrap().name, "server");
    let kept = store.device(scene.id).unwrap().unwrap();
    assert!(kept.grant.is_none() && kept.refused_at.is_some());
    let again = DeviceConnection::open(&store, Some(&server), scene.id, options()).await.unwrap();
    assert_eq!(again.path().kind, Some(PathKind::Server));
}

#[tokio::test]
async fn a_server_that_shows_another_device_under_the_same_id_is_not_believed() {
    let (_folder, store) = store();
    let (scene, mut thief) = (trusting(&store), Scene::new());
    thief.id = scene.id;
    let (honest, _honest) = scene.server().await;
    let (stolen, _stolen) = thief.server().await;
    drop(DeviceConnection::open(&store, Some(&honest), scene.id, options()).await.unwrap());
    let refused = DeviceConnection::open(&store, Some(&stolen), scene.id, options()).await;
    let error = refused.err().expect("it is refused");
    assert!(matches!(error, OpenError::NotBelieved(NotBelieved::OtherIdentity { .. })), "{error}");
    let pinned: KnownDevice = store.device(scene.id).unwrap().unwrap();
    assert_eq!(pinned.identity, scene.known().identity);
}

#[tokio::test]
async fn a_server_that_hands_out_a_worthless_right_does_not_get_to_speak_for_this_client() {
    let (_folder, store) = store();
    let scene = trusting(&store);
    scene.carry(&scene.grant(&scene.known(), &Issuer::generate()));
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    for _ in 0..2 {
        let device = DeviceConnection::open(&store, Some(&server), scene.id, options()).await.unwrap();
        assert_ne!(device.hello().await.unwrap().name, "server");
    }
}

#[tokio::test]
async fn a_device_nobody_told_of_is_said_to_be_unknown() {
    let (_folder, store) = store();
    let unknown = DeviceConnection::open(&store, None, DeviceId::fresh(), options()).await;
    assert!(matches!(unknown.err(), Some(OpenError::Unknown)));
    let nowhere = Foreman::new("http://127.0.0.1:9", "x").unwrap();
    let unreachable = DeviceConnection::open(&store, Some(&nowhere), DeviceId::fresh(), options()).await;
    assert!(matches!(unreachable.err(), Some(OpenError::Server(_))));
}

/// Of a program that still has the old key, as a shell that is open meanwhile.
#[tokio::test]
async fn that_a_replaced_key_was_refused_does_not_keep_the_new_one_from_the_device() {
    let (_folder, store) = store();
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let mut known = scene.known();
    known.refused_at = Some(i64::MAX);
    store.keep(&known).unwrap();
    let old = store.client_key().unwrap();
    store.rotate_client_key().unwrap();
    let fresh = KnownDevice { grant: None, refused_at: None, ..known.clone() };
    assert_eq!(store.device(scene.id).unwrap().as_ref(), Some(&fresh));

    known.refused_at = None;
    let left = DeviceConnection::new(known, old, Some(store.clone()), Some(server), options()).unwrap();
    assert_eq!(left.hello().await.unwrap().name, "server", "the old one is refused");
    assert_eq!(store.device(scene.id).unwrap().as_ref(), Some(&fresh));
}

/// Of a program that was started with another right, as a log that is followed meanwhile.
#[tokio::test]
async fn a_right_that_was_taken_from_a_hand_outlives_the_refusal_of_the_one_before() {
    let (_folder, store) = store();
    let mut scene = Scene::new();
    scene.client = store.client_key().unwrap();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let known = scene.known();
    let given = KnownDevice { grant: Some(scene.grant(&known, &scene.owner)), ..known.clone() };
    let before = KnownDevice { grant: Some(scene.grant(&known, &Issuer::generate())), ..known };
    store.keep(&given).unwrap();
    let key = store.client_key().unwrap();
    let left = DeviceConnection::new(before, key, Some(store.clone()), Some(server), options()).unwrap();
    assert_ne!(left.hello().await.unwrap().name, "server", "it is taken up here too");
    assert_eq!(store.device(scene.id).unwrap().and_then(|kept| kept.grant), given.grant);
}
