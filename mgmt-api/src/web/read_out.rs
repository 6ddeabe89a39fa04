//! A body is read to its end even where the answer did not wait for it, unless it is very long. A connection that is closed with
//! something unread is reset, and with it an answer on its way can be lost: the caller would see no refusal but a
//! broken wire.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{runtime::Handle, time::timeout};

/// The longest body that is read out: a file that is too large for a conversation, and not one for a disk. Bytes.
const MOST: u64 = 16 * 1024 * 1024;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets handlers answer without reading their body, when it says how long it is.
pub fn read_out(request: Request) -> Request {
    let known = request.body().size_hint().exact().is_some_and(|length| (1..=MOST).contains(&length));
    if known { request.map(|body| Body::new(ReadOut { rest: Some(body) })) } else { request }
}

struct ReadOut {
    /// None once it ended.
    rest: Option<Body>,
}

impl HttpBody for ReadOut {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(rest) = self.rest.as_mut() else { return Poll::Ready(None) };
        let frame = Pin::new(rest).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for ReadOut {
    fn drop(&mut self) {
        let Some(mut rest) = self.rest.take().filter(|rest| !rest.is_end_stream()) else { return };
        // Without a runtime the server itself is ending.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(timeout(PATIENCE, async move { while let Some(Ok(_)) = rest.frame().await {} }));
    }
}
