//! What only the inside can show: published vectors, and that keys really move on.

use bytes::{Buf, BytesMut};
use proptest::prelude::*;
use serde::Deserialize;
use snow::TransportState;

use super::{
    buffers::{FULL, Incoming, Outgoing, REKEY_EVERY},
    crypto,
    preamble::{self, Preamble, is_link_preamble},
};

#[derive(Deserialize)]
struct Vector {
    source: String,
    init_prologue: String,
    init_static: String,
    init_ephemeral: String,
    init_remote_static: String,
    resp_prologue: String,
    resp_static: String,
    resp_ephemeral: String,
    handshake_hash: Option<String>,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    payload: String,
    ciphertext: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn published_vectors_come_out_bit_for_bit() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("noise_vectors.json")).unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        follow(&vector);
    }
}

fn follow(vector: &Vector) {
    let (ours, theirs, ephemeral) =
        (bytes(&vector.init_static), bytes(&vector.init_remote_static), bytes(&vector.init_ephemeral));
    let prologue = bytes(&vector.init_prologue);
    let builder = crypto::builder().unwrap();
    let builder = builder.fixed_ephemeral_key_for_testing_only(&ephemeral);
    let builder = builder.local_private_key(&ours).unwrap().remote_public_key(&theirs).unwrap();
    let mut calls = builder.prologue(&prologue).unwrap().build_initiator().unwrap();

    let (ours, ephemeral) = (bytes(&vector.resp_static), bytes(&vector.resp_ephemeral));
    let prologue = bytes(&vector.resp_prologue);
    let builder = crypto::builder().unwrap();
    let builder = builder.fixed_ephemeral_key_for_testing_only(&ephemeral).local_private_key(&ours).unwrap();
    let mut answers = builder.prologue(&prologue).unwrap().build_responder().unwrap();

    let (mut sent, mut read) = ([0; 1024], [0; 1024]);
    let (handshake, transport) = vector.messages.split_at(2);
    for (index, message) in handshake.iter().enumerate() {
        let (from, to) = if index == 0 { (&mut calls, &mut answers) } else { (&mut answers, &mut calls) };
        let written = from.write_message(&bytes(&message.payload), &mut sent).unwrap();
        assert_eq!(sent[..written], bytes(&message.ciphertext), "{} message {index}", vector.source);
        let opened = to.read_message(&sent[..written], &mut read).unwrap();
        assert_eq!(read[..opened], bytes(&message.payload));
    }
    if let Some(hash) = &vector.handshake_hash {
        assert_eq!(calls.get_handshake_hash(), bytes(hash));
    }
    let (mut calls, mut answers) =
        (calls.into_transport_mode().unwrap(), answers.into_transport_mode().unwrap());
    for (index, message) in transport.iter().enumerate() {
        let (from, to) = if index % 2 == 0 { (&mut calls, &mut answers) } else { (&mut answers, &mut calls) };
        let written = from.write_message(&bytes(&message.payload), &mut sent).unwrap();
        assert_eq!(sent[..written], bytes(&message.ciphertext), "{} transport {index}", vector.source);
        let opened = to.read_message(&sent[..written], &mut read).unwrap();
        assert_eq!(read[..opened], bytes(&message.payload));
    }
}

fn pair() -> (TransportState, TransportState) {
    let (client, device) = (crate::grant::LinkSecret::generate(), crate::grant::LinkSecret::generate());
    let mut calls = crypto::initiator(client.as_bytes(), &device.public_bytes(), b"test").unwrap();
    let mut answers = crypto::responder(device.as_bytes(), b"test").unwrap();
    let (mut sent, mut read) = ([0; 256], [0; 256]);
    let written = calls.write_message(&[], &mut sent).unwrap();
    answers.read_message(&sent[..written], &mut read).unwrap();
    let written = answers.write_message(&[], &mut sent).unwrap();
    calls.read_message(&sent[..written], &mut read).unwrap();
    (calls.into_transport_mode().unwrap(), answers.into_transport_mode().unwrap())
}

#[test]
fn a_key_that_fixes_the_outcome_is_refused() {
    let client = crate::grant::LinkSecret::generate();
    let mut calls = crypto::initiator(client.as_bytes(), &[0; 32], b"test").unwrap();
    assert!(calls.write_message(&[], &mut [0; 256]).is_err());
}

#[test]
fn both_sides_move_to_a_new_key_at_the_same_record() {
    let (mut calls, mut answers) = pair();
    let (mut outgoing, mut incoming) = (Outgoing::default(), Incoming::default());
    let mut past_the_first_key = |number: u64, rekeys: bool| {
        outgoing.take(&mut calls, &number.to_be_bytes()).unwrap();
        outgoing.seal(&mut calls).unwrap();
        let record = outgoing.waiting().to_vec();
        outgoing.sent(record.len());
        if rekeys {
            incoming.room().extend_from_slice(&record);
            incoming.open(&mut answers, &mut []).unwrap().unwrap();
            assert_eq!(incoming.unread(), number.to_be_bytes());
            incoming.consume(8);
            return true;
        }
        answers.read_message(&record[2..], &mut [0; 64]).is_ok()
    };
    for number in 0..REKEY_EVERY + 100 {
        assert!(past_the_first_key(number, true));
    }
    // The one who does not move on cannot read on.
    for number in REKEY_EVERY + 100..2 * REKEY_EVERY {
        assert!(past_the_first_key(number, false));
    }
    assert!(!past_the_first_key(2 * REKEY_EVERY, false));
}

