//! Connections: accepted, served, and ended without cutting anyone off.

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    serve::{Listener, ListenerExt},
};
use futures_util::task::AtomicWaker;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use tokio::net::TcpListener;
use tower_service::Service;

/// Serves until `stop` resolves, and then until the last connection has ended.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    // Small frames go out at once: a terminal line must not wait for the next.
    let mut listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let builder = Builder::new(TokioExecutor::new());
    let open = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, from): (_, SocketAddr) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let router = router.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(from));
            // It is always ready.
            router.clone().call(request)
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = Steady::new(open.watch(connection));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(error, "a connection ended");
            }
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// How often in a row a task may wake itself before others get their turn.
const AGAIN: usize = 4;

/// Polls again at once what wakes itself while it is polled. The runtime would queue it anew and wake another of its
/// threads for that, and HTTP/1 does it with each request that has a body: whoever takes the body wakes the connection,
/// which is the same task.
struct Steady<F> {
    inner: Pin<Box<F>>,
    bell: Arc<Bell>,
    waker: Waker,
}

const IDLE: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

#[derive(Default)]
struct Bell {
    state: AtomicU8,
    outside: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = self.state.compare_exchange(POLLED, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        if noted == Err(IDLE) {
            self.outside.wake();
        }
    }
}

impl<F: Future> Steady<F> {
    fn new(inner: F) -> Self {
        let bell = Arc::<Bell>::default();
        Self { inner: Box::pin(inner), waker: Waker::from(Arc::clone(&bell)), bell }
    }
}

impl<F: Future> Future for Steady<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        this.bell.outside.register(cx.waker());
        for _ in 0..AGAIN {
            this.bell.state.store(POLLED, Ordering::Release);
            let polled = this.inner.as_mut().poll(&mut Context::from_waker(&this.waker));
            if polled.is_ready() {
                return polled;
            }
            let woken = this.bell.state.swap(IDLE, Ordering::AcqRel) == WOKEN;
            if !woken {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::atomic::AtomicUsize};

    use super::*;

    #[derive(Default)]
    struct Outside(AtomicUsize);

    impl Wake for Outside {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How often a future that wakes itself `times` is polled for one poll of the runtime, and how often that is woken.
    fn polled(times: usize) -> (usize, usize) {
        let outside = Arc::<Outside>::default();
        let mut polls = 0;
        let restless = poll_fn(|cx| {
            polls += 1;
            if polls <= times {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        let mut steady = Box::pin(Steady::new(restless));
        let waker = Waker::from(Arc::clone(&outside));
        assert!(steady.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(steady);
        (polls, outside.0.load(Ordering::SeqCst))
    }

    #[test]
    fn what_wakes_itself_goes_on_without_the_runtime_and_not_for_ever() {
        assert_eq!(polled(0), (1, 0));
        assert_eq!(polled(1), (2, 0));
        assert_eq!(polled(usize::MAX), (AGAIN, 1));
    }

    #[test]
    fn what_is_woken_from_outside_is_woken() {
        let outside = Arc::<Outside>::default();
        let mut kept = None;
        let mut steady = Box::pin(Steady::new(poll_fn(|cx| {
            kept = Some(cx.waker().clone());
            Poll::<()>::Pending
        })));
        let waker = Waker::from(Arc::clone(&outside));
        assert!(steady.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(steady);
        kept.expect("it was polled").wake();
        assert_eq!(outside.0.load(Ordering::SeqCst), 1);
    }
}
