//! Connections to providers, kept for the next request.
//!
//! One that speaks HTTP/1 belongs to a single request at a time, and whoever waits for the answer drives it: between the
//! provider's socket and the client's there is no other task to be woken, and dropping the answer closes it. One that
//! speaks HTTP/2 carries many requests and has a task of its own.

use std::{
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use axum::http::{
    HeaderValue, Request, Response, Uri, header,
    uri::{Authority, Parts, PathAndQuery, Scheme},
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
use tokio::{runtime::Handle, task::coop::unconstrained};
use tower_service::Service;

/// Connections kept for each provider.
const IDLE: usize = 64;
const IDLE_FOR: Duration = Duration::from_secs(90);
/// Those that are too old, or were closed at the other end, are looked for this often.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

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
        while let Some(found) = self.kept.take(&place) {
            let sent = match found {
                Found::Own(line) => self.over(line, place.clone(), &to, request).await,
                Found::Shared(shared) => over_shared(shared, &to, request).await,
            };
            match sent {
                Ok(answer) => return Ok(answer),
                Err(mut failed) => match failed.take_message() {
                    // It was closed while nobody looked, and nothing was sent.
                    Some(again) => request = again,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        // Boxed: a request that finds a connection need not carry along the room for opening one.
        let sent = match Box::pin(self.open(&place, &to)).await? {
            Found::Own(line) => self.over(line, place, &to, request).await,
            Found::Shared(shared) => over_shared(shared, &to, request).await,
        };
        sent.map_err(|failed| failed.into_error().into())
    }

    async fn open(&self, place: &Place, to: &Uri) -> Result<Found, BoxError> {
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await?;
        let io = connector.call(to.clone()).await?;
        if io.connected().is_negotiated_h2() {
            let (shared, driver) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .handshake::<_, Full<Bytes>>(io)
                .await?;
            tokio::spawn(driver);
            return Ok(Found::Shared(self.kept.share(place, shared)));
        }
        let (sender, driver) = http1::handshake::<_, Full<Bytes>>(io).await?;
        Ok(Found::Own(Line { sender, driver: Some(Box::pin(driver)) }))
    }

    async fn over(
        &self,
        mut line: Line,
        place: Place,
        to: &Uri,
        mut request: Asked,
    ) -> Result<Response<Answered>, TrySendError<Asked>> {
        if let Some(name) = host(&place) {
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
        let held = Held { line, place, kept: Arc::clone(&self.kept) };
        Ok(answer.map(|incoming| Answered { incoming, held: Some(held) }))
    }
}

async fn over_shared(
    mut shared: http2::SendRequest<Full<Bytes>>,
    to: &Uri,
    mut request: Asked,
) -> Result<Response<Answered>, TrySendError<Asked>> {
    request.headers_mut().remove(header::HOST);
    *request.uri_mut() = to.clone();
    let answer = shared.try_send_request(request).await?;
    Ok(answer.map(|incoming| Answered { incoming, held: None }))
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

/// Where connections lead.
#[derive(Clone, PartialEq, Eq)]
struct Place(Scheme, Authority);

/// A connection that one request has for itself.
struct Line {
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

enum Found {
    Own(Line),
    Shared(http2::SendRequest<Full<Bytes>>),
}

/// What is at hand, by place: there are few.
#[derive(Default)]
struct Kept(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    places: Vec<(Place, AtHand)>,
    swept: bool,
}

#[derive(Default)]
struct AtHand {
    /// Those used last are at the end, and used first.
    own: Vec<(Instant, Line)>,
    shared: Option<(Instant, http2::SendRequest<Full<Bytes>>)>,
}

impl Shelf {
    fn at(&mut self, place: &Place) -> &mut AtHand {
        let known = self.places.iter().position(|(known, _)| known == place);
        let at = known.unwrap_or_else(|| {
            self.places.push((place.clone(), AtHand::default()));
            self.places.len() - 1
        });
        &mut self.places[at].1
    }
}

impl Kept {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, place: &Place) -> Option<Found> {
        let mut shelf = self.shelf();
        let (_, at_hand) = shelf.places.iter_mut().find(|(known, _)| known == place)?;
        if let Some((used, shared)) = at_hand.shared.as_mut().filter(|(_, shared)| !shared.is_closed()) {
            *used = Instant::now();
            return Some(Found::Shared(shared.clone()));
        }
        at_hand.shared = None;
        at_hand.own.pop().map(|(_, line)| Found::Own(line))
    }

    /// Keeps a connection that was opened for many, unless another was opened meanwhile.
    fn share(
        self: &Arc<Self>,
        place: &Place,
        fresh: http2::SendRequest<Full<Bytes>>,
    ) -> http2::SendRequest<Full<Bytes>> {
        let mut shelf = self.shelf();
        let at_hand = shelf.at(place);
        let shared = match at_hand.shared.take() {
            Some((_, other)) if !other.is_closed() => other,
            _ => fresh,
        };
        at_hand.shared = Some((Instant::now(), shared.clone()));
        self.see_to_sweeping(&mut shelf);
        shared
    }

    /// Keeps a connection whose answer is over.
    fn give_back(self: &Arc<Self>, place: &Place, mut line: Line) {
        if !line.is_free() {
            return;
        }
        let mut shelf = self.shelf();
        let own = &mut shelf.at(place).own;
        if own.len() < IDLE {
            own.push((Instant::now(), line));
            self.see_to_sweeping(&mut shelf);
        }
    }

    fn see_to_sweeping(self: &Arc<Self>, shelf: &mut Shelf) {
        // Without a runtime the server itself is ending.
        let Ok(runtime) = Handle::try_current() else { return };
        if mem::replace(&mut shelf.swept, true) {
            return;
        }
        let kept = Arc::downgrade(self);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                if kept.upgrade().is_none_or(|kept| kept.sweep()) {
                    return;
                }
            }
        });
    }

    /// Whether nothing is left.
    fn sweep(&self) -> bool {
        let mut shelf = self.shelf();
        shelf.places.retain_mut(|(_, at_hand)| {
            at_hand.own.retain_mut(|(used, line)| used.elapsed() < IDLE_FOR && line.is_free());
            at_hand.shared.take_if(|(used, shared)| used.elapsed() >= IDLE_FOR || shared.is_closed());
            !at_hand.own.is_empty() || at_hand.shared.is_some()
        });
        shelf.swept = !shelf.places.is_empty();
        !shelf.swept
    }
}

/// The body of an answer. Dropping it before its end ends the request at the provider.
pub struct Answered {
    incoming: Incoming,
    /// What it comes on, where that is nobody else's.
    held: Option<Held>,
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
