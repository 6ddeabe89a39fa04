//! What grows while it is read: a task's output, a model's answer. A reader gets what is there, then what comes, then
//! the end; between them it hears that the connection lives.

use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use foreman_protocol::PING_INTERVAL_S;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use super::{hub, stream::sse};
use crate::{App, auth::Caller, problem::ApiResult};

/// What one look found.
pub enum Look {
    /// There may be more.
    Frame(Bytes),
    /// Nothing until there is news.
    Nothing,
    /// Nothing comes after this.
    End(Option<Bytes>),
}

/// Something that grows, and how far a reader of it has come.
pub trait Growing: Send + 'static {
    /// What comes next for the reader.
    fn look(&mut self) -> impl Future<Output = ApiResult<Look>> + Send;
}

/// A stream of `growing`. `news` was subscribed to before anything of it was read.
pub fn follow(app: App, caller: Caller, news: watch::Receiver<()>, growing: impl Growing) -> Response {
    let over = caller.ended(app.clone());
    let reader = Reader { app, news, growing, wait: false, ended: false };
    sse(stream::unfold(reader, Reader::next).take_until(over))
}

struct Reader<G> {
    app: App,
    news: watch::Receiver<()>,
    growing: G,
    /// Everything that is there was sent.
    wait: bool,
    ended: bool,
}

impl<G: Growing> Reader<G> {
    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        loop {
            if self.ended {
                return None;
            }
            if self.wait {
                tokio::select! {
                    () = self.app.closing.cancelled() => return None,
                    changed = self.news.changed() => changed.ok()?,
                    () = tokio::time::sleep(Duration::from_secs(PING_INTERVAL_S)) => {
                        self.wait = false;
                        return Some((Ok(hub::ping_frame()), self));
                    }
                }
            }
            let found = self.growing.look().await.inspect_err(|error| {
                tracing::warn!(%error, "a live reader will have to resume");
            });
            match found.ok()? {
                Look::Frame(frame) => {
                    self.wait = false;
                    return Some((Ok(frame), self));
                }
                Look::Nothing => self.wait = true,
                Look::End(last) => {
                    self.ended = true;
                    return Some((Ok(last?), self));
                }
            }
        }
    }
}
