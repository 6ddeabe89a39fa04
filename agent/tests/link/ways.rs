//! The ways to a device: TCP, a WebSocket, the server's relay, a tailnet and a Cloudflare Tunnel.

use std::{path::Path, sync::Arc};

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::HeaderMap,
    response::Response,
    routing::get,
};
use bytes::Bytes;
use foreman_link::{
    carrier::{Dialer, Frame, MessageStream, Wording},
    channel::ConnectError,
    grant::{Issuer, LinkSecret, sign_grant},
};
use foreman_protocol::{Dial, Level, TunnelToken};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::unix::pipe,
    sync::{Mutex, mpsc},
};

use crate::{
    awkward::Server,
    house::{House, PATIENCE, hello, over},
};

const WORDING: Wording<Message> = Wording {
    read: |message| match message {
        Message::Binary(data) => Frame::Data(data),
        Message::Close(_) => Frame::Close,
        _ => Frame::Other,
    },
    write: |frame| match frame {
        Frame::Data(data) => Message::Binary(data),
        _ => Message::Ping(Bytes::new()),
    },
};

/// Where a device that was called arrives.
#[derive(Clone)]
struct Relay(Arc<Mutex<mpsc::Receiver<(String, WebSocket)>>>);

impl Relay {
    async fn beside_a_server() -> (Self, Server) {
        let (sender, receiver) = mpsc::channel(4);
        let router = Router::new()
            .route("/api/v1/devices/{id}/relay/accept", get(accept))
            .with_state(Arc::new(sender));
        (Self(Arc::new(Mutex::new(receiver))), Server::start_with(router).await)
    }

    async fn next(&self) -> (String, WebSocket) {
        tokio::time::timeout(PATIENCE, self.0.lock().await.recv()).await.unwrap().unwrap()
    }
}

async fn accept(
    State(arrived): State<Arc<mpsc::Sender<(String, WebSocket)>>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    assert!(headers["authorization"].to_str().unwrap().starts_with("Bearer b"));
    let ticket = headers["x-foreman-ticket"].to_str().unwrap().to_owned();
    upgrade.on_upgrade(move |socket| async move { arrived.send((ticket, socket)).await.unwrap() })
}

#[tokio::test]
async fn tcp_and_a_websocket_lead_to_the_same_device() {
    let house = House::new(&[]).await;
    let client = LinkSecret::generate();
    let signed = house.signed(&client, Level::Operate);
    let (plain, welcome) = house.call(&client, &signed).await.unwrap();
    assert_eq!(welcome.level, Level::Operate);

    let dialer = Dialer::from_environment().unwrap();
    let address = format!("ws://{}/link", house.address());
    let way = dialer.connect_websocket(&address, HeaderMap::new()).await.unwrap();
    let (wrapped, _) = over(way, &house.keys(&client), &signed, "cloudflare").await.unwrap();
    let (one, other) = (hello(&plain).await, hello(&wrapped).await);
    assert_eq!((one.device_id, one.level), (other.device_id, other.level));
}

#[tokio::test]
async fn a_device_that_is_called_over_the_relay_comes() {
    let (relay, server) = Relay::beside_a_server().await;
    let house = House::beside(server, &["--link-listen", "none"], &[]).await;
    assert!(house.facts().link.addresses.is_empty());
    for round in 0..2 {
        let ticket = format!("ticket-{round}");
        let dial =
            serde_json::to_string(&Dial { ticket: ticket.clone(), server: None, account: None }).unwrap();
        house.server.with(|inner| inner.dials.push(dial));
        let (shown, socket) = relay.next().await;
        assert_eq!(shown, ticket);
        let client = LinkSecret::generate();
        let way = MessageStream::new(socket, WORDING);
        let signed = house.signed(&client, Level::View);
        let (client, _) = over(way, &house.keys(&client), &signed, "relay").await.unwrap();
        assert_eq!(hello(&client).await.level, Level::View);
    }
    // Who has to wait is told so at once, with nobody left to wait for.
    let thief = Issuer::generate();
    for round in 0..=60 {
        let dial = Dial { ticket: format!("wrong-{round}"), server: None, account: None };
        house.server.with(|inner| inner.dials.push(serde_json::to_string(&dial).unwrap()));
        let (_, socket) = relay.next().await;
        let client = LinkSecret::generate();
        let forged = sign_grant(&house.grant(&client, Level::View), &thief);
        let way = MessageStream::new(socket, WORDING);
        let called = over(way, &house.keys(&client), &forged, "relay").await.map(drop);
        match round {
            60 => assert!(matches!(called, Err(ConnectError::TurnedAway(1..=60))), "{called:?}"),
            _ => assert!(matches!(called, Err(ConnectError::Refused(_))), "{called:?}"),
        }
    }
    // A call that leads nowhere is no harm.
    let elsewhere =
        Dial { ticket: "x".to_owned(), server: Some("http://127.0.0.1:9".to_owned()), account: None };
    house.server.with(|inner| inner.dials.push(serde_json::to_string(&elsewhere).unwrap()));
    house.server.with(|inner| inner.dials.push("{}".to_owned()));
    let beats = house.server.with(|inner| inner.beats);
    house.server.until("a heartbeat", |inner| inner.beats > beats + 1).await;
}

