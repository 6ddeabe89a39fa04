//! Rights that run out: signed anew by whoever may, and never a reason to send by a path that the server can read.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use foreman_client::{
    DeviceConnection, Foreman, KnownDevice, PathKind, Store,
    device::{AttachOptions, AttachedTerminal, TerminalUpdate},
};
use foreman_link::grant::{Issuer, read_grant, sign_grant};
use foreman_protocol::{Millis, ProblemCode, TerminalId};

use crate::{
    opening::{store, trusting},
    scene::{Scene, options, reached},
};

const WRITE: AttachOptions = AttachOptions { from: 0, write: true, size: None };
const HOUR: Millis = 3_600_000;

/// The device's record with a right that this issuer signed an hour ago, and how long from now it counts.
fn known(scene: &Scene, issuer: &Issuer, left: Millis) -> (KnownDevice, Millis) {
    let mut known = scene.known();
    let mut grant = read_grant(&scene.grant(&known, issuer)).unwrap();
    let now = grant.issued_at;
    grant.issued_at = now - HOUR;
    grant.expires_at = now + left;
    known.grant = Some(sign_grant(&grant, issuer));
    (known, now)
}

/// When the right that is kept ends.
fn ends(store: &Store, scene: &Scene) -> Millis {
    let kept = store.device(scene.id).unwrap().unwrap();
    read_grant(&kept.grant.unwrap()).unwrap().expires_at
}

async fn next(terminal: &mut AttachedTerminal) -> TerminalUpdate {
    let next = tokio::time::timeout(Duration::from_secs(60), terminal.next());
    next.await.expect("it goes on").expect("it is not over")
}

/// A terminal over the LAN, whose right has run out since then and whose way was cut; and when it began.
async fn ran_out(
    scene: &Scene,
    store: &Store,
    server: &Foreman,
) -> (DeviceConnection, AttachedTerminal, Millis) {
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let (known, now) = known(scene, &scene.owner, 3 * HOUR);
    store.keep(&known).unwrap();
    scene.now.store(now, Relaxed);
    let device = DeviceConnection::open(store, Some(server), scene.id, options()).await.unwrap();
    reached(&device, PathKind::Lan).await;
    let mut terminal = device.attach(TerminalId::fresh(), WRITE);
    while !matches!(next(&mut terminal).await, TerminalUpdate::Attached(PathKind::Lan)) {}
    scene.now.store(now + 4 * HOUR, Relaxed);
    lan.cut().await;
    (device, terminal, now)
}

#[tokio::test]
async fn an_own_right_that_ran_out_while_a_terminal_was_open_is_signed_anew() {
    let (_folder, store) = store();
    let scene = trusting(&store);
    let (server, _listening) = scene.server().await;
    let (_device, mut terminal, now) = ran_out(&scene, &store, &server).await;
    terminal.input().write("typed\n").await;
    loop {
        match next(&mut terminal).await {
            TerminalUpdate::Attached(kind) => {
                assert_eq!(kind, PathKind::Relay);
                break;
            }
            TerminalUpdate::Failed(error) => panic!("{error}"),
            _ => {}
        }
    }
    scene.api.until_typed("typed\n").await;
    assert!(ends(&store, &scene) > now + 24 * HOUR);
}

#[tokio::test]
async fn an_own_right_is_renewed_at_half_of_its_life() {
    let (_folder, store) = store();
    let scene = trusting(&store);
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    for (left, renewed) in [(2 * HOUR, false), (HOUR / 2, true)] {
        let (known, now) = known(&scene, &scene.owner, left);
        store.keep(&known).unwrap();
        let device = DeviceConnection::open(&store, Some(&server), scene.id, options()).await.unwrap();
        reached(&device, PathKind::Lan).await;
        assert_eq!(ends(&store, &scene) > now + 24 * HOUR, renewed);
    }
}

#[tokio::test]
async fn a_terminal_that_was_sealed_is_not_typed_into_through_the_server() {
    let (_folder, store) = store();
    let mut scene = trusting(&store);
    // Somebody else owns the device, and gave a right for a while.
    scene.owner = Issuer::generate();
    let (server, _listening) = scene.server().await;
    let (device, mut terminal, _) = ran_out(&scene, &store, &server).await;
    terminal.input().write("secret\n").await;
    let error = loop {
        match next(&mut terminal).await {
            TerminalUpdate::Failed(error) => break error,
            TerminalUpdate::Attached(kind) => panic!("attached over {kind}"),
            _ => {}
        }
    };
    assert_eq!(error.code(), Some(ProblemCode::GrantNotEnough));
    assert!(error.to_string().contains("runs on there"), "{error}");
    scene.api.until_typed("").await;

    // Whoever attaches now begins through the server, and sees that.
    reached(&device, PathKind::Server).await;
    let mut terminal = device.attach(TerminalId::fresh(), WRITE);
    while !matches!(next(&mut terminal).await, TerminalUpdate::Attached(PathKind::Server)) {}
}
