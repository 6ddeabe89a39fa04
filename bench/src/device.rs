//! A device as its owner's client reaches it: a real server, a real agent, and the ways between the two.

use std::time::Duration;

use foreman_client::{DeviceConnection, DeviceOptions, Foreman, KnownDevice, PathKind, Store};
use foreman_link::{
    carrier::{Way, connect_tcp},
    channel::{self, ClientKeys},
    grant::{decode_key, verify_link_key},
    h2::{Body, Client},
};
use foreman_protocol::Hello;
use futures_util::{Stream, StreamExt};
use journeys::{
    database::Database,
    soon,
    stack::{Agent, Folder, Server, Setting},
};

use crate::measure::cpu_time;

const POLICY: &str = "ALLOW_BASH=true\nALLOW_FILE_READ=true\nALLOW_FILE_WRITE=true\nALLOW_LOGS=true\n";

pub struct OwnedDevice {
    // Dropped in this order: the agent first, the folder last.
    agent: Agent,
    server: Server,
    foreman: Foreman,
    store: Store,
    known: KnownDevice,
    pub folder: Folder,
}

impl OwnedDevice {
    pub async fn start() -> Self {
        let folder = Folder::new();
        let store = Store::at(folder.join("config"), folder.join("data"));
        let server = Server::start(folder.join("server"), Setting::on(Database::Sqlite)).await;
        let (foreman, _) = server.client("owner").await;
        let owner = store.owner_key().expect("a key").public();
        let env = [("FOREMAN_OWNER", owner), ("FOREMAN_LINK_LISTEN", "127.0.0.1:0".to_owned())];
        let agent = Agent::join(&foreman, &server.url, folder.join("agent"), &env).await;
        std::fs::write(agent.state.join("policy.env"), POLICY).expect("the policy is written");
        journeys::eventually("the device tells its addresses", || async {
            let device = foreman.device(agent.device).await.expect("it is there");
            device.link.filter(|link| !link.addresses.is_empty())
        })
        .await;
        let options = only(PathKind::Lan);
        let met = DeviceConnection::open(&store, Some(&foreman), agent.device, options).await;
        let known = met.expect("the device is known").known();
        Self { agent, server, foreman, store, known, folder }
    }

    /// Processor time that the device and its server have used so far.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.agent.program.pid()) + cpu_time(self.server.program.pid())
    }

    /// The SDK's connection, over this path and no other.
    pub async fn over(&self, path: PathKind) -> DeviceConnection {
        let key = self.store.client_key().expect("a key");
        let server = Some(self.foreman.clone());
        let device = DeviceConnection::new(self.known.clone(), key, None, server, only(path));
        let device = device.expect("a connection");
        let mut states = device.watch();
        let reached = states.wait_for(|state| state.kind == Some(path));
        soon("the device is reached", reached).await.expect("it is watched");
        device
    }

    /// A link of its own straight to the device, opened as the SDK opens them.
    pub async fn link(&self) -> Client {
        let way = connect_tcp(&self.known.addresses[0]).await.expect("the device listens");
        let link_key = verify_link_key(&self.known.key, &self.known.identity, None).expect("its own key");
        let keys = ClientKeys {
            secret: self.store.client_key().expect("a key"),
            device: decode_key(&self.known.identity).expect("a key"),
            link_key,
        };
        let hello = Hello::new(self.known.grant.clone().expect("the owner's own"), "lan");
        sealed(way, &keys, &hello).await
    }
}

/// A client over a sealed channel.
pub async fn sealed<W: Way + 'static>(way: W, keys: &ClientKeys, hello: &Hello) -> Client {
    let (channel, _) = channel::connect(way, keys, hello).await.expect("the device lets it in");
    Client::start(channel).await.expect("HTTP/2 begins")
}

fn only(path: PathKind) -> DeviceOptions {
    DeviceOptions { only: Some(vec![path]), mdns: false, ..DeviceOptions::default() }
}

/// One request, and the bytes of its answer.
pub async fn get(client: &Client, path: &str) -> u64 {
    let request = axum::http::Request::get(path).body(Body::empty()).expect("a path");
    let response = client.request(request).await.expect("an answer");
    assert!(response.status().is_success(), "{path}: {}", response.status());
    length(axum::body::Body::new(response.into_body()).into_data_stream()).await
}

/// Reads a stream to its end and lets it go.
async fn length(mut pieces: impl Stream<Item = Result<axum::body::Bytes, axum::Error>> + Unpin) -> u64 {
    let mut length = 0;
    while let Some(piece) = pieces.next().await {
        length += piece.expect("the answer goes on").len() as u64;
    }
    length
}
