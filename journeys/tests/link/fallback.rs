//! A client without a right of its own: the server speaks for it, over a wire that is cut in the middle.

use std::{
    io::{Cursor, SeekFrom, Write},
    pin::Pin,
    task::{Context, Poll},
};

use foreman_client::{
    DeviceConnection, Foreman, PathKind, Store,
    device::{LogFilter, LogUpdate, Transfer},
};
use futures_util::StreamExt;
use journeys::{database::Database, soon, wire::Wire};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};

use super::{Scene, quick};

/// A device reached through the server only, and the wire between client and server.
async fn through_a_wire(scene: &Scene) -> (DeviceConnection, Wire) {
    let wire = Wire::to(&scene.server.url).await;
    let (_, secret) = scene.server.client("owner").await;
    let foreman = Foreman::new(&wire.url(), &secret).expect("an address");
    let stranger = Store::at(scene.folder.join("stranger"), scene.folder.join("stranger-data"));
    let device = DeviceConnection::open(&stranger, Some(&foreman), scene.agent.device, quick()).await;
    let device = device.expect("the device is known");
    device.hello().await.expect("the server speaks");
    assert_eq!(device.path().kind, Some(PathKind::Server));
    (device, wire)
}

/// A file that cuts the wire when it is read so far.
struct Tripwire<'a> {
    file: Cursor<Vec<u8>>,
    at: Option<u64>,
    wire: &'a Wire,
}

impl AsyncRead for Tripwire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let position = self.file.position();
        if self.at.take_if(|at| position >= *at).is_some() {
            self.wire.cut();
        }
        Pin::new(&mut self.file).poll_read(context, into)
    }
}

impl AsyncSeek for Tripwire<'_> {
    fn start_seek(mut self: Pin<&mut Self>, to: SeekFrom) -> std::io::Result<()> {
        Pin::new(&mut self.file).start_seek(to)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<u64>> {
        Pin::new(&mut self.file).poll_complete(context)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_through_the_server_go_on_where_the_wire_was_cut() {
    let scene = Scene::new(Database::Sqlite).await;
    let (device, wire) = through_a_wire(&scene).await;
    let bytes: Vec<u8> = (0..3_000_000u64).flat_map(u64::to_be_bytes).collect();
    let path = scene.folder.join("there.bin");
    let there = path.to_str().expect("text");

    let upload = device.start_upload(there, bytes.len() as u64, false).await.expect("it begins");
    let mut source = Tripwire { file: Cursor::new(bytes.clone()), at: Some(11_000_000), wire: &wire };
    let (mut lost, mut steps) = (0, Vec::new());
    let tell = |step: Transfer<'_>| match step {
        Transfer::At(at) => steps.push(at),
        Transfer::Lost(_) => {
            lost += 1;
            wire.mend();
        }
    };
    let sent = soon("the upload", device.send_upload(upload, &mut source, tell)).await;
    assert!(sent.expect("it arrives").done && lost > 0, "the wire was cut on the way: {steps:?}");
    assert!(steps.is_sorted() && source.at.is_none(), "what had arrived counts: {steps:?}");
    assert!(std::fs::read(&path).expect("it is there") == bytes, "other bytes arrived");

    // A 206 with the same tag is the only thing that the client goes on with.
    let (mut got, mut lost, mut cut) = (Vec::new(), Vec::new(), false);
    let mut now = 0;
    let tell = |step: Transfer<'_>| match step {
        Transfer::At(at) => {
            now = at;
            if at > 2_000_000 && !std::mem::replace(&mut cut, true) {
                wire.cut();
            }
        }
        Transfer::Lost(_) => {
            lost.push(now);
            wire.mend();
        }
    };
    soon("the download", device.download(there, 0, None, &mut got, tell)).await.expect("it arrives");
    assert!(lost.iter().all(|at| *at > 2_000_000) && !lost.is_empty(), "cut on the way: {lost:?}");
    assert!(got == bytes, "other bytes came");
    assert_eq!(device.path().kind, Some(PathKind::Server));
}

const LINES: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_through_the_server_goes_on_where_the_wire_was_cut() {
    let scene = Scene::new(Database::Sqlite).await;
    let (device, wire) = through_a_wire(&scene).await;
    let path = scene.folder.join("robot.log");
    let mut file = std::fs::File::create(&path).expect("our folder");
    let mut write = |range: std::ops::Range<usize>| {
        let text: String = range.map(|number| format!("line {number}\n")).collect();
        file.write_all(text.as_bytes()).expect("written");
    };
    write(0..100);
    let filter = LogFilter { lines: Some(1_000), follow: true, ..LogFilter::default() };
    let mut log = device.logs(&format!("file:{}", path.display()), &filter);
    let (mut heard, mut lost) = (Vec::new(), 0);
    soon("all lines", async {
        while heard.len() < LINES {
            match log.next().await.expect("it goes on") {
                LogUpdate::Line(line) => heard.push(line.text),
                // Written while nobody could be told.
                LogUpdate::Lost(_) if lost == 0 => {
                    lost += 1;
                    write(200..LINES);
                    wire.mend();
                }
                LogUpdate::Lost(_) => lost += 1,
                other => panic!("{other:?}"),
            }
            match heard.len() {
                100 if lost == 0 => write(100..200),
                150 if lost == 0 => wire.cut(),
                _ => {}
            }
        }
    })
    .await;
    let expected: Vec<_> = (0..LINES).map(|number| format!("line {number}")).collect();
    assert_eq!(heard, expected, "each line once and in order");
    assert!(lost > 0, "the wire was cut");
}
