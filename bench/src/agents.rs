//! Thousands of connected agents: the agent's own uplink, each with its command stream, its heartbeats and connections
//! of its own.

use std::{sync::Arc, time::Duration};

use foreman_agent::{
    identity::{fresh_key, public_key},
    uplink::{self, Delivery, Uplink},
};
use foreman_client::Foreman;
use foreman_link::http;
use foreman_protocol::Sample;
use futures_util::{StreamExt, stream};
use journeys::{
    database::Database,
    soon,
    stack::{Folder, Server, Setting, new_device},
};
use tokio::sync::mpsc;

use crate::{
    heartbeats::sample,
    measure::{cpu_time, held_memory},
    table::{Table, Target},
};

const PACE: Duration = Duration::from_secs(10);

pub async fn measure(table: &mut Table, agents: usize, seconds: u64) {
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(Database::Sqlite)).await;
    let pid = server.program.pid();
    let (foreman, _) = server.client("owner").await;
    let uplinks: Vec<_> = stream::iter(0..agents)
        .map(|number| enrol(&foreman, &server.url, number))
        .buffer_unordered(64)
        .collect()
        .await;
    // Known devices are rows; what is measured is their being connected.
    let before = held_memory(pid);
    let (tell, mut opened) = mpsc::channel(64);
    let running: Vec<_> = uplinks
        .into_iter()
        .enumerate()
        .map(|(number, uplink)| tokio::spawn(agent(uplink, number, agents, tell.clone())))
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

async fn enrol(foreman: &Foreman, url: &str, number: usize) -> Arc<Uplink> {
    let made = new_device(foreman, &format!("device {number}")).await;
    let (client, key) = (http::client().expect("a client"), fresh_key());
    let connected = uplink::enrol(&client, url, &made.token, public_key(&key)).await.expect("a good token");
    Uplink::new(client, url, connected.device_id, key)
}

/// Keeps the command stream open and reports; the agents' reports are spread over the pace.
async fn agent(uplink: Arc<Uplink>, number: usize, agents: usize, tell: mpsc::Sender<()>) {
    let mut commands = uplink.commands();
    let first = PACE.mul_f64(number as f64 / agents as f64);
    let mut pace = tokio::time::interval_at(tokio::time::Instant::now() + first, PACE);
    let sample: Sample = sample();
    let hears = async {
        loop {
            match commands.next().await {
                Delivery::Opened => drop(tell.send(()).await),
                Delivery::Lost { error, .. } => panic!("an agent lost its server: {error}"),
                Delivery::Gone => panic!("an agent's device is gone"),
                _ => {}
            }
        }
    };
    let beats = async {
        loop {
            pace.tick().await;
            uplink.heartbeat(&sample).await.expect("a heartbeat is taken");
        }
    };
    // Side by side, as in the agent: both wait for the same bearer, and neither may stand still while it has it.
    tokio::join!(hears, beats);
}