/// The stand-ins for other people's programs, before those on this machine.
fn programs() -> std::ffi::OsString {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([ours].into_iter().chain(std::env::split_paths(&others))).unwrap()
}

/// A pipe with a name, to hear from such a program. It ends when nobody has it open any more, unless it `stays`.
fn pipe(path: &Path, stays: bool) -> BufReader<pipe::Receiver> {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    BufReader::new(pipe::OpenOptions::new().read_write(stays).open_receiver(path).unwrap())
}

#[tokio::test]
async fn a_tailnet_is_used_and_left_as_it_was() {
    let tailnet = tempfile::tempdir().unwrap();
    // Something of the user's own.
    std::fs::write(tailnet.path().join("port-443"), "http://127.0.0.1:3000").unwrap();
    let path = programs();
    let environment = [("TAILNET", tailnet.path()), ("PATH", Path::new(&path))];
    let mut house = House::beside(Server::start().await, &["--tailscale"], &environment).await;
    let facts = house.until_facts("a name", |facts| facts.link.tailscale.is_some()).await;
    assert_eq!(facts.link.tailscale.as_deref(), Some("spark.tail1234.ts.net:9981"));
    let port = house.address().rsplit(':').next().unwrap().to_owned();
    let served = std::fs::read_to_string(tailnet.path().join("port-9981")).unwrap();
    assert_eq!(served, format!("http://127.0.0.1:{port}"));
    let said = house.say(&["status"]).await;
    assert!(said.contains("Tailscale: up as spark.tail1234.ts.net:9981"), "{said}");

    house.end().await;
    assert!(!tailnet.path().join("port-9981").exists());
    assert!(tailnet.path().join("port-443").exists());
}

#[tokio::test]
async fn what_a_killed_agent_offered_in_a_tailnet_is_taken_back_when_the_device_is_disconnected() {
    let tailnet = tempfile::tempdir().unwrap();
    let path = programs();
    let environment = [("TAILNET", tailnet.path()), ("PATH", Path::new(&path))];
    let mut house = House::beside(Server::start().await, &["--tailscale"], &environment).await;
    house.until_facts("a name", |facts| facts.link.tailscale.is_some()).await;
    // Something of the user's own, since then.
    std::fs::write(tailnet.path().join("port-443"), "http://127.0.0.1:3000").unwrap();
    house.kill().await;
    assert!(tailnet.path().join("port-9981").exists(), "it could not take anything back");

    let said = house.say_beside(&["disconnect"], &environment).await;
    assert!(said.contains("Disconnected"), "{said}");
    assert!(!tailnet.path().join("port-9981").exists(), "{said}");
    assert!(tailnet.path().join("port-443").exists(), "{said}");
}

