//! An owner takes a right back while the server is away: the device is told straight, or as soon as it is reached.

use std::time::Duration;

use foreman_client::{
    DeviceConnection, Error, KnownDevice, PathKind,
    device::{NewGrant, make_grant, take_back},
};
use foreman_link::grant::{Issuer, LinkSecret, sign_revocation};
use foreman_protocol::{Level, ProblemCode, Revocation, Revoked};
use futures_util::TryStreamExt;
use journeys::{database::Database, eventually, soon};
use nix::sys::signal::Signal;

use super::{Scene, only, quick, reached};

/// What the device says to a client, asked once over the local network.
async fn asked(known: &KnownDevice, key: &LinkSecret) -> Result<Level, Error> {
    let options = foreman_client::DeviceOptions { through_server: false, ..only(PathKind::Lan) };
    let device = DeviceConnection::new(known.clone(), key.clone(), None, None, options);
    device.expect("a connection").hello().await.map(|hello| hello.level)
}

fn is_revoked(answer: &Result<Level, Error>) -> bool {
    let Err(Error::Refused { problem, .. }) = answer else { return false };
    problem.code == ProblemCode::GrantNotEnough
        && problem.details.as_ref().is_some_and(|details| details["refused"] == "revoked")
}

/// A guest, and what they know of the device.
async fn guest(scene: &Scene, known: &KnownDevice) -> (LinkSecret, KnownDevice) {
    let key = LinkSecret::generate();
    let new = NewGrant {
        client: key.public(),
        name: "a guest".to_owned(),
        level: Level::Operate,
        lasts: Duration::from_secs(3600),
    };
    let (_, signed) = make_grant(&scene.store.owner_key().expect("a key"), known, &new);
    scene.foreman.add_grant(known.id, &signed).await.expect("the server carries it");
    (key, KnownDevice { grant: Some(signed), ..known.clone() })
}

async fn with_the_server_away_a_right_is_taken_back_on_the_device_itself(database: Database) {
    let mut scene = Scene::new(database).await;
    let met = scene.open(only(PathKind::Lan)).await;
    reached(&met, PathKind::Lan).await;
    let known = met.known();
    let (key, theirs) = guest(&scene, &known).await;
    let inside = DeviceConnection::new(theirs.clone(), key.clone(), None, None, quick()).expect("one");
    reached(&inside, PathKind::Lan).await;
    assert_eq!(asked(&theirs, &key).await.expect("a guest is let in"), Level::Operate);
    let mut states = inside.watch();

    scene.server.program.kill().await;
    let revokes = Revoked::Client(key.public());
    let taken = take_back(&scene.store, Some(&scene.foreman), &known, revokes, quick()).await;
    let taken = taken.expect("it is signed and kept");
    assert!(taken.device.is_ok() && matches!(taken.server, Some(Err(_))), "{taken:?}");
    assert!(scene.store.untold(known.id).expect("readable").is_empty(), "the device confirmed it");
    // What was open is closed, and nothing new opens.
    soon("the guest is cut off", states.wait_for(|state| state.kind.is_none())).await.expect("watched");
    assert!(is_revoked(&asked(&theirs, &key).await));
    // It is kept there: another life of the agent knows it, and the server hears of it from the device.
    scene.agent.program.kill().await;
    scene.agent.start_again();
    scene.server.start_again().await;
    let addresses = scene.facts_again(&known.addresses).await;
    let theirs = KnownDevice { addresses, ..theirs };
    assert!(is_revoked(&asked(&theirs, &key).await));
    eventually("the server shows it as taken back", || async {
        let grants: Vec<_> = scene.foreman.grants(known.id).try_collect().await.expect("listed");
        let theirs = grants.iter().find(|carried| carried.grant.client == key.public());
        theirs.and_then(|carried| carried.revoked_at)
    })
    .await;
}

async fn a_device_that_could_not_be_told_is_told_when_it_is_reached_next(database: Database) {
    let mut scene = Scene::new(database).await;
    let met = scene.open(only(PathKind::Lan)).await;
    reached(&met, PathKind::Lan).await;
    let known = met.known();
    drop(met);
    let (key, theirs) = guest(&scene, &known).await;
    assert!(asked(&theirs, &key).await.is_ok());

    scene.server.program.kill().await;
    // It runs and hears nothing.
    scene.agent.program.signal(Signal::SIGSTOP);
    let revokes = Revoked::Client(key.public());
    let taken = take_back(&scene.store, Some(&scene.foreman), &known, revokes, quick()).await;
    let taken = taken.expect("it is signed and kept");
    assert!(taken.device.is_err() && matches!(taken.server, Some(Err(_))), "{taken:?}");
    assert_eq!(scene.store.untold(known.id).expect("readable").len(), 1);
    scene.agent.program.signal(Signal::SIGCONT);

    // Opened for anything at all, with the server still away.
    eventually("the device has heard it", || async {
        drop(scene.open(only(PathKind::Lan)).await);
        scene.store.untold(known.id).expect("readable").is_empty().then_some(())
    })
    .await;
    assert!(is_revoked(&asked(&theirs, &key).await));
}

async fn what_a_server_carries_is_taken_back_when_the_device_says_so_and_not_before(database: Database) {
    let scene = Scene::new(database).await;
    let known = scene.open(only(PathKind::Lan)).await.known();
    let ((key, theirs), (other, _)) = (guest(&scene, &known).await, guest(&scene, &known).await);
    let carried = async |client: &LinkSecret| {
        let grants: Vec<_> = scene.foreman.grants(known.id).try_collect().await.expect("listed");
        grants.into_iter().find(|carried| carried.grant.client == client.public()).expect("it is carried")
    };
    let revoke = async |client: &LinkSecret, issuer: &Issuer| {
        let revokes = Revoked::Client(client.public());
        let revocation =
            Revocation { device: known.identity.clone(), revokes, at: 5, issuer: issuer.public() };
        let signed = sign_revocation(&revocation, issuer);
        scene.foreman.revoke_grant(known.id, &signed).await.expect("it is carried");
    };
    let owner = scene.store.owner_key().expect("a key");
    // Somebody who may use the server and is no owner of the device; then an owner, who is heard after them.
    revoke(&key, &Issuer::generate()).await;
    revoke(&other, &owner).await;
    eventually("the server shows the one", || async { carried(&other).await.revoked_at }).await;
    let shown = carried(&key).await;
    assert!(shown.revoke_asked_at.is_some() && shown.revoked_at.is_none(), "{shown:?}");
    assert!(asked(&theirs, &key).await.is_ok());

    revoke(&key, &owner).await;
    eventually("the server shows the other", || async { carried(&key).await.revoked_at }).await;
    assert!(is_revoked(&asked(&theirs, &key).await));
}

crate::on_both_databases!(
    what_a_server_carries_is_taken_back_when_the_device_says_so_and_not_before,
    with_the_server_away_a_right_is_taken_back_on_the_device_itself,
    a_device_that_could_not_be_told_is_told_when_it_is_reached_next,
);
