//! Making ways: names, TCP, proxies, TLS and the WebSocket upgrade, all within one time-out.

use std::sync::{Arc, OnceLock};

use hyper::{HeaderMap, Uri, http::uri::Scheme};
use hyper_util::client::proxy::matcher::Matcher;
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    net::{TcpStream, ToSocketAddrs},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{AnyWay, Way, tunnel, unreachable};
use crate::http::{CONNECT_TIMEOUT, ProxySettings, RequestError};

/// Opens ways. Make one for a process and clone it: the system's certificates are read once, when the first way needs
/// them.
#[derive(Clone)]
pub struct Dialer {
    tls: Arc<OnceLock<TlsConnector>>,
    proxies: Arc<Matcher>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dialer")
    }
}

impl Dialer {
    /// With the proxies that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name, as
    /// [`crate::http::client`] takes them.
    ///
    /// # Errors
    /// When a proxy's address cannot be understood.
    pub fn from_environment() -> Result<Self, RequestError> {
        Self::new(|name| std::env::var(name).ok())
    }

    /// With the proxies that these variables name; see [`Dialer::from_environment`].
    ///
    /// # Errors
    /// The same.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self, RequestError> {
        let ProxySettings { http, https, direct } = ProxySettings::read(variable);
        // The matcher leaves out what it cannot understand, and would go directly.
        let understood = |proxy: &String| {
            let alone = Matcher::builder().all(proxy.clone()).build();
            alone.intercept(&Uri::from_static("http://somewhere.invalid")).is_some()
        };
        if ![&http, &https].into_iter().flatten().all(understood) {
            let message = "a proxy's address in the environment cannot be understood".to_owned();
            return Err(RequestError::Invalid { message });
        }
        let proxies = Matcher::builder()
            .http(http.unwrap_or_default())
            .https(https.unwrap_or_default())
            .no(direct)
            .build();
        Ok(Self { tls: Arc::default(), proxies: Arc::new(proxies) })
    }

    fn tls(&self) -> Result<&TlsConnector, RequestError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let unusable = |error: rustls::Error| RequestError::Invalid {
            message: format!("the system's certificates cannot be used: {error}"),
        };
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_platform_verifier()
            .map_err(unusable)?
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Who comes second made it for nothing.
        Ok(self.tls.get_or_init(|| TlsConnector::from(Arc::new(tls))))
    }

    /// A WebSocket as a byte stream. `address` begins with `http`, `https`, `ws` or `wss`; secrets belong into
    /// `headers`.
    ///
    /// # Errors
    /// `Refused` when a Foreman server says no; see [`RequestError`].
    pub async fn connect_websocket(
        &self,
        address: &str,
        headers: HeaderMap,
    ) -> Result<impl Way + use<>, RequestError> {
        let address = http_address(address)?;
        in_time(async {
            let way = self.way_to(&address).await?;
            tunnel::websocket(way, &address, headers).await
        })
        .await
    }

    /// The same for what is said in messages: with room for the longest one read gives one whole message, and one write of
    /// at most 64 KiB sends one.
    ///
    /// # Errors
    /// As [`Dialer::connect_websocket`].
    pub async fn connect_messages(
        &self,
        address: &str,
        headers: HeaderMap,
    ) -> Result<impl Way + use<>, RequestError> {
        let address = http_address(address)?;
        in_time(async {
            let way = self.way_to(&address).await?;
            tunnel::messages(way, &address, headers).await
        })
        .await
    }

    async fn way_to(&self, address: &Uri) -> Result<AnyWay, RequestError> {
        let (host, port) = host_and_port(address)?;
        let way: AnyWay = match self.through_proxy(address).await? {
            None => Box::new(tcp((host, port), host).await?),
            Some(way) => way,
        };
        if address.scheme() == Some(&Scheme::HTTPS) { self.encrypted(way, host).await } else { Ok(way) }
    }

    /// Whether no proxy is used for this `http` or `https` address.
    #[must_use]
    pub fn is_direct(&self, address: &Uri) -> bool {
        self.proxies.intercept(address).is_none()
    }

    /// The way to this `http` or `https` address through the proxy that the environment names for it, before any TLS;
    /// `None` when it is reached directly. It takes as long as it takes.
    ///
    /// # Errors
    /// When the proxy is not reached, says no, or is of a kind that cannot be used.
    pub async fn through_proxy(&self, address: &Uri) -> Result<Option<AnyWay>, RequestError> {
        let Some(proxy) = self.proxies.intercept(address) else { return Ok(None) };
        let (_, port) = host_and_port(address)?;
        let (proxy_host, proxy_port) = host_and_port(proxy.uri())?;
        let kind = proxy.uri().scheme_str().unwrap_or_default();
        if kind.starts_with("socks") {
            let message = format!("a {kind} proxy cannot be used, an HTTP proxy can");
            return Err(RequestError::Invalid { message });
        }
        let reached = tcp((proxy_host, proxy_port), &format!("the proxy {proxy_host}:{proxy_port}")).await;
        let mut way: AnyWay = Box::new(reached?);
        if kind == "https" {
            way = self.encrypted(way, proxy_host).await?;
        }
        let authority = format!("{}:{port}", address.host().unwrap_or_default());
        Ok(Some(Box::new(tunnel::through_proxy(way, &authority, proxy.basic_auth()).await?)))
    }

    async fn encrypted(&self, way: AnyWay, host: &str) -> Result<AnyWay, RequestError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| RequestError::Invalid { message: format!("{host} is no name of a server") })?;
        let sealed = self.tls()?.connect(name, way).await;
        Ok(Box::new(sealed.map_err(|error| unreachable("no TLS", host, &error))?))
    }
}

/// A TCP connection to `host:port` that does not hold small writes back.
///
/// # Errors
/// When nobody answers there within 10 s.
pub async fn connect_tcp(address: &str) -> Result<TcpStream, RequestError> {
    in_time(tcp(address, address)).await
}

async fn tcp(address: impl ToSocketAddrs, place: &str) -> Result<TcpStream, RequestError> {
    let connected = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    connected.await.map_err(|error: std::io::Error| unreachable("cannot connect", place, &error))
}

async fn in_time<T>(way: impl Future<Output = Result<T, RequestError>>) -> Result<T, RequestError> {
    timeout(CONNECT_TIMEOUT, way).await.map_err(|_| RequestError::Unreachable {
        message: format!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs()),
    })?
}

/// The address with `http` or `https`, which proxies are named by.
fn http_address(address: &str) -> Result<Uri, RequestError> {
    let invalid = || RequestError::Invalid { message: format!("{address} is not an address of a server") };
    let (scheme, rest) = address.split_once("://").ok_or_else(invalid)?;
    let scheme = match scheme {
        "ws" | "http" => "http",
        "wss" | "https" => "https",
        _ => return Err(invalid()),
    };
    format!("{scheme}://{rest}").parse().map_err(|_| invalid())
}

/// Without the brackets of an IPv6 address.
fn host_and_port(address: &Uri) -> Result<(&str, u16), RequestError> {
    let host = address
        .host()
        .ok_or_else(|| RequestError::Invalid { message: format!("{address} names no server") })?;
    let usual = if address.scheme_str() == Some("https") { 443 } else { 80 };
    Ok((host.trim_start_matches('[').trim_end_matches(']'), address.port_u16().unwrap_or(usual)))
}
