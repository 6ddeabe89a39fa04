//! The HTTP clients that ask providers: pooled, following no redirects, and looking at what a name resolves to before
//! they go there. Of what a client for everything does with each request, they do nothing: they send what they are given.
//! Where a company has an HTTP proxy, they take it: [`onward`].

mod lines;
mod onward;

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{Request, Response, Uri};
use bytes::Bytes;
use foreman_link::{carrier::Dialer, h2::BoxError, http};
use futures_util::{FutureExt, future::BoxFuture};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use lines::{Answered, Lines};
use onward::{Guard, Onward, Stream};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::error::Elapsed;
use tower_service::Service;

use crate::problem::{ApiError, ApiResult};

/// A connection on which nothing comes is looked after this often, and given up when so many looks find nobody there.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_TRIES: u32 = 3;
/// What was sent is confirmed within this, or the connection is dead.
#[cfg(target_os = "linux")]
const CONFIRMED_WITHIN: Duration = Duration::from_secs(30);
/// How often a request is sent again that a provider, by its own word, has not looked at.
const AGAIN: usize = 2;

/// One client for each time-out of the connection, in clear and not.
pub struct Ways {
    made: Mutex<Vec<Arc<Way>>>,
    dialer: Dialer,
}

/// A client of one kind.
pub struct Way {
    plain: bool,
    connect: Duration,
    lines: Lines<Connector>,
}

impl Ways {
    /// `dialer` knows the proxies.
    pub fn new(dialer: Dialer) -> Self {
        Self { made: Mutex::default(), dialer }
    }

    pub fn get(&self, plain: bool, connect: Duration) -> ApiResult<Arc<Way>> {
        let mut ways = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = ways.iter().find(|way| way.plain == plain && way.connect == connect) {
            return Ok(Arc::clone(way));
        }
        let way = Arc::new(Way {
            plain,
            connect,
            lines: Lines::new(connector(plain, connect, self.dialer.clone())?),
        });
        ways.push(Arc::clone(&way));
        Ok(way)
    }
}

impl Way {
    /// Sends a request as it is and waits for the answer's head.
    ///
    /// # Errors
    /// When no connection was to be had, see [`is_late`], or it broke before there was an answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Answered>, BoxError> {
        // In clear nobody speaks HTTP/2, which alone can say that.
        let spare = (!self.plain).then(|| request.clone());
        let mut request = request;
        for _ in 0..AGAIN {
            match (self.lines.send(request).await, &spare) {
                (Err(error), Some(same)) if is_untouched(&*error) => request = same.clone(),
                (sent, _) => return sent,
            }
        }
        self.lines.send(request).await
    }
}

/// Everything that led to an error, itself first.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Whether the way there did not open in time.
pub fn is_late(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause.is::<Elapsed>()
            || cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut)
    })
}

/// What lies under all the others says what happened.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// By HTTP/2 a provider says that a request came too late for a connection, or that it will not look at it now: it may
/// be sent again, whatever it is for.
fn is_untouched(error: &(dyn Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(|error| {
        error.is_remote()
            && ((error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR))
                || (error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)))
    })
}

fn connector(plain: bool, connect: Duration, dialer: Dialer) -> ApiResult<Connector> {
    http::install_crypto_provider();
    let tls =
        ClientConfig::builder().with_platform_verifier().map_err(ApiError::internal)?.with_no_client_auth();
    let https = HttpsConnectorBuilder::new().with_tls_config(tls);
    let https = if plain { https.https_or_http() } else { https.https_only() };
    let guard = Guard { plain };
    let onward = Onward { tcp: tcp(guard, connect), guard, dialer };
    Ok(Connector { https: https.enable_all_versions().wrap_connector(onward), within: connect })
}

fn tcp<R>(names: R, connect: Duration) -> HttpConnector<R> {
    let mut tcp = HttpConnector::new_with_resolver(names);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Divided among the addresses of a name: one where nobody answers leaves time for the next.
    tcp.set_connect_timeout(Some(connect));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_EVERY));
    tcp.set_keepalive_retries(Some(KEEPALIVE_TRIES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(CONFIRMED_WITHIN));
    tcp
}

/// Opens connections: name, TCP, proxy and TLS within one time.
#[derive(Clone)]
struct Connector {
    https: HttpsConnector<Onward>,
    within: Duration,
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<Stream>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        tokio::time::timeout(self.within, self.https.call(to)).map(|opened| opened?).boxed()
    }
}
