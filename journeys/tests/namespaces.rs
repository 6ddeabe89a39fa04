//! Two devices in networks of their own that reach only the server, and a client beside one of them: everything over
//! the relay, and a terminal that changes its path in the middle without losing a line.

mod announced;
mod edge;
mod proxied;
mod tunnelled;

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use foreman_protocol::{Device, DeviceId};
use journeys::{
    eventually,
    network::{Host, Network, SERVER},
    program::{Program, Said, command},
    soon,
    stack::Folder,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

struct Scene {
    // Dropped in this order: programs, then the folder with what they left, then the network.
    agents: Vec<Program>,
    server: Program,
    server_env: Vec<(String, String)>,
    url: String,
    token: String,
    /// The only root of certificates that the client's programs go by, when it is not the machine's.
    root: Option<PathBuf>,
    folder: Folder,
    network: Network,
}

impl Scene {
    /// Both devices; `None` where there can be no namespaces.
    async fn new() -> Option<Self> {
        let mut scene = Self::without_devices(SERVER).await?;
        for (host, name, dashboard) in [(Host::One, "one", "operate"), (Host::Two, "two", "none")] {
            let agent = scene.join(host, name, &["--dashboard", dashboard], &[]).await;
            scene.agents.push(agent);
        }
        Some(scene)
    }

    /// A server that is called by this address, and a client that is signed in to it.
    async fn without_devices(address: &str) -> Option<Self> {
        Some(Self::in_network(Network::new()?, address, vec![]).await)
    }

    /// The same with a server that has this in its environment.
    async fn in_network(network: Network, address: &str, server_env: Vec<(String, String)>) -> Self {
        let folder = Folder::new();
        let (server, port) = serve(&network, &folder, &server_env, "0").await;
        let made = command("foreman-server")
            .args(["token", "create", "--name", "namespaces", "--role", "owner", "--data"])
            .arg(folder.join("server"))
            .output()
            .await
            .expect("it runs");
        let token = String::from_utf8(made.stdout).expect("text").trim().to_owned();
        let url = format!("http://{address}:{port}");
        let scene = Self { agents: vec![], server, server_env, url, token, root: None, folder, network };
        scene.foreman(&["login", &scene.url, "--token", "-"], &scene.token).await;
        scene
    }

    /// After a kill, at the same address.
    async fn serve_again(&mut self) {
        let port = self.url.rsplit(':').next().expect("a port");
        (self.server, _) = serve(&self.network, &self.folder, &self.server_env, port).await;
    }

    async fn join(&self, host: Host, name: &str, options: &[&str], env: &[(&str, &str)]) -> Program {
        let added = self.json(&["devices", "add", name]).await;
        let keys = self.json(&["keys"]).await;
        let state = self.folder.join(name);
        let mut agent = command("foreman-agent");
        agent.args(["connect", "--server", &self.url, "--token", "-", "--allow", "bash,read,write,logs"]);
        agent.args(["--owner", text(&keys, "owner")]).args(options).arg("--state").arg(state);
        agent.envs(env.iter().copied());
        let token = text(&added["made"], "token").to_owned();
        let mut agent =
            Program::start("foreman-agent", self.network.inside(host, &agent), Said::default(), &token);
        agent.line("Listening for tasks").await;
        agent
    }

    /// `foreman` as the client runs it.
    fn command(&self, args: &[&str]) -> Command {
        let mut foreman = command("foreman");
        foreman
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .env("XDG_DATA_HOME", self.folder.join("data"))
            .args(args);
        if let Some(root) = &self.root {
            foreman.env("SSL_CERT_FILE", root);
        }
        let mut inside = self.network.inside(Host::Client, &foreman);
        inside.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        inside
    }

    async fn output(&self, args: &[&str], input: &str) -> Output {
        let mut child = self.command(args).spawn().expect("foreman runs");
        let mut stdin = child.stdin.take().expect("piped");
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        soon(&format!("foreman {args:?}"), child.wait_with_output()).await.expect("it ends")
    }

    async fn foreman(&self, args: &[&str], input: &str) -> String {
        let output = self.output(args, input).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "foreman {args:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    async fn json(&self, args: &[&str]) -> Value {
        let args = [&["--json"], args].concat();
        serde_json::from_str(&self.foreman(&args, "").await).expect("JSON")
    }

    /// A request to the server as somebody with the owner's token: its status and body.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--request", method, "--write-out", "\n%{http_code}"]);
        curl.args(["--header", &format!("Authorization: Bearer {}", self.token)]);
        curl.args(["--header", "Content-Type: application/json", "--data", &body.to_string()]);
        curl.arg(format!("{}{path}", self.url));
        let output = self.network.inside(Host::Client, &curl).output().await.expect("curl runs");
        let said = String::from_utf8(output.stdout).expect("text");
        let (body, status) = said.rsplit_once('\n').expect("a status");
        (status.parse().expect("a number"), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn device(&self, name: &str) -> Device {
        let (_, page) = self.ask("GET", "/api/v1/devices", &Value::Null).await;
        let devices: Vec<Device> = serde_json::from_value(page["items"].clone()).expect("devices");
        devices.into_iter().find(|device| device.name == name).expect("it was made")
    }
}

/// The server, which listens on this port, and the one that it got.
async fn serve(
    network: &Network,
    folder: &Folder,
    env: &[(String, String)],
    port: &str,
) -> (Program, String) {
    let mut serve = command("foreman-server");
    serve.args(["serve", "--listen", &format!("0.0.0.0:{port}"), "--data"]).arg(folder.join("server"));
    serve.envs(env.iter().cloned());
    let inside = network.inside(Host::Server, &serve);
    let mut server = Program::start("foreman-server", inside, Said::default(), "");
    let line = server.line("listening on http://").await;
    let port = line.split_whitespace().last().and_then(|url| url.rsplit(':').next()).expect("a port");
    (server, port.to_owned())
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_reach_only_the_server_are_reached() {
    let Some(scene) = Scene::new().await else { return };
    // The second device shares no network with the client.
    let status = scene.foreman(&["status", "two"], "").await;
    assert!(status.contains("relay") && status.contains("end to end"), "{status}");
    let file = scene.folder.join("sent");
    std::fs::write(&file, b"over the relay".repeat(100_000)).expect("written");
    let remote = scene.folder.join("received");
    let to = format!("two:{}", remote.display());
    scene.foreman(&["cp", &file.display().to_string(), &to], "").await;
    assert_eq!(std::fs::read(&remote).expect("there"), std::fs::read(&file).expect("there"));
    let said = scene.foreman(&["shell", "two", "--", "sh", "-c", "echo in-$((40+2))"], "").await;
    assert!(said.contains("in-42"), "{said}");
    let log = scene.folder.join("app.log");
    std::fs::write(&log, "first\nsecond\n").expect("written");
    let lines = scene.foreman(&["logs", "two", &format!("file:{}", log.display())], "").await;
    assert!(lines.contains("first") && lines.contains("second"), "{lines}");
    // Whoever has the server, its keys and its tokens included, gets nothing from a device that said `none`.
    let two = scene.device("two").await.id;
    server_is_refused(&scene, two, &remote).await;
}

async fn server_is_refused(scene: &Scene, device: DeviceId, file: &Path) {
    let through = format!("/api/v1/devices/{device}/link/files/content?path={}", file.display());
    let (status, problem) = scene.ask("GET", &through, &Value::Null).await;
    assert_eq!((status, problem["code"].as_str()), (403, Some("server_not_trusted")), "{problem}");
    let (status, task) = scene
        .ask("POST", &format!("/api/v1/devices/{device}/tasks"), &json!({ "shell": "echo stolen" }))
        .await;
    assert!(status < 300, "{task}");
    let address = format!("/api/v1/tasks/{}", text(&task, "id"));
    let refused = eventually("the device refuses the task", || async {
        let (_, task) = scene.ask("GET", &address, &Value::Null).await;
        (task["ended_at"].is_i64()).then_some(task)
    })
    .await;
    assert_eq!(refused["state"], "refused", "{refused}");
    assert!(text(&refused, "reason").contains("foreman-agent trust"), "{refused}");
}

const LINES: usize = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_moves_to_another_path_and_back_without_losing_a_line() {
    let Some(scene) = Scene::new().await else { return };
    let status = scene.foreman(&["status", "one"], "").await;
    assert!(status.contains("10.66.1.11"), "the local network is the best path: {status}");
    let count = format!("i=0; while [ $i -lt {LINES} ]; do echo line-$i; i=$((i+1)); sleep 0.05; done");
    let mut child = scene.command(&["shell", "one", "--", "sh", "-c", &count]).spawn().expect("foreman runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut lines = Vec::new();
    let all = async {
        while let Some(line) = stdout.next_line().await.expect("text") {
            lines.push(line.trim().to_owned());
            match lines.len() {
                100 => scene.network.lan(false),
                // Seen over the relay: the other way is there again.
                300 => scene.network.lan(true),
                _ => {}
            }
        }
    };
    // It takes half a minute by itself, and one for the paths.
    tokio::time::timeout(3 * journeys::PATIENCE, all).await.expect("the terminal is seen to the end");
    let mut notices = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut notices).await.expect("text");
    assert_eq!(child.wait().await.expect("it ends").code(), Some(0), "{notices}");
    lines.retain(|line| !line.is_empty());
    let expected: Vec<_> = (0..LINES).map(|number| format!("line-{number}")).collect();
    assert_eq!(lines, expected, "{notices}");
    assert!(notices.contains("relay"), "it says which way it goes on: {notices}");
}
