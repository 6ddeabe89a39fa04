//! The stream parser's way to the network: our HTTP client, watched for silence and for events without end.

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use launchdarkly_sdk_transport::{
    ByteStream, HttpTransport, Request, Response, ResponseFuture, TransportError,
};
use sync_wrapper::{SyncFuture, SyncStream};
use tokio::time::timeout;

/// One event larger than this is not collected: memory stays bounded whatever the other side sends.
const EVENT_LIMIT: usize = 16 * 1024 * 1024;

/// Why the watch ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Silent(Duration),
    TooLarge,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::Silent(limit) => write!(f, "nothing for {} s", limit.as_secs()),
            Cut::TooLarge => write!(f, "an event of more than {EVENT_LIMIT} bytes"),
        }
    }
}

impl Error for Cut {}

/// Bytes read since the last complete event.
#[derive(Clone, Default)]
pub(super) struct Unfinished(Arc<AtomicUsize>);

impl Unfinished {
    pub(super) fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    fn is_too_large_after(&self, read: usize) -> bool {
        self.0.fetch_add(read, Relaxed) + read > EVENT_LIMIT
    }
}

#[derive(Clone)]
pub(super) struct OverReqwest {
    client: reqwest::Client,
    silence_limit: Duration,
    unfinished: Unfinished,
}

impl OverReqwest {
    pub(super) fn new(client: reqwest::Client, silence_limit: Duration) -> Self {
        Self { client, silence_limit, unfinished: Unfinished::default() }
    }

    pub(super) fn unfinished(&self) -> Unfinished {
        self.unfinished.clone()
    }
}

impl HttpTransport for OverReqwest {
    fn request(&self, request: Request<Option<Bytes>>) -> ResponseFuture {
        let (client, limit, unfinished) = (self.client.clone(), self.silence_limit, self.unfinished.clone());
        Box::pin(SyncFuture::new(async move {
            let request = request.map(|body| body.map(reqwest::Body::from).unwrap_or_default());
            let request = reqwest::Request::try_from(request).map_err(TransportError::new)?;
            let response = timeout(limit, client.execute(request))
                .await
                .map_err(|_| TransportError::new(Cut::Silent(limit)))?
                .map_err(TransportError::new)?;
            let mut answer = Response::builder().status(response.status());
            if let Some(headers) = answer.headers_mut() {
                headers.clone_from(response.headers());
            }
            let bytes = response.bytes_stream().map(|chunk| chunk.map_err(TransportError::new));
            answer.body(watched(bytes, limit, unfinished)).map_err(TransportError::new)
        }))
    }
}

/// Passes bytes on until none come for `limit`, or one event grows past all measure.
pub(super) fn watched(
    bytes: impl Stream<Item = Result<Bytes, TransportError>> + Send + 'static,
    limit: Duration,
    unfinished: Unfinished,
) -> ByteStream {
    let bytes = Some(Box::pin(bytes));
    let watched = stream::unfold((bytes, unfinished), move |(bytes, unfinished)| async move {
        let mut bytes = bytes?;
        match timeout(limit, bytes.next()).await {
            Err(_) => Some((Err(TransportError::new(Cut::Silent(limit))), (None, unfinished))),
            Ok(None) => None,
            Ok(Some(Ok(chunk))) if unfinished.is_too_large_after(chunk.len()) => {
                Some((Err(TransportError::new(Cut::TooLarge)), (None, unfinished)))
            }
            Ok(Some(chunk)) => Some((chunk, (Some(bytes), unfinished))),
        }
    });
    Box::pin(SyncStream::new(watched))
}
