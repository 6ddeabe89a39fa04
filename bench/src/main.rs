//! `./dev bench`: what Foreman does against the least that would have to be done, measured in the same run on the same
//! machine, because only such ratios mean anything.
//!
//! A floor is a bare program that does only the essential work; a peer is what people use for it today. Whatever is
//! missing here (redis, celery, node_exporter, ssh, ripgrep) is skipped and said loudly.

mod agents;
mod device;
mod dispatch;
mod fanout;
mod files;
mod floor;
mod gateway;
mod heartbeats;
mod idle;
mod link;
mod load;
mod measure;
mod peers;
mod relay;
mod table;
mod terminal;

use clap::{Parser, Subcommand, ValueEnum};

use table::Table;

/// Measures Foreman against floors and peers.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    floor: Option<Mode>,
    /// What to measure; everything when not named.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Area>,
    /// How long each timed measurement lasts.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many agents are connected at once.
    #[arg(long, default_value_t = 5000)]
    agents: usize,
    /// How many readers the event stream has, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 5000])]
    readers: Vec<usize>,
    /// How many relayed links stand idle at once.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..))]
    links: u32,
}

#[derive(Subcommand)]
enum Mode {
    /// Runs one floor as a program of its own; used by the measurements.
    #[command(hide = true)]
    Floor {
        #[command(subcommand)]
        floor: floor::Floor,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Area {
    Heartbeats,
    Agents,
    Fanout,
    Dispatch,
    Idle,
    Terminal,
    Link,
    Files,
    Relay,
    Gateway,
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    if let Some(Mode::Floor { floor }) = options.floor {
        return floor.run().await;
    }
    measure::raise_file_limit();
    let wanted = |area| options.only.is_empty() || options.only.contains(&area);
    let mut table = Table::default();
    if wanted(Area::Heartbeats) {
        heartbeats::measure(&mut table, options.seconds).await;
    }
    if wanted(Area::Fanout) {
        for readers in &options.readers {
            fanout::measure(&mut table, *readers).await;
        }
    }
    if wanted(Area::Agents) {
        agents::measure(&mut table, options.agents, options.seconds).await;
    }
    if wanted(Area::Dispatch) {
        dispatch::measure(&mut table).await;
    }
    if wanted(Area::Idle) {
        idle::measure(&mut table, options.seconds).await;
    }
    if wanted(Area::Terminal) {
        terminal::measure(&mut table).await;
    }
    if wanted(Area::Link) {
        link::measure(&mut table).await;
    }
    if wanted(Area::Files) {
        files::measure(&mut table).await;
    }
    if wanted(Area::Relay) {
        relay::measure(&mut table, options.links as usize).await;
    }
    if wanted(Area::Gateway) {
        gateway::measure(&mut table, options.seconds).await;
    }
    print!("{table}");
}
