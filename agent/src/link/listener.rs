//! The one port of this device: it hears links as they are, and links inside a WebSocket, as Cloudflare and
//! `tailscale serve` hand them on. Whoever speaks anything else learns nothing.

mod web;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use foreman_link::channel::is_link_preamble;
use foreman_protocol::LINK_PORT;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncReadExt, join},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::door::{Door, Entry, Via};

/// From a connection to its first words.
const FIRST_WORDS: Duration = Duration::from_secs(10);
/// When the usual port is taken, these are tried before any free one.
const NEXT_PORTS: u16 = 16;
/// Callers whom the system lets wait.
const WAITING: i32 = 1024;
/// After an accept that failed: too many open files, mostly.
const RECOVER: Duration = Duration::from_millis(100);

/// Where to listen. As text: an address, a port, `usual`, or `none`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// On every address at the usual port, or the next that is free.
    #[default]
    Usual,
    /// There and nowhere else.
    At(SocketAddr),
    Off,
}

impl FromStr for Listen {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        match text.to_ascii_lowercase().as_str() {
            "none" => return Ok(Self::Off),
            "usual" => return Ok(Self::Usual),
            _ => {}
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::At(address));
        }
        if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
            return Ok(Self::At(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))));
        }
        bail!(
            "{text:?} is no address to listen at: write one like 0.0.0.0:{LINK_PORT}, a port, `usual`, or `none`"
        )
    }
}

impl TryFrom<String> for Listen {
    type Error = anyhow::Error;

    fn try_from(text: String) -> anyhow::Result<Self> {
        text.parse()
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        match listen {
            Listen::Usual => "usual".to_owned(),
            Listen::At(address) => address.to_string(),
            Listen::Off => "none".to_owned(),
        }
    }
}

/// The open port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Opens the port; `None` when there is to be none, or when the usual one cannot be had in any way: the other
    /// ways work without it.
    ///
    /// # Errors
    /// With one sentence, when the address that somebody named cannot be had.
    pub async fn bind(listen: Listen) -> anyhow::Result<Option<Self>> {
        let socket = match listen {
            Listen::Off => return Ok(None),
            Listen::At(address) => at(address).with_context(|| {
                format!(
                    "Cannot listen at {address} for the device link. Nothing was changed. Name another address with \
                     --link-listen, or `none`"
                )
            })?,
            Listen::Usual => match usual() {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::warn!(%error, "no port for the device link can be opened: it is reached by other ways");
                    return Ok(None);
                }
            },
        };
        let address = socket.local_addr().context("The address of the device link cannot be told")?;
        tracing::info!(%address, "the device link listens");
        Ok(Some(Self { socket, address }))
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for as long as it is polled.
    pub(super) async fn serve(self, door: &Arc<Door>) {
        let mut callers = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, from)) => {
                        // Before anything is made for it.
                        if let Some(entry) = door.enter(from.ip()) {
                            callers.spawn(hear(Arc::clone(door), stream, from.ip(), entry));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a caller could not be taken");
                        tokio::time::sleep(RECOVER).await;
                    }
                },
                Some(_) = callers.join_next() => {}
            }
        }
    }
}

