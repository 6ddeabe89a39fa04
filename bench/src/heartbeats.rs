//! Durable heartbeats a second.

use std::time::{Duration, Instant};

use foreman_protocol::Sample;
use futures_util::future::join_all;
use journeys::{
    database::Database,
    device::BareDevice,
    stack::{Folder, Server, Setting, new_device},
};

use crate::{
    floor,
    load::{Connection, request},
    measure::{cpu_time, percentile},
    table::{Table, Target},
};

/// Connections at once, each waiting for its answer before it asks again.
const CONNECTIONS: usize = 128;

struct Outcome {
    a_second: f64,
    cpu_each: Duration,
    p99: Duration,
}

pub async fn measure(table: &mut Table, seconds: u64) {
    let folder = Folder::new();
    let body = serde_json::to_string(&sample()).expect("plain data");
    let database = folder.join("floor.db").display().to_string();
    let (floor, url) = floor::start(&["heartbeats", &database]).await;
    let asked = request("POST", &url, "/heartbeat", "none", &body);
    let bare = drive(&url, vec![asked; CONNECTIONS], floor.pid(), seconds).await;
    drop(floor);

    let server = Server::start(folder.join("server"), Setting::on(Database::Sqlite)).await;
    let (foreman, _) = server.client("owner").await;
    let client = foreman_link::http::client().expect("a client");
    let mut requests = Vec::new();
    for number in 0..CONNECTIONS {
        let made = new_device(&foreman, &format!("device {number}")).await;
        let device = BareDevice::join(&client, &server.url, &made.token).await;
        let path = format!("/api/v1/devices/{}/heartbeat", device.id);
        requests.push(request("POST", &server.url, &path, &device.bearer, &body));
    }
    let ours = drive(&server.url, requests, server.program.pid(), seconds).await;

    table.ratio("heartbeats, durable", "a second", ours.a_second, bare.a_second, Target::AtLeast(0.7));
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    table.told("heartbeats, server CPU each", "µs", micros(ours.cpu_each), Some(micros(bare.cpu_each)));
    table.told("heartbeats, p99", "µs", micros(ours.p99), Some(micros(bare.p99)));
}

/// A sample as a machine with one GPU sends it.
pub fn sample() -> Sample {
    let mut sample = Sample {
        cpu_percent: 12.5,
        load1: Some(0.7),
        memory_used: 9_000_000_000,
        memory_total: 128_000_000_000,
        disk_used: 500_000_000_000,
        disk_total: 2_000_000_000_000,
        net_rx: 12_000,
        net_tx: 4_000,
        uptime_s: 123_456,
        ..Sample::default()
    };
    sample.gpus.push(foreman_protocol::GpuSample {
        utilization_percent: Some(40.0),
        memory_used: Some(8_000_000_000),
        memory_total: Some(80_000_000_000),
        celsius: Some(51.0),
        ..Default::default()
    });
    sample
}

async fn drive(url: &str, requests: Vec<Vec<u8>>, pid: u32, seconds: u64) -> Outcome {
    let window = |length| {
        let requests = &requests;
        async move {
            let end = Instant::now() + length;
            let runs = requests.iter().map(|request| {
                let (url, request) = (url.to_owned(), request.clone());
                tokio::spawn(async move {
                    let mut connection = Connection::open(&url).await;
                    let mut times = Vec::new();
                    while Instant::now() < end {
                        let begin = Instant::now();
                        let status = connection.ask(&request).await;
                        assert_eq!(status, 200, "a heartbeat is taken");
                        times.push(begin.elapsed());
                    }
                    times
                })
            });
            join_all(runs)
                .await
                .into_iter()
                .flat_map(|times| times.expect("no run fails"))
                .collect::<Vec<_>>()
        }
    };
    // Warm first: pages, caches and the write-ahead log.
    window(Duration::from_secs(1)).await;
    let (begin, cpu) = (Instant::now(), cpu_time(pid));
    let mut times = window(Duration::from_secs(seconds)).await;
    let (took, used) = (begin.elapsed(), cpu_time(pid) - cpu);
    let count = u32::try_from(times.len()).expect("not that fast");
    Outcome {
        a_second: f64::from(count) / took.as_secs_f64(),
        cpu_each: used / count,
        p99: percentile(&mut times, 99),
    }
}
