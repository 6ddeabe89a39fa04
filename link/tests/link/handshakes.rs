//! Who gets a channel, and what a try costs a device.

use std::{cell::Cell, time::Duration};

use foreman_link::{
    channel::{self, AcceptError, ConnectError},
    grant::{Issuer, LinkSecret, sign_grant},
};
use foreman_protocol::{Grant, LINK_VERSION, RefusedBecause};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::parties::{NOW, Parties};

#[tokio::test(start_paused = true)]
async fn a_refused_client_hears_why() {
    let parties = Parties::new();
    let expired = Grant { expires_at: NOW - 1, ..parties.grant() };
    let hello = parties.hello_with(sign_grant(&expired, &parties.owner));
    let (connected, accepted) = parties.try_with(&parties.keys(), &hello).await;
    assert!(matches!(connected, Err(ConnectError::Refused(RefusedBecause::Expired))), "{connected:?}");
    let Err(AcceptError::Refused { client, because: RefusedBecause::Expired }) = accepted else {
        panic!("{accepted:?}");
    };
    assert_eq!(client, parties.client.public());
}

#[tokio::test(start_paused = true)]
async fn a_stolen_grant_without_its_key_is_worth_nothing() {
    let parties = Parties::new();
    let mut keys = parties.keys();
    keys.secret = LinkSecret::generate();
    let (connected, _) = parties.try_with(&keys, &parties.hello()).await;
    assert!(matches!(connected, Err(ConnectError::Refused(RefusedBecause::Forged))), "{connected:?}");
}

#[tokio::test(start_paused = true)]
async fn another_device_in_its_place_learns_nothing() {
    let (parties, impostor) = (Parties::new(), Parties::new());
    // Another link key; the right one, but another identity bound in.
    let mut other_identity = parties.keys();
    other_identity.device = Issuer::generate().public_bytes();
    let mut rotated = parties.keys();
    rotated.link_key = impostor.device.secret.public_bytes();
    for keys in [other_identity, rotated] {
        let (connected, accepted) = parties.try_with(&keys, &parties.hello()).await;
        assert!(matches!(connected, Err(ConnectError::NotTheDevice)), "{connected:?}");
        let accepted = accepted.unwrap_err();
        assert!(matches!(accepted, AcceptError::Handshake), "{accepted:?}");
        assert_eq!(accepted.because(), Some(RefusedBecause::Handshake));
    }
}

