//! Where connections to providers lead: straight there, or through the HTTP proxy that the environment names.
//!
//! What is asked with TLS leaves its name to the proxy, which alone may know it; wherever that leads, nothing but a
//! greeting is sent there until a certificate has proved whose place it is. What is asked in clear is looked up and
//! looked at here, and the proxy is told the address.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};

use axum::http::{Uri, uri::Scheme};
use foreman_link::{
    carrier::{AnyWay, Dialer},
    h2::BoxError,
};
use futures_util::{FutureExt, future::BoxFuture};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector, dns::Name},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tower_service::Service;

use crate::providers::address::{is_forbidden, is_private};

/// Opens what TLS or a request in clear is then sent on.
#[derive(Clone)]
pub struct Onward {
    pub tcp: HttpConnector<Guard>,
    pub guard: Guard,
    pub dialer: Dialer,
}

impl Onward {
    async fn open(mut self, to: Uri) -> Result<TokioIo<Stream>, BoxError> {
        // An address in place of a name is looked up nowhere.
        let host = to.host().unwrap_or_default().trim_matches(['[', ']']);
        if host.parse().is_ok_and(|ip| !self.guard.allows(ip)) {
            return Err(NotAsked(self.guard.plain).into());
        }
        if !self.dialer.is_direct(&to) {
            let known = match to.scheme() == Some(&Scheme::HTTPS) {
                true => to.clone(),
                false => self.looked_up(&to).await?,
            };
            // Of a name in clear, what its address is may say that there is no proxy for it.
            if let Some(way) = self.dialer.through_proxy(&known).await? {
                return Ok(TokioIo::new(Stream::new(Carried::Proxied(way))));
            }
        }
        let direct = self.tcp.call(to).await?;
        Ok(TokioIo::new(Stream::new(Carried::Direct(direct.into_inner()))))
    }

    /// The same place by its address.
    async fn looked_up(&self, to: &Uri) -> Result<Uri, BoxError> {
        let host = to.host().unwrap_or_default().trim_matches(['[', ']']);
        let first = self.guard.allowed(host).await?.into_iter().next();
        let mut at = first.ok_or(NotAsked(self.guard.plain))?;
        at.set_port(to.port_u16().unwrap_or(80));
        Ok(Uri::builder().scheme(Scheme::HTTP).authority(at.to_string()).path_and_query("/").build()?)
    }
}

impl Service<Uri> for Onward {
    type Response = TokioIo<Stream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        self.clone().open(to).boxed()
    }
}

/// A connection to a provider.
///
/// Whoever refuses a long request may answer in the midst of it and take no more. What was said is then still to be read,
/// and reading tells that it is the end: the rest of the request goes nowhere, and is no error.
pub struct Stream {
    carried: Carried,
    /// Nothing that is sent arrives any more.
    deaf: bool,
}

enum Carried {
    Direct(TcpStream),
    Proxied(AnyWay),
}

impl Stream {
    const fn new(carried: Carried) -> Self {
        Self { carried, deaf: false }
    }

    /// What came of sending so many bytes.
    fn sent(&mut self, sent: Poll<io::Result<usize>>, bytes: usize) -> Poll<io::Result<usize>> {
        match sent {
            Poll::Ready(Err(error)) if is_closed(&error) => {
                self.deaf = true;
                Poll::Ready(Ok(bytes))
            }
            sent => sent,
        }
    }

    /// The same for what sends nothing itself.
    fn passed_on(&mut self, passed_on: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        self.sent(passed_on.map_ok(|()| 0), 0).map_ok(|_| ())
    }
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        // Of a tunnel through a proxy nothing is different for what goes through.
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carried {
            Carried::Direct(stream) => Pin::new(stream).poll_read(cx, into),
            Carried::Proxied(way) => Pin::new(way).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.deaf {
            return Poll::Ready(Ok(from.len()));
        }
        let sent = match &mut this.carried {
            Carried::Direct(stream) => Pin::new(stream).poll_write(cx, from),
            Carried::Proxied(way) => Pin::new(way).poll_write(cx, from),
        };
        this.sent(sent, from.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let bytes = || from.iter().map(|slice| slice.len()).sum();
        if this.deaf {
            return Poll::Ready(Ok(bytes()));
        }
        let sent = match &mut this.carried {
            Carried::Direct(stream) => Pin::new(stream).poll_write_vectored(cx, from),
            Carried::Proxied(way) => Pin::new(way).poll_write_vectored(cx, from),
        };
        this.sent(sent, bytes())
    }

    fn is_write_vectored(&self) -> bool {
        match &self.carried {
            Carried::Direct(stream) => stream.is_write_vectored(),
            Carried::Proxied(way) => way.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.deaf {
            return Poll::Ready(Ok(()));
        }
        let flushed = match &mut this.carried {
            Carried::Direct(stream) => Pin::new(stream).poll_flush(cx),
            Carried::Proxied(way) => Pin::new(way).poll_flush(cx),
        };
        this.passed_on(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carried {
            Carried::Direct(stream) => Pin::new(stream).poll_shutdown(cx),
            Carried::Proxied(way) => Pin::new(way).poll_shutdown(cx),
        }
    }
}

/// Leaves out the addresses that are never asked.
#[derive(Clone, Copy)]
pub struct Guard {
    pub plain: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("its name leads to an address that is not asked{}", if *.0 { " without https" } else { "" })]
struct NotAsked(bool);

impl Guard {
    fn allows(self, ip: IpAddr) -> bool {
        !is_forbidden(ip) && (!self.plain || is_private(ip))
    }

    /// Where a name leads, less what is never asked; never nothing.
    async fn allowed(self, name: &str) -> Result<Vec<SocketAddr>, BoxError> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        let asked: Vec<SocketAddr> = found.filter(|at| self.allows(at.ip())).collect();
        if asked.is_empty() {
            return Err(NotAsked(self.plain).into());
        }
        Ok(asked)
    }
}

impl Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guard = *self;
        Box::pin(async move { Ok(guard.allowed(name.as_str()).await?.into_iter()) })
    }
}

/// Elsewhere a machine has but one address within itself, and a reset takes along what came before it.
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
