//! What an owner takes back by telling the device itself, with a server that carries nothing.

use foreman_link::{
    channel::ConnectError,
    grant::{Issuer, LinkSecret, sign_grant, sign_revocation},
    h2::{Body, Client},
};
use foreman_protocol::{AddRevocation, Level, LinkUse, RefusedBecause, Revoked};
use hyper::{Request, StatusCode};

use crate::house::{House, PATIENCE, hello, until_closed};

async fn hand_over(client: &Client, signed: &str) -> StatusCode {
    let request = AddRevocation { revocation: signed.to_owned() };
    let body = Body::from(serde_json::to_vec(&request).unwrap());
    let request =
        Request::post("/revocations").header("content-type", "application/json").body(body).unwrap();
    tokio::time::timeout(PATIENCE, client.request(request)).await.unwrap().unwrap().status()
}

#[tokio::test]
async fn an_owner_hands_it_to_the_device_and_it_holds_at_once_and_for_good() {
    let mut house = House::new(&[]).await;
    let guest = LinkSecret::generate();
    let grant = house.grant(&guest, Level::Operate);
    let signed = sign_grant(&grant, &house.owner);
    let (open, _) = house.call(&guest, &signed).await.unwrap();
    let owner = house.caller(Level::View).await;

    // Nobody else can: another key, the owner's name under another signature, another device.
    let thief = Issuer::generate();
    let revocation = house.revocation(Revoked::Grant(grant.id), &house.owner);
    let mut elsewhere = revocation.clone();
    elsewhere.device = Issuer::generate().public();
    for wrong in [
        sign_revocation(&house.revocation(Revoked::Grant(grant.id), &thief), &thief),
        sign_revocation(&revocation, &thief),
        sign_revocation(&elsewhere, &house.owner),
        "none".to_owned(),
        "x".repeat(100_000),
    ] {
        assert_eq!(hand_over(&owner, &wrong).await, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(hello(&open).await.level, Level::Operate);

    let right = sign_revocation(&revocation, &house.owner);
    for _ in 0..3 {
        assert_eq!(hand_over(&owner, &right).await, StatusCode::NO_CONTENT);
    }
    until_closed(&open).await;
    let refused = house.call(&guest, &signed).await.map(drop);
    assert!(matches!(refused, Err(ConnectError::Refused(RefusedBecause::Revoked))), "{refused:?}");

    // Told once, however often it was handed over.
    let told = |inner: &crate::awkward::Inner| {
        let is_it = |report: &&foreman_protocol::LinkReport| {
            matches!(&report.what, LinkUse::TakenBack { revoked: Revoked::Grant(id), by }
                if *id == grant.id && by == "Mia's phone")
        };
        inner.links.iter().filter(is_it).count()
    };
    house.server.until("the server is told", |inner| told(inner) > 0).await;
    assert_eq!(house.server.with(|inner| told(inner)), 1);
    house.end().await;
    let house = house.started_again(&[]).await;
    let refused = house.call(&guest, &signed).await.map(drop);
    assert!(matches!(refused, Err(ConnectError::Refused(RefusedBecause::Revoked))), "{refused:?}");
}

#[tokio::test]
async fn one_port_is_reached_by_both_kinds_of_addresses_and_both_are_told() {
    let house = House::new(&["--link-listen", "0"]).await;
    let addresses = house.facts().link.addresses;
    let port = addresses[0].rsplit_once(':').unwrap().1;
    let client = LinkSecret::generate();
    let grant = house.signed(&client, Level::View);
    for local in ["[::1]", "127.0.0.1"] {
        let way = foreman_link::carrier::connect_tcp(&format!("{local}:{port}")).await.unwrap();
        let (client, _) = crate::house::over(way, &house.keys(&client), &grant, "lan").await.unwrap();
        assert_eq!(hello(&client).await.level, Level::View, "{local}");
    }
    let interfaces = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    // The scope of addresses that work without saying through which interface.
    let has_global = interfaces.lines().any(|line| line.split_whitespace().nth(3) == Some("00"));
    assert_eq!(addresses.iter().any(|address| address.starts_with('[')), has_global, "{addresses:?}");
}
