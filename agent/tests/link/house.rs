//! A device with a real agent, its owner, and clients that call it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use foreman_link::{
    carrier::connect_tcp,
    channel::{self, ClientKeys, ConnectError, Welcome},
    grant::{Issuer, LinkSecret, sign_grant, verify_link_key},
    h2::{Body, Client},
};
use foreman_protocol::{
    DeviceHello, Grant, GrantId, Hello, Level, LinkFacts, Millis, Problem, Revocation, Revoked,
};
use http_body_util::BodyExt;
use hyper::{Request, Response, body::Incoming};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader},
    process::{Child, Command},
    sync::watch,
};

use crate::awkward::{Server, TOKEN};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// A connected device.
pub struct House {
    dir: tempfile::TempDir,
    pub server: Server,
    /// The server's X25519 link key.
    pub server_key: LinkSecret,
    pub owner: Issuer,
    agent: Option<Child>,
    /// What its agents have logged.
    log: watch::Sender<String>,
}

impl House {
    /// With one owner, and an agent that listens on loopback.
    pub async fn new(more: &[&str]) -> Self {
        Self::beside(Server::start().await, more, &[]).await
    }

    pub async fn beside(server: Server, more: &[&str], environment: &[(&str, &Path)]) -> Self {
        let (server_key, owner) = (LinkSecret::generate(), Issuer::generate());
        server.with(|inner| inner.link_key = Some(server_key.public()));
        let dir = tempfile::tempdir().unwrap();
        let mut house = Self { dir, server, server_key, owner, agent: None, log: watch::Sender::default() };
        let (url, key) = (house.server.url.clone(), house.owner.public());
        let mut words = vec!["connect", "--server", &url, "--token", TOKEN, "--owner", &key];
        words.push("--no-mdns");
        if !more.contains(&"--link-listen") {
            words.extend(["--link-listen", "127.0.0.1:0"]);
        }
        words.extend(more);
        let mut command = house.command(&words);
        command.envs(environment.iter().copied());
        house.listen(command).await;
        house
    }

