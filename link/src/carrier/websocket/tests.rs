use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, duplex};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol},
};

use super::*;

/// What a library's end hears of these writes, and what is heard of its messages, over a way of so many bytes.
async fn both_ways(role: Role, said: &[Vec<u8>], way: usize) -> (Vec<u8>, Vec<u8>) {
    let (near, far) = duplex(way);
    let theirs = if role == Role::Client { protocol::Role::Server } else { protocol::Role::Client };
    let (mut read, mut write) = tokio::io::split(WebSocket::new(near, role));
    let (mut to_us, mut from_us) = WebSocketStream::from_raw_socket(far, theirs, None).await.split();
    let length: usize = said.iter().map(Vec::len).sum();
    let (mut heard, mut heard_there) = (vec![0; length], Vec::new());
    let reading = async { read.read_exact(&mut heard).await.unwrap() };
    let writing = async {
        for bytes in said {
            write.write_all(bytes).await.unwrap();
            write.flush().await.unwrap();
        }
    };
    let talking = async {
        for (number, bytes) in said.iter().enumerate() {
            to_us.send(Message::Ping(vec![u8::try_from(number).unwrap()].into())).await.unwrap();
            to_us.send(Message::binary(bytes.clone())).await.unwrap();
        }
    };
    let mut pongs = Vec::new();
    let hearing = async {
        while heard_there.len() < length || pongs.is_empty() {
            match from_us.next().await.unwrap().unwrap() {
                Message::Binary(bytes) => heard_there.extend_from_slice(&bytes),
                Message::Pong(bytes) => pongs.push(bytes[0]),
                other => panic!("{other:?}"),
            }
        }
    };
    futures_util::join!(reading, writing, talking, hearing);
    assert!(pongs.is_sorted());
    (heard, heard_there)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn bytes_come_as_they_went(
        said in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..2 * MESSAGE), 1..5),
        way in 1_usize..2 * MESSAGE,
        is_client: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let role = if is_client { Role::Client } else { Role::Server };
        let (heard, heard_there) = runtime.block_on(both_ways(role, &said, way));
        let said = said.concat();
        prop_assert!(heard == said && heard_there == said);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), is_client: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let role = if is_client { Role::Client } else { Role::Server };
            let (near, mut far) = duplex(1024);
            far.write_all(&bytes).await.unwrap();
            far.shutdown().await.unwrap();
            let _ = WebSocket::new(near, role).read_to_end(&mut Vec::new()).await;
        });
    }
}

#[tokio::test]
async fn what_a_link_does_not_send_is_an_error() {
    for (what, bytes) in [
        ("text", vec![0x81, 1, b'x']),
        ("a mask", vec![0x82, 0x81, 0, 0, 0, 0, b'x']),
        ("an extension", vec![0xc2, 1, b'x']),
        ("a ping in two frames", vec![0x09, 0]),
        ("a long ping", vec![0x89, 126, 0, 126]),
    ] {
        let (near, mut far) = duplex(1024);
        far.write_all(&bytes).await.unwrap();
        let error = WebSocket::new(near, Role::Client).read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}");
    }
}
