//! Connections to providers, kept for the next request.
//!
//! One that speaks HTTP/1 belongs to a single request at a time, and whoever waits for the answer drives it: between the
//! provider's socket and the client's there is no other task to be woken, and dropping the answer closes it. One that
//! speaks HTTP/2 carries many requests and has a task of its own.

mod kept;

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, header,
    uri::{Parts, PathAndQuery, Scheme},
};
use bytes::Bytes;
use foreman_link::h2::BoxError;
use http_body_util::Full;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::{TrySendError, http1, http2},
    rt::{Read, Write},
};
use hyper_util::{
    client::legacy::connect::Connection,
    rt::{TokioExecutor, TokioTimer},
};
use kept::{Found, Kept, MANY, Place, Seat};
use tokio::{task::coop::unconstrained, time::Instant};
use tower_service::Service;

/// Of a connection for many on which nothing came for so long while it was waited for, it is asked whether anybody is
/// still there, and this is how long that may take. Else one that died unseen would take every request along.
const QUIET: Duration = Duration::from_secs(30);
const ALIVE_WITHIN: Duration = Duration::from_secs(15);
/// Of each answer on it, so much is taken before it is read, bytes; of all of them together there is room for as much,
/// so that those that nobody reads never hold up the others.
const UNREAD: u32 = 512 * 1024;

type Asked = Request<Full<Bytes>>;

/// Opens connections and keeps them.
pub struct Lines<C> {
    connector: C,
    kept: Arc<Kept>,
}

impl<C> Lines<C>
where
    C: Service<Uri, Error = BoxError> + Clone,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
{
    pub fn new(connector: C) -> Self {
        Self { connector, kept: Arc::default() }
    }

    /// Sends a request and waits for the answer's head.
    ///
    /// # Errors
    /// When there is no way there, or it broke before there was an answer.
    pub async fn send(&self, mut request: Asked) -> Result<Response<Answered>, BoxError> {
        let to = request.uri().clone();
        let (Some(scheme), Some(authority)) = (to.scheme(), to.authority()) else {
            return Err("its address has no name".into());
        };
        let place = Place(scheme.clone(), authority.clone());
        // What is only read may be read twice, where a connection broke that was kept.
        let mut spare = (request.method() == Method::GET).then(|| Box::new(request.clone()));
        while let Some(found) = self.kept.take(&place) {
            match self.over(found, &place, &to, request).await {
                Ok(answer) => return expected(answer),
                Err(mut failed) => match failed.take_message().or_else(|| spare.take().map(|same| *same)) {
                    // It was closed while nobody looked, and nothing was sent.
                    Some(again) => request = again,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        // Boxed: a request that finds a connection need not carry along the room for opening one.
        let found = Box::pin(self.open(&place, &to)).await?;
        match self.over(found, &place, &to, request).await {
            Ok(answer) => expected(answer),
            Err(failed) => Err(failed.into_error().into()),
        }
    }

    async fn open(&self, place: &Place, to: &Uri) -> Result<Found, BoxError> {
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await?;
        let io = connector.call(to.clone()).await?;
        if io.connected().is_negotiated_h2() {
            let (sender, driver) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(QUIET)
                .keep_alive_timeout(ALIVE_WITHIN)
                .initial_stream_window_size(UNREAD)
                .initial_connection_window_size(UNREAD * MANY)
                .handshake::<_, Full<Bytes>>(io)
                .await?;
            tokio::spawn(driver);
            return Ok(Found::Shared(self.kept.share(place, sender)));
        }
        let (sender, driver) = http1::handshake::<_, Full<Bytes>>(io).await?;
        Ok(Found::Own(Line { opened: Instant::now(), sender, driver: Some(Box::pin(driver)) }))
    }

    async fn over(
        &self,
        found: Found,
        place: &Place,
        to: &Uri,
        request: Asked,
    ) -> Result<Response<Answered>, TrySendError<Asked>> {
        match found {
            Found::Own(line) => self.over_own(line, place, to, request).await,
            Found::Shared(seat) => over_shared(seat, to, request).await,
        }
    }

    async fn over_own(
        &self,
        mut line: Line,
        place: &Place,
        to: &Uri,
        mut request: Asked,
    ) -> Result<Response<Answered>, TrySendError<Asked>> {
        if let Some(name) = host(place) {
            request.headers_mut().insert(header::HOST, name);
        }
        *request.uri_mut() = origin_form(to);
        // Only the driver, which is polled right here, has anything to say to it.
        let mut answer = pin!(unconstrained(line.sender.try_send_request(request)));
        let answer = poll_fn(|cx| {
            let quiet = &mut Context::from_waker(Waker::noop());
            line.advance(None);
            if let Poll::Ready(answer) = answer.as_mut().poll(quiet) {
                return Poll::Ready(answer);
            }
            line.advance(Some(cx));
            answer.as_mut().poll(quiet)
        })
        .await?;
        let held = Held { line, place: place.clone(), kept: Arc::clone(&self.kept) };
        Ok(answer.map(|incoming| Answered { incoming, held: Some(held), _seat: None }))
    }
}

async fn over_shared(
    Seat { mut sender, taken }: Seat,
    to: &Uri,
    mut request: Asked,
) -> Result<Response<Answered>, TrySendError<Asked>> {
    request.headers_mut().remove(header::HOST);
    *request.uri_mut() = to.clone();
    let answer = sender.try_send_request(request).await?;
    Ok(answer.map(|incoming| Answered { incoming, held: None, _seat: Some(taken) }))
}

/// Nobody asked for another protocol: what speaks one is not understood.
fn expected(answer: Response<Answered>) -> Result<Response<Answered>, BoxError> {
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => Err("it changed the protocol, which nobody asked for".into()),
        _ => Ok(answer),
    }
}

/// The name that HTTP/1 wants among the headers.
fn host(place: &Place) -> Option<HeaderValue> {
    let Place(scheme, authority) = place;
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let name = match authority.port_u16() {
        Some(port) if port == usual => authority.host(),
        _ => authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, name)| name),
    };
    HeaderValue::from_str(name).ok()
}