    /// Waits until it is said that the agent listens.
    async fn listen(&mut self, command: Command) {
        let mut agent = self.spawn(command);
        let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line == "Listening for tasks..." {
                    return;
                }
            }
            panic!("it ended");
        };
        tokio::time::timeout(PATIENCE, listening).await.unwrap();
        self.agent = Some(agent);
    }

    /// The same device with another life of its agent.
    pub async fn started_again(self, more: &[&str]) -> Self {
        let words = [&["--link-listen", "127.0.0.1:0"], more].concat();
        self.started_again_beside(&words, &[]).await
    }

    pub async fn started_again_beside(mut self, more: &[&str], environment: &[(&str, &Path)]) -> Self {
        self.server.with(|inner| inner.facts = None);
        let mut words = vec!["run", "--no-mdns"];
        words.extend(more);
        let mut command = self.command(&words);
        command.envs(environment.iter().copied());
        self.agent = Some(self.spawn(command));
        self.server.until("facts", |inner| inner.facts.is_some()).await;
        self
    }

    /// Starts an agent whose log is heard, and shown as the test's own.
    fn spawn(&self, mut command: Command) -> Child {
        let mut agent = command.spawn().unwrap();
        let mut lines = BufReader::new(agent.stderr.take().unwrap()).lines();
        let log = self.log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("{line}");
                log.send_modify(|log| log.extend([line.as_str(), "\n"]));
            }
        });
        agent
    }

    /// Waits until the agent logs this; its log so far.
    pub async fn until_logged(&self, what: &str) -> String {
        let mut log = self.log.subscribe();
        let logged = tokio::time::timeout(PATIENCE, log.wait_for(|log| log.contains(what))).await;
        logged.unwrap_or_else(|_| panic!("never logged: {what}")).unwrap().clone()
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foreman-agent"));
        command.arg("--state").arg(self.state()).args(words);
        command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to its end; what it printed.
    pub async fn say(&self, words: &[&str]) -> String {
        self.say_beside(words, &[]).await
    }

    pub async fn say_beside(&self, words: &[&str], environment: &[(&str, &Path)]) -> String {
        self.ended_beside(words, environment).await.1
    }

    /// The same, and its exit code.
    pub async fn ended_beside(&self, words: &[&str], environment: &[(&str, &Path)]) -> (Option<i32>, String) {
        let mut command = self.command(words);
        command.envs(environment.iter().copied());
        let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    /// Ends the agent as a service manager does.
    pub async fn end(&mut self) {
        let mut agent = self.agent.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(agent.id().unwrap().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        tokio::time::timeout(PATIENCE, agent.wait()).await.unwrap().unwrap();
    }

    /// Ends the agent as a lack of memory does.
    pub async fn kill(&mut self) {
        self.agent.take().unwrap().kill().await.unwrap();
    }

    /// What the server was told of the link.
    pub fn facts(&self) -> LinkFacts {
        self.server.with(|inner| inner.facts.clone().unwrap().link.unwrap())
    }

    pub async fn until_facts(&self, what: &str, is_so: impl Fn(&LinkFacts) -> bool) -> LinkFacts {
        let told = |inner: &crate::awkward::Inner| inner.facts.as_ref().and_then(|facts| facts.link.clone());
        self.server.until(what, |inner| told(inner).is_some_and(|facts| is_so(&facts))).await;
        self.facts()
    }

    pub fn address(&self) -> String {
        self.facts().link.addresses[0].clone()
    }

    /// A grant of the owner for a client.
    pub fn grant(&self, client: &LinkSecret, level: Level) -> Grant {
        let now = now();
        Grant {
            id: GrantId::fresh(),
            device: self.facts().link.identity,
            client: client.public(),
            name: "Mia's phone".to_owned(),
            level,
            issued_at: now,
            expires_at: now + 600_000,
            issuer: self.owner.public(),
        }
    }

    pub fn signed(&self, client: &LinkSecret, level: Level) -> String {
        sign_grant(&self.grant(client, level), &self.owner)
    }

    pub fn revocation(&self, revokes: Revoked, issuer: &Issuer) -> Revocation {
        Revocation { device: self.facts().link.identity, revokes, at: now(), issuer: issuer.public() }
    }

    pub fn keys(&self, client: &LinkSecret) -> ClientKeys {
        let link = self.facts().link;
        verify_link_key(&link.key, &link.identity, None).unwrap();
        ClientKeys::new(client.clone(), &link.identity, &link.key.public_key).unwrap()
    }

    /// Calls over TCP.
    pub async fn call(&self, client: &LinkSecret, grant: &str) -> Result<(Client, Welcome), ConnectError> {
        let way = connect_tcp(&self.address()).await.unwrap();
        over(way, &self.keys(client), grant, "lan").await
    }

    /// A client that was let in.
    pub async fn caller(&self, level: Level) -> Client {
        let secret = LinkSecret::generate();
        self.call(&secret, &self.signed(&secret, level)).await.unwrap().0
    }
}

pub fn now() -> Millis {
    foreman_machine::run::Moment::now().wall_ms
}

/// Calls over any way.
pub async fn over<IO>(
    way: IO,
    keys: &ClientKeys,
    grant: &str,
    path: &str,
) -> Result<(Client, Welcome), ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let hello = Hello { on_behalf_of: Some("Tom".to_owned()), ..Hello::new(grant.to_owned(), path) };
    let (channel, welcome) = channel::connect(way, keys, &hello).await?;
    Ok((Client::start(channel).await.unwrap(), welcome))
}

pub async fn send(client: &Client, method: &str, path: &str, body: Body) -> Response<Incoming> {
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    tokio::time::timeout(PATIENCE, client.request(request)).await.unwrap().unwrap()
}

pub async fn hello(client: &Client) -> DeviceHello {
    serde_json::from_slice(&whole(send(client, "GET", "/hello", Body::empty()).await).await).unwrap()
}

/// The problem that a request comes to.
pub async fn problem(client: &Client, method: &str, path: &str) -> Problem {
    let response = send(client, method, path, Body::empty()).await;
    assert!(!response.status().is_success(), "{method} {path}: {}", response.status());
    serde_json::from_slice(&whole(response).await).unwrap()
}

pub async fn whole(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// The link is closed, without anybody having asked for something.
pub async fn until_closed(client: &Client) {
    tokio::time::timeout(PATIENCE, client.closed()).await.expect("the device closes it");
}
