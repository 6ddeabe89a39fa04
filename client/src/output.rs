//! What a task prints: read in pieces, or followed live.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use foreman_link::{
    http,
    sse::{self, StreamError, Subscription, Target, Update},
};
use foreman_protocol::{OutputChunk, OutputGap, Task, TaskId};
use futures_util::{Stream, StreamExt, stream};
use reqwest::{Method, Response};

use crate::{Error, Foreman, request::Query};

/// A piece of output as the server holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPiece {
    /// Of the first byte; later than asked for when the oldest output was let go.
    pub start: u64,
    /// Where to go on.
    pub next: u64,
    /// How many bytes there are in all, known once the task ended.
    pub total: Option<u64>,
    pub bytes: Bytes,
}

/// What following a task's output says.
#[derive(Debug, Clone)]
pub enum OutputUpdate {
    /// Bytes in order, each exactly once.
    Bytes { offset: u64, data: Bytes },
    /// Output that is gone for good.
    Gap(OutputGap),
    /// All was said; nothing follows.
    Ended(Box<Task>),
    /// The stream is gone and is tried again after `retry_in`, as long as it is polled.
    Lost { error: StreamError, retry_in: Duration },
}

impl Foreman {
    /// Output from the byte `offset` on, at most `limit` bytes (the server's own limit when absent).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn output(&self, task: TaskId, offset: u64, limit: Option<u64>) -> Result<OutputPiece, Error> {
        let mut query = Query::default();
        query.add("offset", Some(offset));
        query.add("limit", limit);
        let answer = http::send(self.request(Method::GET, &format!("tasks/{task}/output"), &query)).await?;
        let (start, total) = (number(&answer, "x-output-start"), number(&answer, "x-output-total"));
        let next = number(&answer, "x-output-next");
        let bytes = answer.bytes().await?;
        let start = start.unwrap_or(offset);
        Ok(OutputPiece { start, next: next.unwrap_or(start + bytes.len() as u64), total, bytes })
    }

    /// Everything kept of a task's output, as a download that is read as fast as it is taken.
    ///
    /// # Errors
    /// See [`Error`]; later ones come in the stream.
    pub async fn download_output(
        &self,
        task: TaskId,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let mut query = Query::default();
        query.add("download", Some(1));
        let answer =
            http::send(self.open_ended(Method::GET, &format!("tasks/{task}/output"), &query)).await?;
        Ok(answer.bytes_stream().map(|chunk| chunk.map_err(Error::from)))
    }

    /// Follows the output from the byte `offset` on until the task has said all.
    #[must_use]
    pub fn live_output(&self, task: TaskId, offset: u64) -> stream::BoxStream<'static, OutputUpdate> {
        let mut query = Query::default();
        query.add("offset", Some(offset));
        let address = self.address(&format!("tasks/{task}/output"), &query);
        let subscription = sse::subscribe(self.http().clone(), Target::new(address, self.headers()));
        let state = Some(Following { subscription, reader: OutputReader { next: offset } });
        stream::unfold(state, |state| async move {
            let mut following = state?;
            let update = following.next().await;
            let ended = matches!(update, OutputUpdate::Ended(_));
            Some((update, (!ended).then_some(following)))
        })
        .boxed()
    }
}

struct Following {
    subscription: Subscription,
    reader: OutputReader,
}

/// Makes updates of a stream's messages, each byte once: the server and the device itself say them alike.
pub(crate) struct OutputReader {
    /// The byte that comes next.
    pub next: u64,
}

impl Following {
    async fn next(&mut self) -> OutputUpdate {
        loop {
            match self.subscription.next().await {
                Update::Lost { error, retry_in } => return OutputUpdate::Lost { error, retry_in },
                Update::Opened => {}
                Update::Event(event) => {
                    if let Some(update) = self.reader.understand(&event.name, &event.data) {
                        return update;
                    }
                }
            }
        }
    }
}

impl OutputReader {
    /// `None` for what adds nothing: pings, names of the future, bytes that came before.
    pub fn understand(&mut self, name: &str, data: &str) -> Option<OutputUpdate> {
        match name {
            "output" => {
                let chunk: OutputChunk = serde_json::from_str(data).ok()?;
                let mut data = Bytes::from(BASE64_STANDARD.decode(&chunk.data).ok()?);
                let known = self.next.saturating_sub(chunk.offset).min(data.len() as u64);
                // Lossless: `known` is at most the length of what is in memory.
                data = data.slice(known as usize..);
                let offset = chunk.offset + known;
                self.next = offset + data.len() as u64;
                (!data.is_empty()).then_some(OutputUpdate::Bytes { offset, data })
            }
            "gap" => {
                let gap: OutputGap = serde_json::from_str(data).ok()?;
                let from = gap.from.max(self.next);
                self.next = self.next.max(gap.to);
                (from < gap.to).then_some(OutputUpdate::Gap(OutputGap { from, to: gap.to }))
            }
            "end" => serde_json::from_str(data).ok().map(OutputUpdate::Ended),
            _ => None,
        }
    }
}

fn number(answer: &Response, name: &str) -> Option<u64> {
    answer.headers().get(name)?.to_str().ok()?.parse().ok()
}