fn origin_form(to: &Uri) -> Uri {
    let mut parts = Parts::default();
    parts.path_and_query =
        Some(to.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_default()
}

/// A connection that one request has for itself.
struct Line {
    opened: Instant,
    sender: http1::SendRequest<Full<Bytes>>,
    /// Gone when it is over.
    driver: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
}

impl Line {
    /// Sends and reads what it can. Without a context nobody is woken when there is more: for who looks at what came of
    /// it before waiting.
    fn advance(&mut self, cx: Option<&mut Context<'_>>) {
        let quiet = &mut Context::from_waker(Waker::noop());
        // Why it ended is said to who waits for the answer; with the driver goes whatever still waited for it.
        self.driver.take_if(|driver| driver.as_mut().poll(cx.unwrap_or(quiet)).is_ready());
    }

    /// Whether it can take another request.
    fn is_free(&mut self) -> bool {
        self.advance(None);
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// The body of an answer. Dropping it before its end ends the request at the provider.
pub struct Answered {
    incoming: Incoming,
    /// What it comes on, where that is nobody else's.
    held: Option<Held>,
    /// Elsewhere its room there.
    _seat: Option<Arc<()>>,
}

struct Held {
    line: Line,
    place: Place,
    kept: Arc<Kept>,
}

impl Answered {
    fn give_back(&mut self) {
        if let Some(Held { line, place, kept }) = self.held.take() {
            kept.give_back(&place, line);
        }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(held) = &mut this.held else {
            return Pin::new(&mut this.incoming).poll_frame(cx).map_err(Into::into);
        };
        // What is in the body comes from the driver alone: it need wake nobody for it.
        let quiet = &mut Context::from_waker(Waker::noop());
        let mut frame = Pin::new(&mut this.incoming).poll_frame(quiet);
        for cx in [None, Some(cx)] {
            if frame.is_pending() {
                held.line.advance(cx);
                frame = Pin::new(&mut this.incoming).poll_frame(quiet);
            }
        }
        match frame {
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Err(_))) => this.held = None,
            _ => {}
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }
}

#[cfg(test)]
mod tests;
