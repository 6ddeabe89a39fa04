//! A device made of its keys: joins, listens, comes to the relay, and serves a small API over the real link.

use axum::Router;
use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use foreman_link::{
    channel::{self, Accepted, DeviceKeys},
    grant::{Issuer, LinkSecret, Revocations, Trust, sign_grant, sign_link_key, verify_grant},
    h2,
};
use foreman_protocol::{
    Capabilities, DeviceFacts, DeviceId, DeviceLink, Dial, Grant, GrantId, Hello, Level, LinkFacts,
    PROTOCOL_VERSION, Policy, RELAY_TICKET_HEADER, challenge_message,
};
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::running::{Running, json};

pub const LATER: i64 = 4_102_444_800_000;

pub type Socket = WebSocketStream<TcpStream>;

#[derive(Clone)]
pub struct TestDevice {
    pub id: DeviceId,
    pub bearer: String,
    pub identity: Issuer,
    pub secret: LinkSecret,
    /// The server's link key, as it was told.
    pub server_key: String,
    /// Its agent goes by the grant alone.
    pub is_old: bool,
    url: String,
    http: reqwest::Client,
    /// Changes when links are to break.
    breaks: tokio::sync::watch::Sender<()>,
}

impl TestDevice {
    /// Made and connected, without a word about its link.
    pub async fn join(server: &Running, admin: &str) -> Self {
        let body = json!({ "name": "jetson", "type": "gpu_compute" });
        let made = json(server.post("/api/v1/devices", body).bearer_auth(admin)).await;
        Self::connect(server, made["token"].as_str().unwrap()).await
    }

    /// Spends a connection token with a fresh identity.
    pub async fn connect(server: &Running, token: &str) -> Self {
        let key = SigningKey::from_bytes(&rand::random());
        let identity = Issuer::from(key.clone());
        let request = json!({
            "token": token, "public_key": identity.public(), "agent_version": "0.1.0",
            "protocol_version": PROTOCOL_VERSION,
        });
        let connected = json(server.post("/api/v1/devices/connect", request)).await;
        let id: DeviceId = connected["device_id"].as_str().unwrap().parse().unwrap();
        let server_key = connected["server_link_key"].as_str().unwrap().to_owned();
        let challenge = json(server.post(&format!("/api/v1/devices/{id}/challenge"), json!({}))).await;
        let challenge = challenge["challenge"].as_str().unwrap();
        let signature = STANDARD.encode(key.sign(&challenge_message(id, challenge)).to_bytes());
        let answer = json!({ "challenge": challenge, "signature": signature });
        let bearer = json(server.post(&format!("/api/v1/devices/{id}/bearer"), answer)).await;
        Self {
            id,
            bearer: bearer["bearer"].as_str().unwrap().to_owned(),
            identity,
            secret: LinkSecret::generate(),
            server_key,
            is_old: false,
            url: server.url.clone(),
            http: server.http.clone(),
            breaks: tokio::sync::watch::Sender::new(()),
        }
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/devices/{}/{rest}", self.id)
    }

    pub fn request(&self, method: Method, rest: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{}", self.url, self.path(rest))).bearer_auth(&self.bearer)
    }

    /// What it would say of its link, letting the server do this much.
    pub fn link(&self, serial: u64, level: Option<Level>) -> LinkFacts {
        LinkFacts {
            link: DeviceLink {
                identity: self.identity.public(),
                key: sign_link_key(self.secret.public(), serial, &self.identity),
                addresses: vec!["192.0.2.7:9981".to_owned()],
                tailscale: None,
                server_level: level,
            },
            server_grant: level.map(|level| self.grant(&self.identity, &self.server_key, level).1),
        }
    }

    /// A grant for this device and what was signed.
    pub fn grant(&self, issuer: &Issuer, client: &str, level: Level) -> (Grant, String) {
        let grant = Grant {
            id: GrantId::fresh(),
            device: self.identity.public(),
            client: client.to_owned(),
            name: "Mia's phone".to_owned(),
            level,
            issued_at: 1,
            expires_at: LATER,
            issuer: issuer.public(),
        };
        let signed = sign_grant(&grant, issuer);
        (grant, signed)
    }

    pub async fn tell(&self, link: Option<LinkFacts>) -> Response {
        let facts = DeviceFacts {
            capabilities: Capabilities::default(),
            policy: Policy::default(),
            agent_version: "0.1.0".to_owned(),
            protocol_version: PROTOCOL_VERSION,
            link,
        };
        self.request(Method::PUT, "facts").json(&facts).send().await.unwrap()
    }

    /// Opens the command stream.
    pub async fn listen(&self) -> Commands {
        let response = self.request(Method::GET, "commands").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut commands = Commands { response, text: String::new() };
        assert_eq!(commands.next().await.0, "ping");
        commands
    }

