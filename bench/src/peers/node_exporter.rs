//! prometheus-node-exporter, asked as often as our agent reports.

use journeys::program::Program;
use tokio::process::Command;

use super::{find, free_port, start};
use crate::load::{Connection, request};

pub struct NodeExporter {
    pub program: Program,
    url: String,
}

impl NodeExporter {
    pub async fn start() -> Result<Self, String> {
        let file = find(&["prometheus-node-exporter", "node_exporter"])?;
        let port = free_port();
        let mut command = Command::new(file);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let program = start("node_exporter", command, port).await?;
        Ok(Self { program, url: format!("http://127.0.0.1:{port}") })
    }

    /// One scrape.
    pub async fn scrape(&self) {
        let text = request("GET", &self.url, "/metrics", "none", "");
        let mut connection = Connection::open_stream(&self.url, &text).await;
        connection.read_until("promhttp_metric_handler_requests_total").await;
    }
}