#[tokio::test]
async fn what_still_stands_in_a_tailnet_after_disconnecting_is_said_and_tried_again() {
    let tailnet = tempfile::tempdir().unwrap();
    let path = programs();
    let environment = [("TAILNET", tailnet.path()), ("PATH", Path::new(&path))];
    let mut house = House::beside(Server::start().await, &["--tailscale"], &environment).await;
    house.until_facts("a name", |facts| facts.link.tailscale.is_some()).await;
    std::fs::write(tailnet.path().join("stuck"), "").unwrap();
    house.kill().await;
    let disconnect = async || house.ended_beside(&["disconnect"], &environment).await;
    let (code, said) = disconnect().await;
    assert!(said.contains("Disconnected “") && !house.state().join("identity.json").exists(), "{said}");
    for (code, said) in [(code, said), disconnect().await] {
        let last = said.lines().last().unwrap();
        assert!(last.contains("still stands") && last.contains("Access denied"), "{said}");
        assert!(last.contains("`tailscale serve --https=9981 off`"), "{said}");
        assert_eq!(code, Some(1), "{said}");
    }
    assert!(tailnet.path().join("port-9981").exists());

    std::fs::remove_file(tailnet.path().join("stuck")).unwrap();
    let (code, said) = disconnect().await;
    assert!(code == Some(0) && said.contains("was taken back"), "{said}");
    assert!(!tailnet.path().join("port-9981").exists());
    let (code, said) = disconnect().await;
    assert!(code == Some(0) && said.contains("Nothing was changed"), "{said}");
}

#[tokio::test]
async fn a_tailnet_that_does_not_work_is_said_and_nothing_else_suffers() {
    let tailnet = tempfile::tempdir().unwrap();
    std::fs::write(tailnet.path().join("port-9981"), "http://127.0.0.1:3000").unwrap();
    let path = programs();
    let environment = [("TAILNET", tailnet.path()), ("PATH", Path::new(&path))];
    let mut house = House::beside(Server::start().await, &["--tailscale"], &environment).await;
    let said = until_said(&house, "Tailscale: does not work").await;
    assert!(said.contains("leads to http://127.0.0.1:3000, which was left as it is"), "{said}");
    assert_eq!(hello(&house.caller(Level::View).await).await.level, Level::View);
    house.end().await;
    assert!(tailnet.path().join("port-9981").exists());
}

#[tokio::test]
async fn cloudflared_runs_with_the_token_out_of_sight_and_ends_with_the_tunnel() {
    let tunnels = tempfile::tempdir().unwrap();
    let mut alive = pipe(&tunnels.path().join("alive"), false);
    let path = programs();
    let environment = [("TUNNELS", tunnels.path()), ("PATH", Path::new(&path))];
    let server = Server::start().await;
    let tunnel = TunnelToken { token: "s3cret".to_owned(), hostname: "spark.example.org".to_owned() };
    server.with(|inner| inner.tunnel = Some(tunnel));
    let words = ["--allow", "bash", "--log", "info"];
    let mut house = House::beside(server, &words, &environment).await;
    let said = until_said(&house, "Cloudflare: up as spark.example.org").await;
    let its_own = "cloudflared: 2026-11-21T12:00:01Z INF Registered tunnel connection connIndex=0";
    let logged = house.until_logged(its_own).await;
    assert!(!said.contains("s3cret") && !logged.contains("s3cret"), "{said}{logged}");
    let calls = std::fs::read_to_string(tunnels.path().join("calls")).unwrap();
    assert_eq!(calls, "tunnel --no-autoupdate run token=s3cret\n");
    let pid = std::fs::read_to_string(tunnels.path().join("pid")).unwrap();
    let cmdline = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap();
    assert!(!cmdline.contains("s3cret"));

    // Nobody can have gone who was not there.
    let there = tokio::time::timeout(PATIENCE, alive.read_line(&mut String::new())).await;
    there.expect("it says so").unwrap();
    house.end().await;
    let mut nothing = Vec::new();
    let gone = tokio::time::timeout(PATIENCE, alive.read_to_end(&mut nothing)).await;
    gone.expect("it ends with the agent").unwrap();
}

#[tokio::test]
async fn a_tunnel_that_is_not_let_in_is_said_with_its_own_words() {
    let tunnels = tempfile::tempdir().unwrap();
    std::fs::write(tunnels.path().join("broken"), "").unwrap();
    let mut calls = pipe(&tunnels.path().join("calls"), true).lines();
    let path = programs();
    let environment = [("TUNNELS", tunnels.path()), ("PATH", Path::new(&path))];
    let server = Server::start().await;
    let tunnel = TunnelToken { token: "old".to_owned(), hostname: "spark.example.org".to_owned() };
    server.with(|inner| inner.tunnel = Some(tunnel));
    let house = House::beside(server, &["--allow", "bash"], &environment).await;
    let said = until_said(&house, "Cloudflare: does not work").await;
    assert!(said.contains("Provided Tunnel token is not valid"), "{said}");
    // Started again by itself.
    for _ in 0..2 {
        let call = tokio::time::timeout(PATIENCE, calls.next_line()).await.expect("it is tried again");
        assert_eq!(call.unwrap().as_deref(), Some("tunnel --no-autoupdate run token=old"));
    }
}