#[test]
fn all_that_is_said_in_clear_is_bound_into_the_handshake() {
    let (client, device) = (crate::grant::LinkSecret::generate(), crate::grant::LinkSecret::generate());
    let (ours, identity) = (Preamble { version: 1, session: [7; 16] }, [9; 32]);
    let passes = |theirs: Preamble, identity_there: [u8; 32]| {
        let prologue = ours.prologue(&identity);
        let mut calls = crypto::initiator(client.as_bytes(), &device.public_bytes(), &prologue).unwrap();
        let mut answers = crypto::responder(device.as_bytes(), &theirs.prologue(&identity_there)).unwrap();
        let mut first = [0; 256];
        let written = calls.write_message(&[], &mut first).unwrap();
        answers.read_message(&first[..written], &mut [0; 256]).is_ok()
    };
    assert!(passes(ours, identity));
    assert!(!passes(Preamble { version: 2, ..ours }, identity));
    assert!(!passes(Preamble { version: 0x0101, ..ours }, identity));
    assert!(!passes(Preamble { session: [8; 16], ..ours }, identity));
    assert!(!passes(ours, [8; 32]));
}

#[test]
fn a_link_is_known_by_its_first_bytes() {
    assert_eq!(is_link_preamble(b""), None);
    assert_eq!(is_link_preamble(b"FM"), None);
    assert_eq!(is_link_preamble(b"FML1\0\x01"), Some(true));
    assert_eq!(is_link_preamble(b"GET /link"), Some(false));
    assert_eq!(is_link_preamble(b"FMX"), Some(false));
}

proptest! {
    #[test]
    fn a_preamble_is_read_as_it_was_written(version: u16, session: [u8; 16]) {
        let preamble = Preamble { version, session };
        prop_assert_eq!(Preamble::decode(&preamble.encode()), Some(preamble));
    }

    #[test]
    fn any_preamble_is_read_or_refused(bytes: [u8; preamble::LEN]) {
        if let Some(preamble) = Preamble::decode(&bytes) {
            prop_assert_eq!(preamble.encode(), bytes);
        }
    }

    /// Whatever comes behind a handshake: nothing of it is shown but what the other side sealed.
    #[test]
    fn any_records_are_opened_or_refused(
        real in prop::collection::vec(0usize..300, 0..4),
        head in prop_oneof![3 => 0u16..600, 1 => any::<u16>()],
        bytes in prop::collection::vec(any::<u8>(), 0..1_000),
        pieces in prop::collection::vec(1usize..200, 1..8),
        direct in 0usize..400,
    ) {
        let (mut calls, mut answers) = pair();
        let (mut outgoing, mut sent) = (Outgoing::default(), Vec::new());
        for length in real {
            let data = vec![7; length];
            outgoing.take(&mut calls, &data).unwrap();
            outgoing.seal(&mut calls).unwrap();
            sent.extend(data);
        }
        let wire = [outgoing.waiting(), &head.to_be_bytes(), bytes.as_slice()].concat();
        let (mut incoming, mut received, mut buffer) = (Incoming::default(), Vec::new(), vec![0; direct]);
        let (mut at, mut pieces) = (0, pieces.iter().cycle());
        let refused = 'reading: loop {
            loop {
                match incoming.open(&mut answers, &mut buffer) {
                    Ok(Some(directly)) => {
                        received.extend_from_slice(&buffer[..directly]);
                        received.extend_from_slice(incoming.unread());
                        incoming.consume(incoming.unread().len());
                    }
                    Ok(None) => break,
                    Err(_) => break 'reading true,
                }
            }
            let piece = pieces.next().map_or(0, |piece| (*piece).min(wire.len() - at));
            if piece == 0 {
                break false;
            }
            incoming.room().extend_from_slice(&wire[at..at + piece]);
            at += piece;
        };
        prop_assert!(received == sent);
        prop_assert!(!incoming.ended(), "nobody sealed an end");
        let is_there = head < 16 || bytes.len() >= usize::from(head);
        prop_assert_eq!(refused, is_there, "a record that nobody sealed is refused once it is there");
    }

    /// However it is written, cut on its way and read: the same bytes come out, then the end.
    #[test]
    fn what_goes_in_comes_out(
        writes in prop::collection::vec((1usize..3 * FULL, any::<bool>()), 1..8),
        pieces in prop::collection::vec(1usize..100_000, 1..8),
        direct in prop_oneof![Just(0usize), Just(64 * 1024), 1usize..70_000],
    ) {
        let (mut calls, mut answers) = pair();
        let (mut outgoing, mut sent, mut wire) = (Outgoing::default(), Vec::new(), Vec::new());
        for (number, (length, flush)) in writes.iter().enumerate() {
            let data: Vec<u8> = (0..*length).map(|at| (at * 7 + number) as u8).collect();
            let mut at = 0;
            while at < data.len() {
                at += outgoing.take(&mut calls, &data[at..]).unwrap();
            }
            sent.extend(data);
            if *flush {
                outgoing.seal(&mut calls).unwrap();
            }
        }
        outgoing.end(&mut calls).unwrap();
        wire.extend_from_slice(outgoing.waiting());

        let mut wire = BytesMut::from(wire.as_slice());
        let (mut incoming, mut received, mut buffer) = (Incoming::default(), Vec::new(), vec![0; direct]);
        for piece in pieces.iter().cycle() {
            let piece = wire.split_to((*piece).min(wire.remaining()));
            incoming.room().extend_from_slice(&piece);
            while let Some(directly) = incoming.open(&mut answers, &mut buffer).unwrap() {
                received.extend_from_slice(&buffer[..directly]);
                received.extend_from_slice(incoming.unread());
                incoming.consume(incoming.unread().len());
            }
            if wire.is_empty() {
                break;
            }
        }
        prop_assert!(incoming.ended());
        prop_assert!(received == sent);
    }
}
