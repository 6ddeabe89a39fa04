//! One event to thousands of live readers: processor time for each delivery, memory for each reader.

use std::time::Duration;

use futures_util::{StreamExt, future::join_all, stream};
use journeys::{
    database::Database,
    program::Program,
    stack::{Folder, Server, Setting, new_device},
};

use crate::{
    floor,
    load::{Connection, request},
    measure::{cpu_time, held_memory},
    table::{Table, Target},
};

/// Deliveries in one measurement, about; enough for the clock's 10 ms steps not to matter.
const DELIVERIES: usize = 400_000;

struct Outcome {
    cpu_a_delivery: Duration,
    memory_a_reader: f64,
}

pub async fn measure(table: &mut Table, readers: usize) {
    let events = (DELIVERIES / readers).max(20);
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(Database::Sqlite)).await;
    let (foreman, bearer) = server.client("owner").await;
    let device = new_device(&foreman, "spoken about").await.device.id;
    let open = request("GET", &server.url, "/api/v1/events", &bearer, "");
    let publish = |name: &str| {
        let path = format!("/api/v1/devices/{device}");
        request("PATCH", &server.url, &path, &bearer, &format!(r#"{{"name":"{name}"}}"#))
    };
    let ours = drive(&server.program, &server.url, &open, publish, readers, events).await;
    // The floor sends as many bytes for each event as our log's rows have.
    let row = foreman.audit_page(&Default::default(), &Default::default()).await.expect("readable");
    let size = serde_json::to_string(&row.items[0]).expect("plain data").len();
    drop(server);

    let (program, url) = floor::start(&["stream"]).await;
    let open = request("GET", &url, "/events", "none", "");
    let publish = |name: &str| request("POST", &url, "/publish", "none", &format!("{name:x<size$}"));
    let bare = drive(&program, &url, &open, publish, readers, events).await;

    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    table.ratio(
        format!("event to {readers} readers, server CPU each"),
        "µs",
        micros(ours.cpu_a_delivery),
        micros(bare.cpu_a_delivery),
        Target::AtMost(1.2),
    );
    let kilobytes = |bytes: f64| bytes / 1024.0;
    table.value(
        format!("memory a reader, {readers} readers"),
        "KB",
        kilobytes(ours.memory_a_reader),
        Target::AtMost(24.0),
    );
    table.told(
        format!("memory a reader of the floor, {readers} readers"),
        "KB",
        kilobytes(bare.memory_a_reader),
        None,
    );
}

async fn drive(
    program: &Program,
    url: &str,
    open: &[u8],
    publish: impl Fn(&str) -> Vec<u8>,
    readers: usize,
    events: usize,
) -> Outcome {
    let pid = program.pid();
    let mut speaker = Connection::open(url).await;
    // One round before anything is measured: allocators and caches have their size then.
    assert_eq!(speaker.ask(&publish("warm")).await, 200);
    let before = held_memory(pid);
    let connections: Vec<_> = stream::iter(0..readers)
        .map(|_| Connection::open_stream(url, open))
        .buffer_unordered(64)
        .collect()
        .await;
    // Connected is not yet subscribed: a first event proves that everybody hears.
    let mut connections = all_hear(connections, &mut speaker, &publish, "all-connected").await;
    let memory = held_memory(pid).saturating_sub(before) as f64 / readers as f64;
    let cpu = cpu_time(pid);
    // One at a time on both sides: a floor that is told faster than it sends would send several in one piece, and
    // what it costs to deliver one would not be seen.
    for number in 1..=events {
        connections = all_hear(connections, &mut speaker, &publish, &format!("event-{number}.")).await;
    }
    let used = cpu_time(pid) - cpu;
    let deliveries = readers as f64 * events as f64;
    Outcome { cpu_a_delivery: used.div_f64(deliveries), memory_a_reader: memory }
}

/// Publishes one event and waits until every reader has heard it.
async fn all_hear(
    connections: Vec<Connection>,
    speaker: &mut Connection,
    publish: &impl Fn(&str) -> Vec<u8>,
    name: &str,
) -> Vec<Connection> {
    let hearing: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            let name = name.to_owned();
            tokio::spawn(async move {
                connection.read_until(&name).await;
                connection
            })
        })
        .collect();
    assert_eq!(speaker.ask(&publish(name)).await, 200, "an event is taken");
    join_all(hearing).await.into_iter().map(|connection| connection.expect("no reader fails")).collect()
}
