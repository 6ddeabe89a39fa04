//! Files, logs and forwarded ports over paths that die.

use std::{io::Cursor, sync::Mutex};

use foreman_client::{
    PathKind,
    device::{LogFilter, LogUpdate, Transfer},
};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::scene::{Scene, reached};

fn numbered(bytes: usize) -> Vec<u8> {
    (0..bytes / 8).flat_map(|number| (number as u64).to_be_bytes()).collect()
}

#[tokio::test]
async fn a_download_goes_on_at_its_byte() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    *scene.api.file.lock().unwrap() = numbered(24 << 20);
    let device = scene.connect(scene.known(), Some(&server));
    reached(&device, PathKind::Lan).await;

    let (lan, mut losses) = (Mutex::new(Some(lan)), 0);
    let mut got = Vec::new();
    let tell = |step: Transfer<'_>| match step {
        Transfer::At(at) if at > 4 << 20 => drop(lan.lock().unwrap().take()),
        Transfer::At(_) => {}
        Transfer::Lost(_) => losses += 1,
    };
    let done = device.download("/f", 0, None, &mut got, tell).await.unwrap();
    assert_eq!(done.size, 24 << 20);
    assert!(got == *scene.api.file.lock().unwrap(), "the bytes differ");
    assert!(losses > 0);
    let ranges = scene.api.ranges.lock().unwrap().clone();
    assert!(!ranges.is_empty() && ranges.iter().all(|range| range != "bytes=0-"), "{ranges:?}");
}

#[tokio::test]
async fn an_upload_goes_on_at_its_byte() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let device = scene.connect(scene.known(), Some(&server));
    reached(&device, PathKind::Lan).await;

    let bytes = numbered(20 << 20);
    let upload = device.start_upload("/f", bytes.len() as u64, false).await.unwrap();
    let (lan, mut losses) = (Mutex::new(Some(lan)), 0);
    let tell = |step: Transfer<'_>| match step {
        Transfer::At(_) => drop(lan.lock().unwrap().take()),
        Transfer::Lost(_) => losses += 1,
    };
    let done = device.send_upload(upload, &mut Cursor::new(bytes.clone()), tell).await.unwrap();
    assert!(done.done && losses > 0);
    assert!(*scene.api.uploaded.lock().unwrap() == bytes, "the bytes differ");
}

#[tokio::test]
async fn a_log_goes_on_after_its_last_line() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let device = scene.connect(scene.known(), Some(&server));
    let mut log = device.logs("journal", &LogFilter { follow: true, ..LogFilter::default() });
    let (mut lan, mut said) = (Some(lan), Vec::new());
    while let Some(update) = log.next().await {
        match update {
            LogUpdate::Line(line) => said.push(line.text),
            LogUpdate::Lost(_) => {}
            LogUpdate::Ended(_) => said.push("end".to_owned()),
            other => panic!("{other:?}"),
        }
        if said.len() == 3 {
            drop(lan.take());
        }
    }
    assert_eq!(said, ["line 1", "line 2", "line 3", "line 4", "line 5", "line 6", "end"]);
}

#[tokio::test]
async fn a_port_is_forwarded_both_ways_also_through_the_server() {
    let scene = Scene::new();
    let (server, _listening) = scene.server().await;
    let lan = scene.lan().await;
    scene.tell_addresses(&[&lan]);
    let mut without = scene.known();
    without.grant = None;
    for device in [scene.connect(scene.known(), None), scene.connect(without, Some(&server))] {
        let mut stream = device.forward(None, 22).await.unwrap();
        for word in ["hello ", "again "] {
            stream.write_all(word.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            let mut echo = vec![0; word.len()];
            stream.read_exact(&mut echo).await.unwrap();
            assert_eq!(echo, word.as_bytes());
        }
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    }
}