fn usual() -> io::Result<TcpListener> {
    let everywhere = |port| at(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    for port in LINK_PORT..LINK_PORT + NEXT_PORTS {
        match everywhere(port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    everywhere(0)
}

/// Listens there. Every address of IPv6 means those of IPv4 too, and only those where this machine has no IPv6.
fn at(address: SocketAddr) -> io::Result<TcpListener> {
    match bound(address) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse && address.ip() == Ipv6Addr::UNSPECIFIED => {
            let four = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            // The first error is of the address that was asked for.
            bound(four).map_err(|_| error)
        }
        bound => bound,
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Systems differ in what they begin with.
        socket.set_only_v6(false)?;
    }
    // On Windows it would let others listen at the same port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING)?;
    TcpListener::from_std(socket.into())
}

async fn hear(door: Arc<Door>, mut stream: TcpStream, from: IpAddr, entry: Entry) {
    // A keystroke is a packet of its own.
    let _ = stream.set_nodelay(true);
    let Ok(Ok((first, is_link))) = timeout(FIRST_WORDS, first_words(&mut stream)).await else { return };
    let (read, write) = stream.into_split();
    let whole = join(io::Cursor::new(first).chain(read), write);
    if is_link {
        let Some(admitted) = door.judge(entry, from.into()) else { return };
        door.serve(whole, from.into(), Via::Listener, admitted).await;
    } else {
        web::answer(door, whole, from, entry).await;
    }
}

/// As many bytes as it takes to tell a link from something else.
async fn first_words(stream: &mut TcpStream) -> io::Result<(Vec<u8>, bool)> {
    let mut first = [0; 4];
    let mut length = 0;
    loop {
        if let Some(is_link) = is_link_preamble(&first[..length]) {
            return Ok((first[..length].to_vec(), is_link));
        }
        match stream.read(&mut first[length..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => length += more,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use foreman_link::grant::Issuer;
    use tokio::{io::AsyncWriteExt, time::Instant};

    use super::*;
    use crate::{link::gate::Gate, state::State};

    #[test]
    fn people_write_addresses_in_few_ways() {
        let at = |text: &str| Listen::At(text.parse().unwrap());
        for (text, expected) in [
            ("none", Listen::Off),
            ("usual", Listen::Usual),
            ("0.0.0.0:9981", at("0.0.0.0:9981")),
            (" [::]:7 ", at("[::]:7")),
            ("7000", at("[::]:7000")),
            (":7000", at("[::]:7000")),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap(), expected);
        }
        for wrong in ["", "here", "1.2.3.4", "70000", "1.2.3.4:70000"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_said_in_one_sentence() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = Listener::bind(Listen::At(taken.local_addr().unwrap())).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("Cannot listen at 127.0.0.1:") && text.contains("--link-listen"), "{text}");
        assert!(Listener::bind(Listen::Off).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn callers_of_both_families_are_heard_at_one_port() {
        for listen in [Listen::Usual, "0".parse().unwrap()] {
            let listener = Listener::bind(listen).await.unwrap().unwrap();
            let port = listener.address().port();
            for local in ["127.0.0.1", "::1"] {
                let (called, heard) =
                    tokio::join!(TcpStream::connect((local, port)), listener.socket.accept());
                let (near, (_, from)) = (called.unwrap(), heard.unwrap());
                assert_eq!(from.ip().to_canonical(), near.local_addr().unwrap().ip());
            }
        }
        let four = Listener::bind("0.0.0.0:0".parse().unwrap()).await.unwrap().unwrap();
        assert!(TcpStream::connect(("::1", four.address().port())).await.is_err(), "as somebody asked");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_says_nothing_is_let_go_after_ten_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let gate = Gate::new(&State::at(dir.path().to_owned()), Issuer::generate(), &[]);
        let door = Arc::new(Door::new(gate, Router::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for words in [b"".as_slice(), b"FM"] {
            let (called, accepted) =
                tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
            let (mut called, (stream, from)) = (called.unwrap(), accepted.unwrap());
            called.write_all(words).await.unwrap();
            let (entry, since) = (door.enter(from.ip()).unwrap(), Instant::now());
            let heard = timeout(2 * FIRST_WORDS, hear(Arc::clone(&door), stream, from.ip(), entry));
            heard.await.expect("it is let go");
            assert_eq!(since.elapsed().as_secs(), 10);
            // Closed, or cut off for what was never read.
            assert_eq!(called.read(&mut [0; 1]).await.unwrap_or_default(), 0);
        }
    }

    #[tokio::test]
    async fn the_usual_port_may_be_taken() {
        let first = Listener::bind(Listen::Usual).await.unwrap().unwrap();
        let second = Listener::bind(Listen::Usual).await.unwrap().unwrap();
        assert_ne!(first.address().port(), second.address().port());
    }
}
