//! The audit trail: the event log, read backwards, exported, and checked.

use bytes::{Bytes, BytesMut};
use foreman_link::http;
use foreman_protocol::{AuditVerification, DeviceId, EventRecord, Page};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use reqwest::Method;

use crate::{Error, Foreman, Listing, PageRequest, request::Query};

/// Which events; the default is all of them.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Beginning of the type, such as `device.task`.
    pub event_type: Option<String>,
    pub device: Option<DeviceId>,
    /// Part of who caused it.
    pub actor: Option<String>,
    /// Part of the event.
    pub text: Option<String>,
}

impl AuditFilter {
    fn query(&self) -> Query {
        let mut query = Query::default();
        query.add("type", self.event_type.as_ref());
        query.add("device", self.device);
        query.add("actor", self.actor.as_ref());
        query.add("q", self.text.as_ref());
        query
    }
}

impl Foreman {
    /// The log, newest first.
    #[must_use]
    pub fn audit(&self, filter: &AuditFilter) -> Listing<EventRecord> {
        self.listing("audit".to_owned(), filter.query())
    }

    /// One page of it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn audit_page(
        &self,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<EventRecord>, Error> {
        self.page("audit", &filter.query(), page).await
    }

    /// The whole log that fits, oldest first, as it is kept: one JSON text a line. It is read as fast as it is
    /// taken and never held.
    ///
    /// # Errors
    /// See [`Error`]; later ones come in the stream.
    pub async fn audit_export(
        &self,
        filter: &AuditFilter,
    ) -> Result<impl Stream<Item = Result<EventRecord, Error>> + Send + use<>, Error> {
        let mut query = filter.query();
        query.add("format", Some("jsonl"));
        let answer = http::send(self.open_ended(Method::GET, "audit", &query)).await?;
        let lines = lines(answer.bytes_stream().map_err(Error::from));
        Ok(lines.map(|line| {
            serde_json::from_slice(&line?).map_err(|error| Error::Malformed { message: error.to_string() })
        }))
    }

    /// Has the server walk the chain of hashes.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn verify_audit(&self) -> Result<AuditVerification, Error> {
        http::json(self.open_ended(Method::GET, "audit/verify", &Query::default())).await
    }
}

/// Cuts bytes at line ends; empty lines are left out, and an unfinished last line counts as one.
fn lines(
    chunks: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let start = (Some(Box::pin(chunks)), BytesMut::new());
    let raw = stream::try_unfold(start, |(mut chunks, mut held)| async move {
        let mut searched = 0;
        loop {
            if let Some(end) = held[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = held.split_to(searched + end + 1);
                line.truncate(line.len() - 1);
                return Ok(Some((line.freeze(), (chunks, held))));
            }
            searched = held.len();
            let next = match chunks.as_mut() {
                Some(chunks) => chunks.next().await.transpose()?,
                None => return Ok(None),
            };
            match next {
                Some(chunk) => held.extend_from_slice(&chunk),
                None => return Ok(Some((held.split().freeze(), (None, held)))),
            }
        }
    });
    raw.try_filter(|line| std::future::ready(!line.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_may_be_cut_anywhere() {
        for size in 1..12 {
            let chunks: Vec<_> = b"one\n\ntwo\nthree".chunks(size).map(Bytes::from_static).map(Ok).collect();
            let lines: Vec<Bytes> = lines(stream::iter(chunks)).try_collect().await.unwrap();
            assert_eq!(lines, ["one", "two", "three"]);
        }
    }
}
