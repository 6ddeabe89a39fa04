//! The real OAuth server as a child process, and the browser that it brings.

use std::{path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::scene::soon;

pub struct RealServer {
    _child: Child,
    told: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    issuer: String,
}

impl RealServer {
    /// `life`: seconds that a token lives.
    pub async fn start(life: u32) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/oauth");
        assert!(folder.join("node_modules").exists(), "run npm ci in e2e/oauth first; ./dev test does");
        let mut child = Command::new("node")
            .arg("server.mjs")
            .arg(life.to_string())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = child.stdin.take().unwrap();
        let mut server = Self { _child: child, told, said, issuer: String::new() };
        server.issuer = server.line("listening on ").await;
        server
    }

    async fn line(&mut self, beginning: &str) -> String {
        let line = soon(self.said.next_line()).await.unwrap().unwrap();
        line.strip_prefix(beginning).unwrap_or_else(|| panic!("it said {line}")).to_owned()
    }

    async fn tell(&mut self, line: String) {
        self.told.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// A person signs in on this page and allows; answers the link that the browser is led to.
    pub async fn open(&mut self, page: &str) -> String {
        self.tell(format!("open {page}")).await;
        self.line("returned ").await
    }

    /// A person types the code in.
    pub async fn decide(&mut self, code: &str, allow: bool) {
        self.tell(format!("{} {code}", if allow { "code" } else { "deny" })).await;
        self.line("decided").await;
    }

    pub fn oauth(&self, flow: &str) -> Value {
        json!({
            "flow": flow,
            "issuer": self.issuer,
            "client_id": "foreman-app",
            "scopes": ["openid", "offline_access"],
        })
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}
