//! The device link with the real agent: who is let in, by which way, and what a server that is a thief comes to.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

#[path = "agent/awkward.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod awkward;
#[path = "link/house.rs"]
mod house;
#[path = "link/shares.rs"]
mod shares;
#[path = "link/taken_back.rs"]
mod taken_back;
#[path = "link/ways.rs"]
mod ways;

use std::time::Duration;

use foreman_link::{
    carrier::{Dialer, connect_tcp},
    channel::ConnectError,
    grant::{Issuer, LinkSecret, sign_grant, sign_revocation},
    h2::Body,
};
use foreman_protocol::{
    CommandAction, Grant, Level, LinkUse, ProblemCode, RefusedBecause, Revoked, TaskState,
};
use house::{House, PATIENCE, hello, now, over, problem, send, until_closed, whole};
use hyper::header::HeaderName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

fn refused<T>(called: Result<T, ConnectError>) -> RefusedBecause {
    match called.map(drop) {
        Err(ConnectError::Refused(because)) => because,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_no_owner_signed_for_this_client_here_and_now_comes_to_nothing() {
    let house = House::new(&[]).await;
    let client = LinkSecret::generate();
    let grant = house.grant(&client, Level::View);
    let signed = sign_grant(&grant, &house.owner);
    assert!(house.call(&client, &signed).await.is_ok());

    // A server that makes one up, with a key of its own or in the owner's name.
    let thief = Issuer::generate();
    let by_thief = Grant { issuer: thief.public(), ..grant.clone() };
    for forged in [sign_grant(&by_thief, &thief), sign_grant(&grant, &thief)] {
        assert_eq!(refused(house.call(&client, &forged).await), RefusedBecause::Forged);
    }
    // One that widens a real one: the signature is of other bytes.
    let wide = sign_grant(&Grant { level: Level::Admin, ..grant.clone() }, &house.owner);
    let (json, _) = wide.split_once('.').unwrap();
    let widened = format!("{json}.{}", signed.split_once('.').unwrap().1);
    assert_eq!(refused(house.call(&client, &widened).await), RefusedBecause::Forged);
    // One that plays back what it carries for somebody else, or for another device.
    let other = LinkSecret::generate();
    assert_eq!(refused(house.call(&other, &signed).await), RefusedBecause::Forged);
    let elsewhere = Grant { device: Issuer::generate().public(), ..grant.clone() };
    let elsewhere = sign_grant(&elsewhere, &house.owner);
    assert_eq!(refused(house.call(&client, &elsewhere).await), RefusedBecause::Forged);
    let expired = sign_grant(&Grant { expires_at: now() - 1, ..grant }, &house.owner);
    assert_eq!(refused(house.call(&client, &expired).await), RefusedBecause::Expired);
    assert!(house.call(&client, &signed).await.is_ok());
}

#[tokio::test]
async fn what_an_owner_takes_back_is_gone_at_once_and_for_good() {
    let mut house = House::new(&[]).await;
    let client = LinkSecret::generate();
    let grant = house.grant(&client, Level::Operate);
    let signed = sign_grant(&grant, &house.owner);
    let (open, _) = house.call(&client, &signed).await.unwrap();

    // The server cannot do it: acknowledged, so that it does not stand in the way, and ignored.
    let thief = Issuer::generate();
    for revocation in [
        sign_revocation(&house.revocation(Revoked::Grant(grant.id), &thief), &thief),
        sign_revocation(&house.revocation(Revoked::Grant(grant.id), &house.owner), &thief),
    ] {
        house.server.command(CommandAction::Revoke { revocation });
    }
    house.server.until("both acknowledged", |inner| inner.commands.is_empty()).await;
    assert_eq!(hello(&open).await.level, Level::Operate);

    let revocation = house.revocation(Revoked::Grant(grant.id), &house.owner);
    let revocation = sign_revocation(&revocation, &house.owner);
    house.server.command(CommandAction::Revoke { revocation });
    until_closed(&open).await;
    assert_eq!(refused(house.call(&client, &signed).await), RefusedBecause::Revoked);
    house.server.until("acknowledged", |inner| inner.acknowledged.len() == 3).await;

    house.end().await;
    let house = house.started_again(&[]).await;
    assert_eq!(refused(house.call(&client, &signed).await), RefusedBecause::Revoked);
}

#[tokio::test]
async fn an_owner_who_is_removed_is_gone_at_once() {
    let house = House::new(&[]).await;
    let client = house.caller(Level::Admin).await;
    assert_eq!(hello(&client).await.level, Level::Admin);
    let second = Issuer::generate();
    assert!(house.say(&["trust", "add", &second.public(), "--name", "Tom"]).await.contains('✓'));
    let secret = LinkSecret::generate();
    let toms = Grant { issuer: second.public(), ..house.grant(&secret, Level::View) };
    let (toms, _) = house.call(&secret, &sign_grant(&toms, &second)).await.unwrap();

    assert!(house.say(&["trust", "remove", &house.owner.public()]).await.contains("no more"));
    until_closed(&client).await;
    assert_eq!(hello(&toms).await.level, Level::View, "others stay");
    let late = LinkSecret::generate();
    let called = house.call(&late, &house.signed(&late, Level::View)).await;
    assert_eq!(refused(called), RefusedBecause::Forged);
    let said = house.say(&["status"]).await;
    assert!(said.contains("Trust    Tom; dashboard: operate"), "{said}");
}

#[tokio::test]
async fn a_rotated_key_is_dead_and_the_new_one_is_told() {
    let house = House::new(&[]).await;
    let client = LinkSecret::generate();
    let signed = house.signed(&client, Level::View);
    let (open, _) = house.call(&client, &signed).await.unwrap();
    let (old, address) = (house.keys(&client), house.address());

    assert!(house.say(&["rotate-key"]).await.contains("number 2"));
    until_closed(&open).await;
    let way = connect_tcp(&address).await.unwrap();
    let called = over(way, &old, &signed, "lan").await;
    assert!(matches!(called, Err(ConnectError::NotTheDevice)), "{:?}", called.map(drop));
    let facts = house.until_facts("the new key", |facts| facts.link.key.serial == 2).await;
    assert_eq!(facts.link.addresses, [address]);
    assert!(house.call(&client, &signed).await.is_ok());
}

#[tokio::test]
async fn ten_wrong_callers_are_enough_and_the_server_is_told() {
    let house = House::new(&[]).await;
    let client = LinkSecret::generate();
    let forged = sign_grant(&house.grant(&client, Level::Admin), &Issuer::generate());
    for _ in 0..10 {
        assert_eq!(refused(house.call(&client, &forged).await), RefusedBecause::Forged);
    }
    // Not even one with the right is looked at, until the minute is over.
    let called = house.call(&client, &house.signed(&client, Level::View)).await;
    assert!(matches!(called, Err(ConnectError::TurnedAway(1..=60))), "{:?}", called.map(drop));
    let told = |what: &LinkUse| matches!(what, LinkUse::Refused { from, .. } if from == "127.0.0.1");
    let is_told = |inner: &awkward::Inner| inner.links.iter().any(|report| told(&report.what));
    house.server.until("a report", is_told).await;
    let reports = house.server.with(|inner| inner.links.iter().filter(|link| told(&link.what)).count());
    assert_eq!(reports, 1, "a flood is one report");
}

#[tokio::test]
async fn a_program_on_the_device_shuts_nobody_out_who_comes_by_a_proxy() {
    let house = House::new(&[]).await;
    let client = LinkSecret::generate();
    let forged = sign_grant(&house.grant(&client, Level::Admin), &Issuer::generate());
    let right = house.signed(&client, Level::View);
    let dialer = Dialer::from_environment().unwrap();
    let address = format!("ws://{}/link", house.address());
    let forwarded = async |who: &str, grant: &str| {
        let headers = [(HeaderName::from_static("x-forwarded-for"), who.parse().unwrap())];
        let way = dialer.connect_websocket(&address, headers.into_iter().collect()).await;
        match way {
            Ok(way) => over(way, &house.keys(&client), grant, "cloudflare").await.map(drop),
            Err(error) => Err(ConnectError::Io(std::io::Error::other(error))),
        }
    };
    for _ in 0..10 {
        assert_eq!(refused(house.call(&client, &forged).await), RefusedBecause::Forged);
    }
    let itself = house.call(&client, &right).await.map(drop);
    assert!(matches!(itself, Err(ConnectError::TurnedAway(_))), "{itself:?}");
    forwarded("203.0.113.9", &right).await.unwrap();
    // It names somebody else's address, or a real caller does what only costs itself.
    for _ in 0..10 {
        assert_eq!(refused(forwarded("203.0.113.9", &forged).await), RefusedBecause::Forged);
    }
    let blamed = forwarded("203.0.113.9", &right).await;
    assert!(matches!(blamed, Err(ConnectError::TurnedAway(1..=60))), "{blamed:?}");
    forwarded("203.0.113.10", &right).await.unwrap();
}

#[tokio::test]
async fn a_report_that_the_server_did_not_take_is_told_by_the_next_agent() {
    let mut house = House::new(&[]).await;
    house.server.with(|inner| inner.deaf = true);
    let client = LinkSecret::generate();
    let forged = sign_grant(&house.grant(&client, Level::Admin), &Issuer::generate());
    assert_eq!(refused(house.call(&client, &forged).await), RefusedBecause::Forged);
    // Told only once it is written down.
    house.server.until("an attempt", |inner| inner.unheard > 0).await;
    house.end().await;
    house.server.with(|inner| inner.deaf = false);
    let house = house.started_again(&[]).await;
    house.server.until("the report", |inner| !inner.links.is_empty()).await;
}

#[tokio::test]
async fn the_dashboard_does_what_the_device_lets_it() {
    let house = House::new(&["--dashboard", "none", "--allow", "bash"]).await;
    let facts = house.facts();
    assert_eq!((facts.server_grant, facts.link.server_level), (None, None));
    let task = house.server.shell("true");
    let reason = house.server.until_state(task, TaskState::Refused).await.reason.unwrap();
    assert!(reason.contains("foreman-agent trust dashboard operate"), "{reason}");

    house.say(&["trust", "dashboard", "operate"]).await;
    let facts = house.until_facts("a grant", |facts| facts.server_grant.is_some()).await;
    assert_eq!(facts.link.server_level, Some(Level::Operate));
    let task = house.server.shell("true");
    house.server.until_state(task, TaskState::Succeeded).await;
    let grant = facts.server_grant.unwrap();
    let (client, welcome) = house.call(&house.server_key, &grant).await.unwrap();
    assert_eq!(welcome.level, Level::Operate);
    assert_eq!(hello(&client).await.device_id, house.server.with(|inner| inner.device.unwrap().0));
    // A thief with the grant does not have the key.
    assert_eq!(refused(house.call(&LinkSecret::generate(), &grant).await), RefusedBecause::Forged);

    house.say(&["trust", "dashboard", "none"]).await;
    until_closed(&client).await;
    assert_eq!(refused(house.call(&house.server_key, &grant).await), RefusedBecause::Revoked);
    house.until_facts("no grant", |facts| facts.server_grant.is_none()).await;
}

#[tokio::test]
async fn a_device_that_loses_whom_it_trusts_trusts_nobody_until_somebody_says_so() {
    let house = House::new(&["--allow", "bash"]).await;
    let trust = house.state().join("trust.json");
    assert!(
        std::fs::read_to_string(&trust).unwrap().contains(r#""dashboard": "operate""#),
        "said by joining"
    );
    std::fs::remove_file(&trust).unwrap();
    // A server that is a thief, with a key of its own.
    house.server.with(|inner| inner.link_key = Some(LinkSecret::generate().public()));
    house.until_facts("no grant", |facts| facts.server_grant.is_none()).await;
    let task = house.server.shell("true");
    let reason = house.server.until_state(task, TaskState::Refused).await.reason.unwrap();
    assert!(reason.contains("foreman-agent trust dashboard operate"), "{reason}");
    assert!(!trust.exists());
    house.say(&["trust", "dashboard", "operate"]).await;
    let task = house.server.shell("true");
    house.server.until_state(task, TaskState::Succeeded).await;
}

#[tokio::test]
async fn each_level_does_what_it_may_and_the_policy_has_the_last_word() {
    let house = House::new(&["--allow", "none"]).await;
    let (view, operate) = (house.caller(Level::View).await, house.caller(Level::Operate).await);
    let port = echo().await;
    let forward = format!("/forward?port={port}");
    let code = async |client, path: &str| problem(client, "POST", path).await.code;
    assert_eq!(hello(&view).await.level, Level::View);
    assert_eq!(problem(&view, "GET", "/nothing").await.code, ProblemCode::NotFound);
    assert_eq!(code(&view, &forward).await, ProblemCode::GrantNotEnough);
    let forbidden = problem(&operate, "POST", &forward).await;
    assert_eq!(forbidden.code, ProblemCode::PolicyForbids);
    assert_eq!(forbidden.details.unwrap()["setting"], "ALLOW_BASH");

    std::fs::write(house.state().join("policy.env"), "ALLOW_BASH=true\n").unwrap();
    assert_eq!(code(&view, &forward).await, ProblemCode::GrantNotEnough);
    let elsewhere = format!("/forward?host=192.0.2.1&port={port}");
    assert_eq!(code(&operate, &elsewhere).await, ProblemCode::GrantNotEnough);
    assert_eq!(code(&operate, "/forward?port=x").await, ProblemCode::InvalidRequest);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let nobody = problem(&operate, "POST", &format!("/forward?port={closed}")).await;
    assert_eq!(nobody.code, ProblemCode::Conflict);
    assert!(nobody.message.contains("refused"), "{}", nobody.message);
}

#[tokio::test]
async fn a_port_is_forwarded_both_ways_while_both_speak() {
    let house = House::new(&["--allow", "bash"]).await;
    let client = house.caller(Level::Operate).await;
    let (sender, body) = Body::channel();
    let answer = send(&client, "POST", &format!("/forward?port={}", echo().await), body).await;
    assert!(answer.status().is_success());
    let mut answer = answer.into_body();
    for word in ["one", "two"] {
        assert!(sender.send(word.into()).await);
        let piece = http_body_util::BodyExt::frame(&mut answer).await.unwrap().unwrap();
        assert_eq!(piece.into_data().unwrap(), word);
    }
    drop(sender);
    // The far side hears the end, says its last word and closes.
    let rest = http_body_util::BodyExt::collect(answer).await.unwrap().to_bytes();
    assert_eq!(rest, "bye");
    let again = send(&client, "GET", "/hello", Body::empty()).await;
    assert!(!whole(again).await.is_empty());
}

#[tokio::test]
async fn what_is_forwarded_ends_with_the_policy_that_allowed_it() {
    let house = House::new(&["--allow", "bash"]).await;
    let client = house.caller(Level::Operate).await;
    let (sender, body) = Body::channel();
    let answer = send(&client, "POST", &format!("/forward?port={}", echo().await), body).await;
    let mut answer = answer.into_body();
    std::fs::write(house.state().join("policy.env"), "ALLOW_BASH=false\n").unwrap();
    let carried = async {
        loop {
            // The policy that was read last holds for a moment.
            sender.send("more".into()).await;
            match tokio::time::timeout(
                Duration::from_millis(100),
                http_body_util::BodyExt::frame(&mut answer),
            )
            .await
            {
                Ok(Some(Ok(frame))) if frame.data_ref().is_some_and(|data| data != "bye") => {}
                Ok(_) => return,
                Err(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, carried).await.unwrap();
}

/// A port that says everything back, and `bye` in the end.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut piece = [0; 1024];
                loop {
                    match stream.read(&mut piece).await {
                        Ok(0) | Err(_) => break,
                        Ok(length) => stream.write_all(&piece[..length]).await.unwrap(),
                    }
                }
                let _ = stream.write_all(b"bye").await;
            });
        }
    });
    port
}

#[tokio::test]
async fn the_listener_says_nothing_to_strangers() {
    let house = House::new(&[]).await;
    for request in ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "GET /link HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = tokio::net::TcpStream::connect(house.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("content-length: 0"), "{answer}");
    }
    let mut stream = tokio::net::TcpStream::connect(house.address()).await.unwrap();
    stream.write_all(&[0xff; 64]).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap();
}
