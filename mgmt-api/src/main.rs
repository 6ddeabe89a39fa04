//! `foreman-server`: see `foreman-server --help`.

use std::process::ExitCode;

use clap::Parser;
use mgmt_api::cli;
use mimalloc::MiMalloc;

/// Many threads make and drop small things for each request: the system's allocator has them wait for each other.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(cli::run(cli::Cli::parse())));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("foreman-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}
