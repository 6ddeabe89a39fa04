//! A device's real link with a stand-in for its API behind it, and a stand-in for its server: a splice for the relay,
//! and the same API again for what goes through the server.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{
        Path, Request, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
    routing::{any, get},
};
use foreman_client::device::{NewGrant, Pace, make_grant};
use foreman_client::{DeviceConnection, DeviceOptions, Foreman, KnownDevice, PathKind, PathState};
use foreman_link::{
    carrier::{Frame, MessageStream, Wording},
    channel::{self, DeviceKeys},
    grant::{Issuer, LinkSecret, Revocations, Trust, read_grant, sign_link_key, verify_grant},
    h2,
};
use foreman_protocol::{DeviceId, Level};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tower::ServiceExt;

use crate::api::Api;

/// The way a request came, as the link told the device.
#[derive(Clone, Debug)]
pub struct Came(pub String);

#[derive(Clone)]
pub struct Scene {
    pub id: DeviceId,
    pub owner: Issuer,
    pub client: LinkSecret,
    pub api: Api,
    identity: Issuer,
    link: Arc<Mutex<(LinkSecret, u64)>>,
    router: Router,
    /// Where the server says that the device is.
    addresses: Arc<Mutex<Vec<String>>>,
    /// The device's clock.
    pub now: Arc<AtomicI64>,
    /// Grants that the server carries.
    carried: Arc<Mutex<Vec<serde_json::Value>>>,
}

/// Something that listens, until it is dropped or cut.
pub struct Listening {
    pub address: String,
    task: JoinHandle<()>,
}

impl Listening {
    /// Ends all connections, and takes no new ones.
    pub async fn cut(self) {
        self.task.abort();
        let _ = (&mut { self }.task).await;
    }
}

impl Listening {
    /// Something in front of it that carries, and once it is told to neither carries nor closes anything.
    pub async fn behind_one_that_falls_silent(&self) -> (Self, watch::Sender<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (silence, silent) = watch::channel(false);
        let behind = self.address.clone();
        let task = tokio::spawn(async move {
            let mut callers = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (behind, mut silent) = (behind.clone(), silent.clone());
                callers.spawn(async move {
                    let mut far = TcpStream::connect(behind).await.unwrap();
                    let told = async { silent.wait_for(|silent| *silent).await.is_ok() };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = told => std::future::pending().await,
                    }
                });
            }
        });
        (Self { address, task }, silence)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scene {
    pub fn new() -> Self {
        let api = Api::default();
        Self {
            id: DeviceId::fresh(),
            owner: Issuer::generate(),
            client: LinkSecret::generate(),
            router: api.router(),
            api,
            identity: Issuer::generate(),
            link: Arc::new(Mutex::new((LinkSecret::generate(), 1))),
            addresses: Arc::default(),
            now: Arc::new(AtomicI64::new(1)),
            carried: Arc::default(),
        }
    }

    /// The device as its server tells of it.
    pub fn device(&self) -> serde_json::Value {
        let (key, serial) = self.link.lock().unwrap().clone();
        json!({
            "id": self.id, "name": "anvil", "type": "inference", "status": "online", "status_since": 1, "created_at": 1,
            "version": 1, "link": {
                "identity": self.identity.public(),
                "key": sign_link_key(key.public(), serial, &self.identity),
                "addresses": *self.addresses.lock().unwrap(), "server_level": "operate",
            },
        })
    }

    /// The record of a client that has a grant of the owner.
    pub fn known(&self) -> KnownDevice {
        let mut known =
            KnownDevice::first_met(&serde_json::from_value(self.device()).unwrap()).unwrap().unwrap();
        known.grant = Some(self.grant(&known, &self.owner));
        known
    }

    pub fn grant(&self, known: &KnownDevice, issuer: &Issuer) -> String {
        let lasts = Duration::from_secs(3600);
        let new =
            NewGrant { client: self.client.public(), name: "test".to_owned(), level: Level::Operate, lasts };
        make_grant(issuer, known, &new).1
    }

    /// Has the server hand this grant out.
    pub fn carry(&self, signed: &str) {
        let grant = read_grant(signed).unwrap();
        self.carried.lock().unwrap().push(json!({ "signed": signed, "grant": grant }));
    }

    /// Makes a new link key; the one before is dead at once.
    pub fn rotate(&self) {
        let mut link = self.link.lock().unwrap();
        *link = (LinkSecret::generate(), link.1 + 1);
    }

    pub fn tell_addresses(&self, addresses: &[&Listening]) {
        *self.addresses.lock().unwrap() = addresses.iter().map(|one| one.address.clone()).collect();
    }

    /// The device on the local network.
    pub async fn lan(&self) -> Listening {
        self.lan_at("127.0.0.1:0").await
    }

    pub async fn lan_at(&self, address: &str) -> Listening {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let scene = self.clone();
        let task = tokio::spawn(async move {
            let mut callers = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                callers.spawn(scene.clone().answer(stream));
            }
        });
        Listening { address, task }
    }

    async fn answer(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let keys = DeviceKeys {
            identity: self.identity.public_bytes(),
            secret: self.link.lock().unwrap().0.clone(),
        };
        let (issuers, identity) = ([self.owner.public()], self.identity.public());
        let now = self.now.load(Relaxed);
        let checked = channel::accept(stream, &keys, |client, hello| {
            let revocations = Revocations::default();
            let trust =
                Trust { issuers: &issuers, device: &identity, client, now, revocations: &revocations };
            verify_grant(&hello.grant, &trust)
        });
        if let Ok(accepted) = checked.await {
            let came = Came(accepted.hello.path.clone());
            let _ = h2::serve(accepted.channel, self.router.clone(), came, std::future::pending()).await;
        }
    }

    /// The server.
    pub async fn server(&self) -> (Foreman, Listening) {
        let one = |State(scene): State<Scene>| async move { Json(scene.device()) };
        let grants = |State(scene): State<Scene>| async move {
            Json(json!({ "items": *scene.carried.lock().unwrap() }))
        };
        let router = Router::new()
            .route("/api/v1/devices/{id}", get(one))
            .route("/api/v1/devices/{id}/grants", get(grants))
            .route("/api/v1/devices/{id}/relay", get(relay))
            .route("/api/v1/devices/{id}/link/terminals/{terminal}/attach", get(attach))
            .route("/api/v1/devices/{id}/link/{*path}", any(through))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let foreman = Foreman::new(&format!("http://{address}"), "secret").unwrap();
        // Each connection is a task of its own that ends with the set, unlike those of `axum::serve`.
        let task = tokio::spawn(async move {
            let mut callers = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .with_upgrades();
                callers.spawn(async move { drop(connection.await) });
            }
        });
        (foreman, Listening { address, task })
    }

    pub fn connect(&self, known: KnownDevice, server: Option<&Foreman>) -> DeviceConnection {
        DeviceConnection::new(known, self.client.clone(), None, server.cloned(), options()).unwrap()
    }
}

