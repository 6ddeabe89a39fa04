//! One attempt: a single request, read until it ends.
//!
//! The parser could reconnect by itself but would repeat the same headers, and a device's bearer expires within
//! minutes; so its reconnecting is off and each attempt is a parser of its own.

use eventsource_client::{
    BoxStream, Client, ClientBuilder, Error as ParserError, ReconnectOptions, Result as ParserResult, SSE,
};
use futures_util::StreamExt;
use launchdarkly_sdk_transport::{ByteStream, HttpTransport, TransportError};
use reqwest::header::HeaderMap;

use super::{
    Event, StreamError,
    transport::{Cut, OverReqwest, Unfinished},
};
use crate::http::RequestError;

const ERROR_BODY_LIMIT: usize = 64 * 1024;

pub(super) struct Attempt {
    stream: BoxStream<ParserResult<SSE>>,
    unfinished: Unfinished,
}

impl Attempt {
    /// Sends the request and waits until the server accepts it.
    pub(super) async fn open(
        transport: OverReqwest,
        url: &str,
        headers: &HeaderMap,
        last_event_id: Option<&str>,
    ) -> Result<Self, StreamError> {
        let unfinished = transport.unfinished();
        Self::over(transport, unfinished, url, headers, last_event_id).await
    }

    pub(super) async fn over(
        transport: impl HttpTransport,
        unfinished: Unfinished,
        url: &str,
        headers: &HeaderMap,
        last_event_id: Option<&str>,
    ) -> Result<Self, StreamError> {
        unfinished.clear();
        let once = ReconnectOptions::reconnect(false).retry_initial(false).build();
        let mut builder = ClientBuilder::for_url(url).map_err(invalid)?.reconnect(once).redirect_limit(0);
        for (name, value) in headers {
            let value = value.to_str().map_err(|_| RequestError::Invalid {
                message: format!("the header {name} has odd characters"),
            })?;
            builder = builder.header(name.as_str(), value).map_err(invalid)?;
        }
        if let Some(id) = last_event_id {
            builder = builder.last_event_id(id.to_owned());
        }
        let mut stream = builder.build_with_transport(transport).stream();
        match stream.next().await {
            Some(Ok(_)) => Ok(Self { stream, unfinished }),
            Some(Err(error)) => Err(explain(error).await),
            None => Err(StreamError::Ended),
        }
    }

    /// The next event; comments only prove that the other side lives.
    pub(super) async fn next(&mut self) -> Result<Event, StreamError> {
        loop {
            match self.stream.next().await {
                None => return Err(StreamError::Ended),
                Some(Err(error)) => return Err(explain(error).await),
                Some(Ok(SSE::Event(event))) => {
                    self.unfinished.clear();
                    return Ok(Event { name: event.event_type, id: event.id, data: event.data });
                }
                Some(Ok(SSE::Connected(_) | SSE::Comment(_))) => self.unfinished.clear(),
            }
        }
    }
}

fn invalid(error: ParserError) -> StreamError {
    RequestError::Invalid { message: error.to_string() }.into()
}

async fn explain(error: ParserError) -> StreamError {
    match error {
        ParserError::UnexpectedResponse(response, body) => {
            let body = start_of(body.into_stream()).await;
            RequestError::from_answer(response.status(), &body).into()
        }
        ParserError::Eof | ParserError::UnexpectedEof => StreamError::Ended,
        ParserError::Transport(error) => explain_transport(&error),
        ParserError::MaxRedirectLimitReached(_) => {
            let location = "the address its redirect names".to_owned();
            RequestError::Moved { status: 307, location }.into()
        }
        ParserError::InvalidParameter(error) => RequestError::Invalid { message: error.to_string() }.into(),
        other => StreamError::Malformed(other.to_string()),
    }
}

fn explain_transport(error: &TransportError) -> StreamError {
    let inner = error.inner();
    if let Some(cut) = inner.downcast_ref::<Cut>() {
        return match cut {
            Cut::Silent(limit) => StreamError::Silent(*limit),
            Cut::TooLarge => StreamError::Malformed(cut.to_string()),
        };
    }
    match inner.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_body() || error.is_decode() => {
            StreamError::Broken(crate::http::describe(error))
        }
        Some(error) => RequestError::Unreachable { message: crate::http::describe(error) }.into(),
        None => StreamError::Broken(inner.to_string()),
    }
}

/// The first part of an error's body; what cannot be read leaves the status to speak.
async fn start_of(mut body: ByteStream) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(Ok(chunk)) = body.next().await {
        read.extend_from_slice(&chunk);
        if read.len() > ERROR_BODY_LIMIT {
            break;
        }
    }
    read
}
