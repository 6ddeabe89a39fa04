//! The edge of a network that a device dialled out to: TLS for the device's name there, and a look at who comes, before
//! anything is handed on to the device's own machine. Cloudflare's asks for a service token, a tailnet's for nothing.

use std::sync::{Arc, Mutex, PoisonError};

use journeys::{
    cloudflare::{AtTheEdge, Cloudflare},
    network::{Host, Network},
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};
use tokio_rustls::TlsAcceptor;

/// Where Access sends whoever is to sign in.
const LOGIN: &str = "https://foreman.cloudflareaccess.com/cdn-cgi/access/login";
/// No head of ours is longer, in bytes.
const MOST_HEAD: usize = 16 * 1024;

/// What runs on the device's machine and has dialled out: connects to services there for the edge.
#[derive(Clone)]
pub struct DialledOut(mpsc::Sender<(String, oneshot::Sender<std::net::TcpStream>)>);

impl DialledOut {
    pub fn from(network: &Network, host: Host) -> Self {
        let (ask, mut asked) = mpsc::channel::<(String, oneshot::Sender<std::net::TcpStream>)>(8);
        network.spawn(host, async move {
            while let Some((place, answer)) = asked.recv().await {
                let Ok(stream) = TcpStream::connect(&place).await else { continue };
                let _ = answer.send(stream.into_std().expect("a socket"));
            }
        });
        Self(ask)
    }

    /// `service` as an ingress names it: `http://localhost:9981`.
    async fn connect(&self, service: &str) -> Option<TcpStream> {
        let place = service.strip_prefix("http://").expect("an ingress of the agent's").to_owned();
        let (answer, answered) = oneshot::channel();
        self.0.send((place, answer)).await.ok()?;
        Some(TcpStream::from_std(answered.await.ok()?).expect("a socket"))
    }
}

/// Who decides whether somebody is let through, and to where.
#[derive(Clone)]
pub enum Guard {
    Cloudflare(Cloudflare),
    /// A tailnet lets all its members through to this service.
    Tailnet(String),
}

impl Guard {
    fn decide(&self, head: &Head) -> AtTheEdge {
        match self {
            Self::Tailnet(service) => AtTheEdge::Through(service.clone()),
            Self::Cloudflare(cloudflare) => {
                let id = head.field("cf-access-client-id");
                let shown = id.zip(head.field("cf-access-client-secret"));
                cloudflare.at_the_edge(head.field("host").unwrap_or_default(), shown)
            }
        }
    }
}

/// What the edge did with those who came, in order.
#[derive(Clone, Default)]
pub struct Came(Arc<Mutex<Vec<(AtTheEdge, Head)>>>);

impl Came {
    fn add(&self, outcome: AtTheEdge, head: Head) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((outcome, head));
    }

    pub fn all(&self) -> Vec<(AtTheEdge, Head)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn let_through(&self) -> usize {
        self.all().iter().filter(|(outcome, _)| matches!(outcome, AtTheEdge::Through(_))).count()
    }

    pub fn turned_away(&self) -> usize {
        self.all().len() - self.let_through()
    }
}

/// The lines of a request before its body.
#[derive(Debug, Clone)]
pub struct Head(Vec<String>);

impl Head {
    async fn read(way: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") && bytes.len() < MOST_HEAD {
            bytes.push(way.read_u8().await.ok()?);
        }
        let text = String::from_utf8(bytes).ok()?;
        Some(Self(text.trim_end().lines().map(str::to_owned).collect()))
    }

    pub fn field(&self, wanted: &str) -> Option<&str> {
        let fields = self.0.iter().filter_map(|line| line.split_once(':'));
        fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()).next()
    }

    /// As it is handed on: what was for the edge stays there, and it says who came.
    fn handed_on(&self, from: &str) -> String {
        let lines = self.0.iter().filter(|line| !line.to_lowercase().starts_with("cf-access-"));
        let lines: Vec<_> = lines.map(String::as_str).collect();
        format!("{}\r\nCF-Connecting-IP: {from}\r\n\r\n", lines.join("\r\n"))
    }
}

/// An edge, for as long as it is polled.
pub struct Edge {
    pub tls: ServerConfig,
    pub guard: Guard,
    pub device: DialledOut,
    pub came: Came,
}

impl Edge {
    /// Serves at `host:port` of the network where it is polled.
    pub async fn serve(self, place: String) {
        let tls = TlsAcceptor::from(Arc::new(self.tls));
        let listener = TcpListener::bind(place).await.expect("its address is free");
        while let Ok((near, from)) = listener.accept().await {
            let (tls, guard) = (tls.clone(), self.guard.clone());
            let (device, came) = (self.device.clone(), self.came.clone());
            tokio::spawn(async move {
                let Ok(mut near) = tls.accept(near).await else { return };
                let Some(head) = Head::read(&mut near).await else { return };
                let outcome = guard.decide(&head);
                came.add(outcome.clone(), head.clone());
                let far = match &outcome {
                    AtTheEdge::Through(service) => device.connect(service).await,
                    _ => None,
                };
                let Some(mut far) = far else {
                    let _ = near.write_all(no(&outcome, &head).as_bytes()).await;
                    let _ = near.shutdown().await;
                    return;
                };
                let head = head.handed_on(&from.ip().to_string());
                if far.write_all(head.as_bytes()).await.is_ok() {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    }
}

/// How Cloudflare says that it leads nowhere: Access leads on to its login, a name without a tunnel and a tunnel whose
/// end does not answer are errors of the edge.
fn no(outcome: &AtTheEdge, head: &Head) -> String {
    let hostname = head.field("host").unwrap_or_default();
    match outcome {
        AtTheEdge::Shut => format!(
            "HTTP/1.1 302 Found\r\nLocation: {LOGIN}/{hostname}?redirect_url=%2Flink\r\nServer: cloudflare\r\n\
             Content-Length: 0\r\n\r\n"
        ),
        AtTheEdge::Nowhere => {
            "HTTP/1.1 530 <none>\r\nServer: cloudflare\r\nContent-Length: 16\r\n\r\nerror code: 1033"
                .to_owned()
        }
        AtTheEdge::Through(_) => {
            "HTTP/1.1 502 Bad Gateway\r\nServer: cloudflare\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
    }
}
