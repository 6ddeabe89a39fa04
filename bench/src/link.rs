//! What the sealed link costs: a request through the relay against HTTP/2 in clear over TCP, and how long a link takes
//! to open.

use std::time::{Duration, Instant};

use bytes::Bytes;
use foreman_client::{DeviceConnection, PathKind};
use foreman_link::{carrier::connect_tcp, h2::Client};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::{
    device::{OwnedDevice, get},
    floor,
    measure::{median, megabytes_a_second, percentile},
    table::{Table, Target},
};

const LARGE: u64 = 512 << 20;
const LARGE_TURNS: usize = 5;
/// Requests in one go; ours and the floor's take turns, so that both see the same machine.
const SMALL: usize = 200;
const SMALL_TURNS: usize = 10;
const OPENED: usize = 200;

pub async fn measure(table: &mut Table) {
    let device = OwnedDevice::start().await;
    let path = device.folder.join("large");
    std::fs::File::create(&path).expect("a file").set_len(LARGE).expect("an empty file");
    let path = path.to_str().expect("text");
    let (_floor, url) = floor::start(&["h2"]).await;
    let bare = connect_tcp(url.trim_start_matches("http://")).await.expect("the floor listens");
    let bare = Client::start(bare).await.expect("HTTP/2 begins");
    let plain = Plain::connect(&url).await;
    let relayed = device.over(PathKind::Relay).await;
    let straight = device.over(PathKind::Lan).await;
    large(table, &device, [&relayed, &straight], path, &bare, plain).await;
    small(table, [&relayed, &straight], &bare).await;
    opening(table, &device).await;
}

async fn large(
    table: &mut Table,
    device: &OwnedDevice,
    [relayed, straight]: [&DeviceConnection; 2],
    path: &str,
    bare: &Client,
    mut plain: Plain,
) {
    let mut rates: [Vec<f64>; 4] = Default::default();
    let mut cpu = Duration::ZERO;
    for _ in 0..LARGE_TURNS {
        let before = device.cpu_time();
        rates[0].push(download(relayed, path).await);
        cpu += device.cpu_time() - before;
        rates[1].push(download(straight, path).await);
        let begin = Instant::now();
        assert_eq!(get(bare, &format!("/bytes/{LARGE}")).await, LARGE);
        rates[2].push(megabytes_a_second(LARGE, begin.elapsed()));
        let begin = Instant::now();
        assert_eq!(plain.get(&format!("/bytes/{LARGE}")).await, LARGE);
        rates[3].push(megabytes_a_second(LARGE, begin.elapsed()));
    }
    let [relayed, straight, bare, plain] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    let target = Target::AtLeast(0.4);
    table.ratio("large file through the relay, TCP HTTP/2", "MB/s", relayed, plain, target);
    table.told("large file, local network, TCP HTTP/2", "MB/s", straight, Some(plain));
    table.told(
        "large file through the relay, TCP HTTP/2 with the link's long frames",
        "MB/s",
        relayed,
        Some(bare),
    );
    let each = cpu.as_secs_f64() * 1e3 / (LARGE as f64 / 1e6 * LARGE_TURNS as f64);
    table.told("large file through the relay, CPU of device and server", "ms a MB", each, None);
}

/// HTTP/2 as programs and browsers have it: the link's windows, and frames of 16 KiB, the protocol's own size.
struct Plain(http2::SendRequest<Empty<Bytes>>);

impl Plain {
    const WINDOW: u32 = 1024 * 1024;

    async fn connect(url: &str) -> Self {
        let stream = connect_tcp(url.trim_start_matches("http://")).await.expect("the floor listens");
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(Self::WINDOW)
            .initial_connection_window_size(4 * Self::WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .expect("HTTP/2 begins");
        tokio::spawn(connection);
        Self(sender)
    }

    /// One request, and the bytes of its answer.
    async fn get(&mut self, path: &str) -> u64 {
        let request = hyper::Request::get(format!("http://floor{path}")).body(Empty::new()).expect("a path");
        let mut body = self.0.send_request(request).await.expect("an answer").into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame.expect("the answer goes on").data_ref().map_or(0, |data| data.len() as u64);
        }
        length
    }
}

async fn download(device: &DeviceConnection, path: &str) -> f64 {
    let begin = Instant::now();
    let mut nowhere = tokio::io::sink();
    let downloaded = device.download(path, 0, None, &mut nowhere, |_| {}).await.expect("it is there");
    assert_eq!(downloaded.size, LARGE);
    megabytes_a_second(LARGE, begin.elapsed())
}

async fn small(table: &mut Table, [relayed, straight]: [&DeviceConnection; 2], bare: &Client) {
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..SMALL_TURNS {
        for _ in 0..SMALL {
            let begin = Instant::now();
            relayed.hello().await.expect("it answers");
            times[0].push(begin.elapsed());
        }
        for _ in 0..SMALL {
            let begin = Instant::now();
            straight.hello().await.expect("it answers");
            times[1].push(begin.elapsed());
        }
        for _ in 0..SMALL {
            let begin = Instant::now();
            get(bare, "/small").await;
            times[2].push(begin.elapsed());
        }
    }
    let [(ours, ours_p99), (straight, _), (bare, bare_p99)] = times.map(|mut times| {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        (micros(percentile(&mut times, 50)), micros(percentile(&mut times, 99)))
    });
    table.ratio("small request through the relay, p50, TCP HTTP/2", "µs", ours, bare, Target::AtMost(2.0));
    table.told("small request through the relay, p99", "µs", ours_p99, Some(bare_p99));
    table.told("small request, local network, p50", "µs", straight, Some(bare));
}

/// From nothing to the answer of a first request.
async fn opening(table: &mut Table, device: &OwnedDevice) {
    let mut times = Vec::new();
    for number in 0..OPENED + 10 {
        let begin = Instant::now();
        let link = device.link().await;
        get(&link, "/hello").await;
        // The first few warm.
        if number >= 10 {
            times.push(begin.elapsed());
        }
    }
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    table.value(
        "link opened and asked, local network, p50",
        "ms",
        millis(median(&mut times)),
        Target::AtMost(2.5),
    );
    table.told("link opened and asked, local network, p99", "ms", millis(percentile(&mut times, 99)), None);
}
