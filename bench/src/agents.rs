//! Thousands of connected agents: the command stream and heartbeats of each, through the same client code that the
//! agent uses.

use std::time::Duration;

use foreman_link::{
    http,
    sse::{self, Target as Stream, Update},
};
use futures_util::{StreamExt, stream};
use journeys::{
    database::Database,
    device::BareDevice,
    soon,
    stack::{Folder, Server, Setting, new_device},
};
use tokio::sync::mpsc;

use crate::{
    heartbeats::body,
    measure::{cpu_time, held_memory},
    table::{Table, Target},
};

const PACE: Duration = Duration::from_secs(10);

pub async fn measure(table: &mut Table, agents: usize, seconds: u64) {
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(Database::Sqlite)).await;
    let pid = server.program.pid();
    let (foreman, _) = server.client("owner").await;
    let client = http::client().expect("a client");
    let devices: Vec<_> = stream::iter(0..agents)
        .map(|number| {
            let (foreman, client, url) = (&foreman, &client, &server.url);
            async move {
                let made = new_device(foreman, &format!("device {number}")).await;
                BareDevice::join(client, url, &made.token).await
            }
        })
        .buffer_unordered(64)
        .collect()
        .await;
    // Known devices are rows; what is measured is their being connected.
    let before = held_memory(pid);
    let (tell, mut opened) = mpsc::channel(64);
    let running: Vec<_> = devices
        .into_iter()
        .enumerate()
        .map(|(number, device)| tokio::spawn(agent(device, number, agents, tell.clone())))
        .collect();
    let all = async {
        for _ in 0..agents {
            opened.recv().await.expect("agents go on");
        }
    };
    soon("every agent is connected", all).await;
    let cpu = cpu_time(pid);
    let window = PACE.max(Duration::from_secs(seconds));
    tokio::time::sleep(window).await;
    let share = (cpu_time(pid) - cpu).as_secs_f64() / window.as_secs_f64() * 100.0;
    let each = held_memory(pid).saturating_sub(before) as f64 / agents as f64 / 1024.0;
    running.iter().for_each(tokio::task::JoinHandle::abort);
    table.value(format!("memory a connected agent, {agents} agents"), "KB", each, Target::AtMost(32.0));
    table.told(format!("server CPU with {agents} agents"), "% of a core", share, None);
}

/// Keeps the command stream open and reports; the agents' reports are spread over the pace.
async fn agent(device: BareDevice, number: usize, agents: usize, tell: mpsc::Sender<()>) {
    let headers =
        device.request(reqwest::Method::GET, "commands").build().expect("a request").headers().clone();
    let client = http::client().expect("a client");
    let mut commands = sse::subscribe(client, Stream::new(device.address("commands"), headers));
    let mut pace = tokio::time::interval_at(
        tokio::time::Instant::now() + PACE.mul_f64(number as f64 / agents as f64),
        PACE,
    );
    let sample = body();
    loop {
        tokio::select! {
            update = commands.next() => match update {
                Update::Opened => { let _ = tell.send(()).await; }
                Update::Lost { error, .. } => panic!("an agent lost its server: {error}"),
                Update::Event(_) => {}
            },
            _ = pace.tick() => {
                let request = device.request(reqwest::Method::POST, "heartbeat");
                let request = request.header("content-type", "application/json").body(sample.clone());
                http::send(request).await.expect("a heartbeat is taken");
            }
        }
    }
}
