//! What an agent with nothing to do costs its machine; against prometheus-node-exporter.

use std::time::Duration;

use journeys::{
    database::Database,
    eventually, program,
    stack::{Setting, Stack},
};

use crate::{
    measure::{cpu_time, held_memory},
    peers::node_exporter::NodeExporter,
    table::{Table, Target},
};

/// How often both report.
const PACE: Duration = Duration::from_secs(10);

pub async fn measure(table: &mut Table, seconds: u64) {
    let stack = Stack::start(Setting::on(Database::Sqlite)).await;
    let (foreman, device) = (&stack.foreman, stack.agent.device);
    eventually("the agent has looked at its machine and reported", || async {
        let device = foreman.device(device).await.ok()?;
        (device.capabilities.is_some() && device.latest.is_some()).then_some(())
    })
    .await;
    let exporter = NodeExporter::start().await;
    let ours = stack.agent.program.pid();
    let theirs = exporter.as_ref().ok().map(|exporter| exporter.program.pid());
    if let Ok(exporter) = &exporter {
        exporter.scrape().await;
    }
    // Long enough for several reports, however short the other measurements are.
    let rounds = (seconds * 6).div_ceil(PACE.as_secs()).max(3);
    let cpu = (cpu_time(ours), theirs.map(cpu_time));
    for _ in 0..rounds {
        tokio::time::sleep(PACE).await;
        if let Ok(exporter) = &exporter {
            exporter.scrape().await;
        }
    }
    let window = PACE.as_secs_f64() * rounds as f64;
    let share = |used: Duration| used.as_secs_f64() / window * 100.0;
    let megabytes = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let ours_cpu = share(cpu_time(ours) - cpu.0);
    let ours_memory = megabytes(held_memory(ours));
    let size = |file: &std::path::Path| std::fs::metadata(file).map_or(0, |file| file.len());
    let ours_size = megabytes(size(&program::folder().join("foreman-agent")));
    match (exporter, theirs, cpu.1) {
        (Ok(exporter), Some(theirs), Some(before)) => {
            table.ratio(
                "idle agent, memory",
                "MB",
                ours_memory,
                megabytes(held_memory(theirs)),
                Target::AtMost(0.8),
            );
            table.told(
                "idle agent, CPU, node_exporter's beside",
                "% of a core",
                ours_cpu,
                Some(share(cpu_time(theirs) - before)),
            );
            let file = std::fs::read_link(format!("/proc/{theirs}/exe")).unwrap_or_default();
            table.ratio("agent, binary", "MB", ours_size, megabytes(size(&file)), Target::AtMost(1.0));
            drop(exporter);
        }
        (exporter, ..) => {
            table.skipped("prometheus-node-exporter", exporter.err().unwrap_or_default());
            table.told("idle agent, memory", "MB", ours_memory, None);
        }
    }
    table.value("idle agent, CPU", "% of a core", ours_cpu, Target::AtMost(0.1));
}
