//! `foreman`: see `foreman --help`. Also the example of the SDK: a command is what a person asked for, put to it.
//!
//! It must not know how devices are reached, or what the wire looks like.

mod args;
mod commands;
mod context;
mod output;
mod raw;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
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