#[tokio::test]
async fn a_tunnel_leads_nowhere_on_a_device_that_lets_the_server_run_nothing() {
    let tunnels = tempfile::tempdir().unwrap();
    let path = programs();
    let environment = [("TUNNELS", tunnels.path()), ("PATH", Path::new(&path))];
    let server = Server::start().await;
    let tunnel = TunnelToken { token: "thief".to_owned(), hostname: "spark.example.org".to_owned() };
    server.with(|inner| inner.tunnel = Some(tunnel));
    let house = House::beside(server, &["--allow", "bash", "--dashboard", "none"], &environment).await;
    until_said(&house, "Cloudflare: does not work: it is not run").await;
    assert!(!tunnels.path().join("calls").exists());
    house.say(&["trust", "dashboard", "operate"]).await;
    until_said(&house, "Cloudflare: up").await;
    std::fs::write(house.state().join("policy.env"), "ALLOW_BASH=false\n").unwrap();
    until_said(&house, "Cloudflare: does not work: it is not run").await;
}

/// Asks `status` until it says so.
async fn until_said(house: &House, wanted: &str) -> String {
    let asking = async {
        loop {
            let said = house.say(&["status"]).await;
            if said.contains(wanted) {
                return said;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never said: {wanted}"))
}

/// What Cloudflare tells its program of a tunnel that leads there.
fn leading_to(service: &str) -> String {
    let told = format!(r#"{{"ingress":[{{"service":"{service}"}},{{"service":"http_status:404"}}]}}"#);
    serde_json::to_string(&told).unwrap()
}

/// The writing end of a pipe with a name, as soon as somebody reads there.
async fn until_read(house: &House, path: &Path) -> pipe::Sender {
    let opening = async {
        loop {
            match pipe::OpenOptions::new().open_sender(path) {
                Ok(sender) => return sender,
                Err(_) => house.say(&["status"]).await,
            };
        }
    };
    tokio::time::timeout(PATIENCE, opening).await.expect("the program reads what it is told")
}

#[tokio::test]
async fn a_device_that_refuses_the_server_takes_a_tunnel_that_leads_to_the_link_and_no_other() {
    let tunnels = tempfile::tempdir().unwrap();
    let path = programs();
    let environment = [("TUNNELS", tunnels.path()), ("PATH", Path::new(&path))];
    let server = Server::start().await;
    let tunnel = TunnelToken { token: "t".to_owned(), hostname: "spark.example.org".to_owned() };
    server.with(|inner| inner.tunnel = Some(tunnel));
    // The program is told nothing before it is known where the agent listens.
    let config = tunnels.path().join("config");
    nix::unistd::mkfifo(&config, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut house = House::beside(server, &["--dashboard", "none", "--cloudflare"], &environment).await;
    let port = house.address().rsplit(':').next().unwrap().to_owned();
    let mut asking = until_read(&house, &config).await;
    asking.write_all(leading_to(&format!("http://localhost:{port}")).as_bytes()).await.unwrap();
    drop(asking);
    until_said(&house, "Cloudflare: up as spark.example.org").await;
    assert_eq!(house.facts().link.server_level, None, "the server itself is let do nothing");

    house.end().await;
    std::fs::remove_file(&config).unwrap();
    std::fs::write(&config, leading_to("ssh://localhost:22")).unwrap();
    let house = house.started_again_beside(&["--link-listen", "127.0.0.1:0"], &environment).await;
    let said = until_said(&house, "Cloudflare: does not work: it was ended").await;
    assert!(said.contains("ssh://localhost:22"), "{said}");
    let pid = std::fs::read_to_string(tunnels.path().join("pid")).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    assert!(nix::sys::signal::kill(pid, None).is_err(), "it runs no more");
}
