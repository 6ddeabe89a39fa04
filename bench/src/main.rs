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

fn main() {
    let options = Options::parse();
    let runtime = |mut builder: tokio::runtime::Builder| builder.enable_all().build().expect("a runtime");
    let many = runtime(tokio::runtime::Builder::new_multi_thread());
    if let Some(Mode::Floor { floor }) = options.floor {
        return many.block_on(floor.run());
    }
    measure::raise_file_limit();
    let mut table = Table::default();
    if options.wants(Area::Terminal) {
        // As `foreman` has it: one thread, which no key and no echo has to wake another of.
        let mut one = tokio::runtime::Builder::new_current_thread();
        one.event_interval(1);
        runtime(one).block_on(terminal::measure(&mut table));
    }
    many.block_on(others(&options, &mut table));
    print!("{table}");
}

impl Options {
    fn wants(&self, area: Area) -> bool {
        self.only.is_empty() || self.only.contains(&area)
    }
}

async fn others(options: &Options, table: &mut Table) {
    let wanted = |area| options.wants(area);
    if wanted(Area::Heartbeats) {
        heartbeats::measure(table, options.seconds).await;
    }
    if wanted(Area::Fanout) {
        for readers in &options.readers {
            fanout::measure(table, *readers).await;
        }
    }
    if wanted(Area::Agents) {
        agents::measure(table, options.agents, options.seconds).await;
    }
    if wanted(Area::Dispatch) {
        dispatch::measure(table).await;
    }
    if wanted(Area::Idle) {
        idle::measure(table, options.seconds).await;
    }
    if wanted(Area::Terminal) {
        terminal::beside_a_download(table).await;
    }
    if wanted(Area::Link) {
        link::measure(table).await;
    }
    if wanted(Area::Files) {
        files::measure(table).await;
    }
    if wanted(Area::Relay) {
        relay::measure(table, options.links as usize).await;
    }
    if wanted(Area::Gateway) {
        gateway::measure(table, options.seconds).await;
    }
}
