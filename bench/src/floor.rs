//! The floors: bare programs that do only the essential work. Each runs as a process of its own, as the server does.

mod h2;
mod heartbeats;
pub mod pty;
mod stream;

use std::path::PathBuf;

use axum::Router;
use clap::Subcommand;
use journeys::program::{Program, Said};
use tokio::net::TcpListener;

#[derive(Subcommand)]
pub enum Floor {
    /// Heartbeats into SQLite, durable, committed in groups.
    Heartbeats { database: PathBuf },
    /// HTTP/2 over bare TCP: something small, and as many bytes as one likes.
    H2,
    /// Server-sent events from one broadcast channel.
    Stream,
}

impl Floor {
    pub async fn run(self) {
        match self {
            Floor::H2 => h2::serve().await,
            Floor::Heartbeats { database } => serve(heartbeats::router(&database).await).await,
            Floor::Stream => serve(stream::router()).await,
        }
    }
}

async fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("listening on http://{}", listener.local_addr().expect("it is bound"));
    listener
}

async fn serve(router: Router) {
    let listener = listen().await;
    axum::serve(listener, router).await.expect("it serves");
}

/// Starts a floor and gives its process and address.
pub async fn start(arguments: &[&str]) -> (Program, String) {
    let this = std::env::current_exe().expect("this program has a path");
    let mut command = tokio::process::Command::new(this);
    command.arg("floor").args(arguments);
    let mut program = Program::start("floor", command, Said::default(), "");
    let line = program.line("listening on ").await;
    let url = line.split_whitespace().last().expect("an address").to_owned();
    (program, url)
}