/// As people have it, only more impatient; nothing is asked of the network around.
pub fn options() -> DeviceOptions {
    let pace = Pace {
        first_look: Duration::from_millis(50),
        look: Duration::from_millis(100),
        // Paths are closed here, not silent: what takes long is a busy machine.
        patience: Duration::from_secs(30),
        ..Pace::default()
    };
    DeviceOptions { mdns: false, pace, ..DeviceOptions::default() }
}

/// Waits until the device is reached so.
pub async fn reached(device: &DeviceConnection, kind: PathKind) -> PathState {
    let mut states = device.watch();
    let reached = states.wait_for(|state| state.kind == Some(kind));
    match tokio::time::timeout(Duration::from_secs(60), reached).await {
        Ok(state) => state.unwrap().clone(),
        Err(_) => panic!("never over {kind:?}: {:?}", device.path()),
    }
}

async fn relay(State(scene): State<Scene>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async move |socket| {
        let wording = Wording {
            read: |message| match message {
                Message::Binary(data) => Frame::Data(data),
                Message::Close(_) => Frame::Close,
                _ => Frame::Other,
            },
            write: |frame| match frame {
                Frame::Data(data) => Message::Binary(data),
                _ => Message::Ping(bytes::Bytes::new()),
            },
        };
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        let mut client = MessageStream::<WebSocket, Message>::new(socket, wording);
        tokio::join!(scene.answer(far), async {
            let _ = tokio::io::copy_bidirectional(&mut client, &mut near).await;
            drop(near);
        });
    })
}

async fn through(State(scene): State<Scene>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let whole = parts.uri.path_and_query().unwrap().as_str();
    parts.uri = whole.split_once("/link").unwrap().1.parse().unwrap();
    let mut request = Request::from_parts(parts, body);
    request.extensions_mut().insert(Came("server".to_owned()));
    scene.router.oneshot(request).await.unwrap()
}

/// One binary message is one frame without its length.
async fn attach(
    State(scene): State<Scene>,
    Path((_, terminal)): Path<(String, String)>,
    upgrade: WebSocketUpgrade,
    request: Request<Body>,
) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    upgrade.on_upgrade(async move |mut socket| {
        let (sender, body) = h2::Body::channel();
        let request = Request::post(format!("/terminals/{terminal}/attach?{query}"))
            .extension(Extension(Came("server".to_owned())))
            .body(Body::new(body))
            .unwrap();
        let mut answer = crate::api::unframed(scene.router.oneshot(request).await.unwrap().into_body());
        loop {
            tokio::select! {
                frame = futures_util::StreamExt::next(&mut answer) => match frame {
                    Some(frame) => socket.send(Message::Binary(frame)).await.unwrap(),
                    None => return,
                },
                message = socket.recv() => match message {
                    Some(Ok(Message::Binary(frame))) => {
                        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
                        sender.send([&length[..], &frame].concat().into()).await;
                    }
                    Some(Ok(_)) => {}
                    _ => return,
                },
            }
        }
    })
}