#[tokio::test(start_paused = true)]
async fn another_version_is_said_on_both_sides() {
    let parties = Parties::new();
    let (mut client, device) = duplex(4096);
    client.write_all(&[b"FML1".as_slice(), &[0, 0], &[7; 16]].concat()).await.unwrap();
    let refused = parties.accept(device).await.unwrap_err();
    assert!(matches!(refused, AcceptError::Version(0)), "{refused:?}");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [&[0, 2], LINK_VERSION.to_be_bytes().as_slice()].concat());

    let (client, mut device) = duplex(4096);
    device.write_all(&[0, 2, 0, 9]).await.unwrap();
    let refused = channel::connect(client, &parties.keys(), &parties.hello()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Version(9)), "{refused:?}");
    assert!(refused.to_string().contains("version 9"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn who_is_not_looked_at_is_told_how_long_and_believes_no_more_than_an_hour() {
    let parties = Parties::new();
    let (client, device) = duplex(4096);
    let (keys, hello) = (parties.keys(), parties.hello());
    let (connected, told) = tokio::join!(
        channel::connect(client, &keys, &hello),
        channel::turn_away(device, Duration::from_millis(59_001))
    );
    told.unwrap();
    let refused = connected.unwrap_err();
    assert!(matches!(refused, ConnectError::TurnedAway(60)), "{refused:?}");
    assert!(refused.to_string().contains("wait 60 s"), "{refused}");

    // Somebody on the way.
    let (client, mut device) = duplex(4096);
    device.write_all(&[0, 4, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
    let refused = channel::connect(client, &keys, &hello).await.unwrap_err();
    assert!(matches!(refused, ConnectError::TurnedAway(3600)), "{refused:?}");
    let (client, mut device) = duplex(4096);
    device.write_all(&[0, 4, 0]).await.unwrap();
    let refused = channel::connect(client, &keys, &hello).await.unwrap_err();
    assert!(matches!(refused, ConnectError::TimedOut), "{refused:?}");

    // Whoever speaks something else, or nothing, hears nothing.
    let (mut client, device) = duplex(4096);
    client.write_all(&[b'x'; 120]).await.unwrap();
    let told = channel::turn_away(device, Duration::from_secs(60)).await;
    assert!(matches!(told, Err(AcceptError::NotALink)), "{told:?}");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
    let (_client, device) = duplex(4096);
    let told = channel::turn_away(device, Duration::from_secs(60)).await;
    assert!(matches!(told, Err(AcceptError::TimedOut)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_changed_on_the_way_does_not_pass() {
    let parties = Parties::new();
    let first = first_flight(&parties).await;
    for changed in [6, 21] {
        let (mut client, device) = duplex(4096);
        let mut first = first.clone();
        first[changed] ^= 1;
        client.write_all(&first).await.unwrap();
        let refused = parties.accept(device).await.unwrap_err();
        assert!(matches!(refused, AcceptError::Handshake), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_message_longer_than_it_may_be_is_refused_before_it_is_read() {
    let parties = Parties::new();
    let whole = first_flight(&parties).await;
    for length in [97, u16::MAX] {
        let (mut client, device) = duplex(4096);
        let mut first = whole.clone();
        first[22..24].copy_from_slice(&length.to_be_bytes());
        first.push(0);
        client.write_all(&first).await.unwrap();
        let refused = parties.accept(device).await.unwrap_err();
        assert!(matches!(refused, AcceptError::Handshake), "{refused:?}");
    }
}

/// Preamble and message 1, as a client really sends them.
async fn first_flight(parties: &Parties) -> Vec<u8> {
    let (client, mut device) = duplex(4096);
    let (keys, hello) = (parties.keys(), parties.hello());
    let mut first = vec![0; 22 + 2 + 96];
    tokio::select! {
        _ = channel::connect(client, &keys, &hello) => panic!("nobody answered"),
        read = device.read_exact(&mut first) => read.unwrap(),
    };
    first
}

#[tokio::test(start_paused = true)]
async fn a_recorded_call_sent_again_comes_to_nothing() {
    let parties = Parties::new();
    // A whole call recorded: preamble, message 1, hello.
    let (client, to_device) = duplex(4096);
    let (mut at_client, device) = duplex(4096);
    let (keys, hello) = (parties.keys(), parties.hello());
    let record = async {
        let (mut from_client, mut to_client) = tokio::io::split(to_device);
        let (mut from_device, mut to_device) = tokio::io::split(&mut at_client);
        let mut recorded = Vec::new();
        let forward = async {
            let mut piece = [0; 1024];
            loop {
                let read = from_client.read(&mut piece).await.unwrap();
                if read == 0 {
                    return;
                }
                recorded.extend_from_slice(&piece[..read]);
                to_device.write_all(&piece[..read]).await.unwrap();
            }
        };
        let back = tokio::io::copy(&mut from_device, &mut to_client);
        tokio::select! { () = forward => {}, _ = back => {} }
        recorded
    };
    let talk = async {
        let (connected, accepted) =
            tokio::join!(channel::connect(client, &keys, &hello), parties.accept(device));
        drop((connected.unwrap(), accepted.unwrap()));
    };
    let (recorded, ()) = tokio::join!(record, talk);
    assert!(recorded.len() > 22 + 98);

    let asked = Cell::new(0);
    let check = |_: &str, _: &_| {
        asked.set(asked.get() + 1);
        Err(RefusedBecause::Forged)
    };
    // All of it again: message 1 is answered, the hello does not open.
    let (mut again, device) = duplex(4096);
    again.write_all(&recorded).await.unwrap();
    let refused = channel::accept(device, &parties.device, check).await.unwrap_err();
    assert!(matches!(refused, AcceptError::Handshake), "{refused:?}");
    // Message 1 alone, then silence.
    let (mut again, device) = duplex(4096);
    again.write_all(&recorded[..22 + 98]).await.unwrap();
    let refused = channel::accept(device, &parties.device, check).await.unwrap_err();
    assert!(matches!(refused, AcceptError::TimedOut), "{refused:?}");
    assert_eq!(asked.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn strangers_and_silence_are_let_go() {
    let parties = Parties::new();
    let (mut stranger, device) = duplex(4096);
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: device\r\n\r\n").await.unwrap();
    let refused = parties.accept(device).await.unwrap_err();
    assert!(matches!(refused, AcceptError::NotALink), "{refused:?}");

    let (_silent, device) = duplex(4096);
    assert!(matches!(parties.accept(device).await.unwrap_err(), AcceptError::TimedOut));
    let (client, _silent) = duplex(4096);
    let refused = channel::connect(client, &parties.keys(), &parties.hello()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::TimedOut), "{refused:?}");

    let (gone, device) = duplex(4096);
    drop(gone);
    let broke = parties.accept(device).await.unwrap_err();
    assert!(matches!(broke, AcceptError::Io(_)) && broke.because().is_none(), "{broke:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endless_hello_is_not_read() {
    let parties = Parties::new();
    let hello = parties.hello_with("x".repeat(20_000));
    let (connected, accepted) = parties.try_with(&parties.keys(), &hello).await;
    assert!(matches!(accepted, Err(AcceptError::Handshake)), "{accepted:?}");
    assert!(connected.is_err());
}
