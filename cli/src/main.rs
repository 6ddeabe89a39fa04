//! `foreman`: see `foreman --help`. Also the example of the SDK: a command is what a person asked for, put to it.
//!
//! It must not know how devices are reached, or what the wire looks like.

mod args;
mod commands;
mod context;
mod output;
mod raw;
mod tasks;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use mimalloc::MiMalloc;

/// What comes and goes in pieces of 64 KiB is not given back to the system and fetched anew for each.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // One thread: a key that is pressed need not wake another on its way, nor its echo. It looks for what comes
    // between any two pieces of work.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("foreman: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(commands::run(args::Cli::parse()));
    // A read from a terminal cannot be cancelled, and nobody wants its answer any more.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::note(format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