    /// Comes to the relay.
    pub async fn come(&self, dial: &Dial) -> Result<Socket, tungstenite::Error> {
        let url = dial.server.as_ref().unwrap_or(&self.url);
        let ticket = [(RELAY_TICKET_HEADER, dial.ticket.as_str())];
        open(url, &self.path("relay/accept"), &self.bearer, &ticket).await
    }

    /// Serves this API over the link to whoever calls, until the stream ends. Hears of each caller's first words.
    pub fn serve(&self, mut commands: Commands, api: Router) -> tokio::sync::mpsc::UnboundedReceiver<Hello> {
        let (heard, hellos) = tokio::sync::mpsc::unbounded_channel();
        let device = self.clone();
        tokio::spawn(async move {
            while let Some(dial) = commands.dial().await {
                let (device, api, heard) = (device.clone(), api.clone(), heard.clone());
                tokio::spawn(async move {
                    let accepted = device.accept(&dial).await;
                    // Nobody may want to know.
                    let _ = heard.send(accepted.hello);
                    let _ = h2::serve(accepted.channel, api, (), std::future::pending()).await;
                });
            }
        });
        hellos
    }

    /// Every link that is open breaks without a word.
    pub fn break_links(&self) {
        self.breaks.send_replace(());
    }

    async fn accept(
        &self,
        dial: &Dial,
    ) -> Accepted<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + use<>> {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let socket = self.come(dial).await.unwrap();
        let mut breaks = self.breaks.subscribe();
        tokio::spawn(async move {
            tokio::select! { () = carry(socket, &mut far) => {}, _ = breaks.changed() => {} }
        });
        let keys = DeviceKeys { identity: self.identity.public_bytes(), secret: self.secret.clone() };
        let issuers = [self.identity.public()];
        let check = |client: &str, hello: &Hello| {
            let revocations = Revocations::default();
            let trust =
                Trust { issuers: &issuers, device: &issuers[0], client, now: 2, revocations: &revocations };
            let mut grant = verify_grant(&hello.grant, &trust)?;
            if let (Some(most), false) = (hello.at_most, self.is_old) {
                grant.level = grant.level.min(most);
            }
            Ok(grant)
        };
        channel::accept(near, &keys, check).await.unwrap()
    }
}

/// Bytes of a pipe as binary messages, both ways.
async fn carry(socket: Socket, pipe: &mut tokio::io::DuplexStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut sink, mut stream) = socket.split();
    let (mut read, mut write) = tokio::io::split(pipe);
    let out = async {
        let mut bytes = vec![0; 32 * 1024];
        loop {
            match read.read(&mut bytes).await {
                Ok(some) if some > 0 => {
                    if sink.send(Message::binary(bytes[..some].to_vec())).await.is_err() {
                        return;
                    }
                }
                _ => {
                    let _ = sink.close().await;
                    return;
                }
            }
        }
    };
    let back = async {
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Binary(data) = message
                && write.write_all(&data).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! { () = out => {}, () = back => {} }
}

/// A device's command stream.
pub struct Commands {
    response: Response,
    text: String,
}

impl Commands {
    /// The next event's name and data.
    pub async fn next(&mut self) -> (String, Value) {
        self.maybe().await.expect("the command stream goes on")
    }

    async fn maybe(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
                let said = (field("event: "), serde_json::from_str(&field("data: ")).unwrap());
                self.text = rest.to_owned();
                return Some(said);
            }
            let chunk = self.response.chunk().await.ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next call; pings and commands in between are passed over.
    pub async fn dial(&mut self) -> Option<Dial> {
        loop {
            let (name, data) = self.maybe().await?;
            if name == "dial" {
                return Some(serde_json::from_value(data).unwrap());
            }
        }
    }
}

/// A WebSocket with a bearer.
pub async fn open(
    server: &str,
    path: &str,
    bearer: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, tungstenite::Error> {
    let authorization = format!("Bearer {bearer}");
    let mut all = vec![("authorization", authorization.as_str())];
    all.extend_from_slice(headers);
    open_with(server, path, &all).await
}

pub async fn open_with(
    server: &str,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, tungstenite::Error> {
    let host = server.trim_start_matches("http://");
    let mut request = format!("ws://{host}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let tcp = TcpStream::connect(host).await.unwrap();
    Ok(client_async(request, tcp).await?.0)
}

/// The problem code with which a WebSocket was refused.
pub fn refusal<T>(outcome: Result<T, tungstenite::Error>) -> (u16, Value) {
    match outcome {
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            (response.status().as_u16(), serde_json::from_slice(body).unwrap())
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was opened"),
    }
}
