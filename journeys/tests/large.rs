//! Very much output and a reader that is slow: memory stays bounded and the state stays clear.

use std::time::Duration;

use foreman_client::OutputUpdate;
use foreman_protocol::TaskState;
use futures_util::StreamExt;
use journeys::{
    database::Database,
    long, numbered, processes,
    stack::{Setting, Stack},
};

const MEGABYTE: u64 = 1024 * 1024;

/// Kept by the server for one task here.
const KEPT: u64 = 16 * MEGABYTE;

async fn memory_stays_bounded(database: Database) {
    let megabytes: u64 = if long() { 10 * 1024 } else { 300 };
    let mut stack = Stack::start(Setting::on(database).env("FOREMAN_OUTPUT_LIMIT", KEPT)).await;
    let (foreman, device) = (stack.foreman.clone(), stack.agent.device);
    let (server, agent) = (stack.server.program.pid(), stack.agent.program.pid());
    let (server_before, agent_before) = (processes::held_memory(server), processes::held_memory(agent));

    let total = megabytes * MEGABYTE;
    let spec = numbered::shell(format!("yes 'a line of output that is repeated' | head -c {total}"));
    let task = foreman.start_task(device, &spec).await.expect("taken").id;
    // Ten readers take one update a second while it runs.
    let slow: Vec<_> = (0..10)
        .map(|_| {
            let mut output = foreman.live_output(task, 0);
            tokio::spawn(async move {
                let mut pace = tokio::time::interval(Duration::from_secs(1));
                while output.next().await.is_some() {
                    pace.tick().await;
                }
            })
        })
        .collect();
    // Whoever waits for the last byte hears when all of it is there.
    let mut last = foreman.live_output(task, total - 1);
    let ended = async {
        loop {
            if let OutputUpdate::Ended(task) = last.next().await.expect("it ends with its end") {
                return task;
            }
        }
    };
    let limit = Duration::from_secs(if long() { 7200 } else { 400 });
    let ended = tokio::time::timeout(limit, ended).await.expect("all output arrives");
    assert_eq!(ended.state, TaskState::Succeeded, "{ended:?}");
    assert_eq!(ended.output_total, Some(total));
    assert!(ended.output_start > 0 && total - ended.output_start <= KEPT + MEGABYTE, "{ended:?}");
    slow.iter().for_each(tokio::task::JoinHandle::abort);

    let grown = |pid, before| (processes::peak_memory(pid).saturating_sub(before)) / MEGABYTE;
    let (server, agent) = (grown(server, server_before), grown(agent, agent_before));
    eprintln!("{megabytes} MB of output: the server grew by {server} MB, the agent by {agent} MB");
    assert!(server < 120, "the server grew by {server} MB");
    assert!(agent < 60, "the agent grew by {agent} MB");

    // What is kept is the end, and what is not kept is told.
    let piece = foreman.output(task, 0, Some(100)).await.expect("readable");
    assert_eq!(piece.start, ended.output_start);
    let (heard, _) = numbered::follow(&foreman, task).await;
    assert_eq!(heard.gaps, [(0, ended.output_start)]);
    assert_eq!(heard.bytes.len() as u64, total - ended.output_start);
    assert!(stack.agent.program.runs() && stack.server.program.runs());
}

super::on_both_databases!(memory_stays_bounded);
