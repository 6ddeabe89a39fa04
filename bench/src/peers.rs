//! What people use today, started here beside ours. A peer that is not installed is told, not failed.

pub mod celery;
pub mod nginx;
pub mod node_exporter;
pub mod ssh;

use std::{net::TcpListener, path::PathBuf, time::Duration};

use journeys::program::{Program, Said};
use tokio::{net::TcpStream, process::Command};

/// The first of these programs in PATH.
pub fn find(names: &[&str]) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{} is not installed", names[0]))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Starts a program and waits until it listens.
async fn start(name: &str, command: Command, port: u16) -> Result<Program, String> {
    let mut program = Program::start(name, command, Said::default(), "");
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(program);
        }
        if !program.runs() {
            return Err(format!("{name} ended at once"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!("{name} does not listen"))
}
