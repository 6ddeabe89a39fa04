//! An answer on its way: events go on as they come, are listened to for what they use, and are translated only where
//! the client speaks another format. Dropping it ends the request at the provider.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use foreman_link::h2::BoxError;
use foreman_protocol::{MessageUsage, ProblemCode, UsageOutcome, WaitedFor};
use futures_util::{FutureExt, Stream};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use memchr::memmem;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Sleep;

use super::{
    ledger::Meter,
    shape,
    sse::{self, Splitter},
    tally,
    translate::{to_anthropic::ToAnthropic, to_openai::ToOpenAi},
};
use crate::{db::now, problem::ApiError, providers::Wire};

/// Events that may come before the first token.
const PREAMBLE: usize = 32;
/// Events that came together go on in pieces of about this size, bytes.
const PIECE: usize = 16 * 1024;

/// Who speaks what.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    pub client: Wire,
    pub provider: Wire,
    /// The client of OpenAI's format wants the event that says what was used.
    pub usage_asked: bool,
    /// Estimated, tokens.
    pub input: i64,
}

enum Translator {
    None,
    OpenAi(Box<ToOpenAi>),
    Anthropic(Box<ToAnthropic>),
}

/// What an event is, before the first token.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Preamble,
    Token,
    Error(String),
}

/// For the client: whole events, one or several in a piece.
#[derive(Default)]
struct Ready {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Ready {
    fn push(&mut self, events: Bytes) {
        if !events.is_empty() {
            self.bytes += events.len();
            self.pieces.push(events);
        }
    }

    /// All of it as one piece.
    fn take(&mut self) -> Option<Bytes> {
        let bytes = mem::take(&mut self.bytes);
        if self.pieces.len() < 2 {
            return self.pieces.pop();
        }
        let mut all = BytesMut::with_capacity(bytes);
        self.pieces.drain(..).for_each(|events| all.extend_from_slice(&events));
        Some(all.freeze())
    }
}

pub struct Passing {
    /// Gone once it has ended.
    upstream: Option<UnsyncBoxBody<Bytes, BoxError>>,
    splitter: Splitter,
    ready: Ready,
    broken: Option<ApiError>,
    translator: Translator,
    format: Format,
    meter: Meter,
    /// The provider said that the answer is whole.
    ended: bool,
    first_token: bool,
    /// Events that came before it.
    preamble: usize,
    idle: Duration,
    heard_at: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Passing {
    pub fn new(body: UnsyncBoxBody<Bytes, BoxError>, format: Format, meter: Meter, idle: Duration) -> Self {
        let translator = match (format.client, format.provider) {
            (Wire::OpenAi, Wire::Anthropic) => {
                Translator::OpenAi(Box::new(ToOpenAi::new(now() / 1_000, format.usage_asked)))
            }
            (Wire::Anthropic, Wire::OpenAi) => {
                Translator::Anthropic(Box::new(ToAnthropic::new(format.input)))
            }
            _ => Translator::None,
        };
        Self {
            upstream: Some(body),
            splitter: Splitter::default(),
            ready: Ready::default(),
            broken: None,
            translator,
            format,
            meter,
            ended: false,
            first_token: false,
            preamble: 0,
            idle,
            heard_at: Instant::now(),
            alarm: Box::pin(tokio::time::sleep(idle)),
        }
    }

    /// Waits for the first event that carries something of the answer; what comes before is kept for the client.
    ///
    /// # Errors
    /// In words, when the stream ends, breaks or says that it failed before.
    pub async fn until_first_token(&mut self) -> Result<(), String> {
        poll_fn(|cx| {
            while !self.first_token {
                match self.poll_upstream(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {}
                }
                if let Some(error) = self.broken.take() {
                    return Poll::Ready(Err(error.message));
                }
                if self.upstream.is_none() && !self.first_token {
                    return Poll::Ready(Err("The answer ended before it began.".to_owned()));
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ends the request at the provider and gives the meter back for another try.
    pub fn into_meter(self) -> Meter {
        self.meter
    }

    /// What was used; whole once the stream has ended.
    pub fn usage(&self) -> MessageUsage {
        self.meter.usage()
    }

    /// Takes in one piece of the answer.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(upstream) = &mut self.upstream else { return Poll::Ready(()) };
        match Pin::new(upstream).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.heard_at = Instant::now();
                if let Ok(piece) = frame.into_data() {
                    self.take(piece);
                }
                Poll::Ready(())
            }
            Poll::Ready(Some(Err(error))) => {
                self.finish(Some(format!("The connection to the provider broke: {error}.")));
                Poll::Ready(())
            }
            Poll::Ready(None) => {
                let rest = self.splitter.rest();
                if !rest.trim_ascii().is_empty() && self.event(&rest) {
                    self.ready.push(rest);
                }
                self.finish(None);
                Poll::Ready(())
            }
            Poll::Pending => self.poll_idle(cx),
        }
    }

    /// The alarm is set anew only when it goes off: most events come long before. How long the first token may take
    /// is for whoever waits for it to say.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.first_token {
            return Poll::Pending;
        }
        while self.alarm.poll_unpin(cx).is_ready() {
            let until = self.heard_at + self.idle;
            if Instant::now() >= until {
                let after_s = self.idle.as_secs();
                self.finish(Some(format!("Nothing came for {after_s} s.")));
                let late = json!({ "waited_for": WaitedFor::NextToken, "after_s": after_s });
                self.broken = self.broken.take().map(|broken| broken.with(late));
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(until.into());
        }
        Poll::Pending
    }

    /// Events that came together and stay as they are go on together.
    fn take(&mut self, piece: Bytes) {
        let mut splitter = mem::take(&mut self.splitter);
        splitter.push(piece);
        let all = splitter.kept();
        // What goes on and was not put among what is ready yet.
        let (mut from, mut to) = (0, 0);
        while self.broken.is_none()
            && let Some(event) = splitter.next()
        {
            let stays = self.event(&event);
            if !stays {
                self.ready.push(all.slice(from..to));
                from = to + event.len();
            }
            to += event.len();
        }
        self.ready.push(all.slice(from..to));
        if self.broken.is_none() && splitter.is_too_long() {
            self.finish(Some("An event of the answer has no end.".into()));
        }
        self.splitter = splitter;
    }

    fn is_open(&self) -> bool {
        self.upstream.is_some() && self.broken.is_none()
    }

    /// Listens to an event; `true` when it goes on to the client as it came.
    fn event(&mut self, event: &[u8]) -> bool {
        if !self.first_token {
            match kind(event, self.format.provider) {
                Kind::Error(why) => {
                    self.finish(Some(why));
                    return false;
                }
                Kind::Preamble if self.preamble < PREAMBLE => self.preamble += 1,
                Kind::Preamble | Kind::Token => {
                    self.first_token = true;
                    self.meter.first_token();
                }
            }
        }
        let says_usage = self.meter.event(event, self.heard_at);
        let over = match self.format.provider {
            Wire::OpenAi => {
                self.ended |= says_why_it_ended(event);
                event.trim_ascii_end().ends_with(b"[DONE]")
            }
            Wire::Anthropic => is_the_last(event),
        };
        let mut out = Vec::new();
        let stays = match &mut self.translator {
            Translator::None => {
                let ours = self.format.client == Wire::OpenAi && !self.format.usage_asked;
                !(ours && says_usage && tally::is_usage_alone(event))
            }
            Translator::OpenAi(translator) => {
                if let Some(data) = sse::data(event) {
                    translator.event(&data, &mut out);
                }
                false
            }
            Translator::Anthropic(translator) => {
                if let Some(data) = sse::data(event) {
                    translator.event(&data, &mut out);
                }
                false
            }
        };
        out.into_iter().for_each(|event| self.ready.push(event));
        if over {
            self.ended = true;
            // Recorded before the client has the last event.
            self.meter.end(UsageOutcome::Answered);
        }
        stays
    }

    /// Nothing more comes. What arrived stays in front of the error.
    fn finish(&mut self, why: Option<String>) {
        self.upstream = None;
        if self.ended && why.is_none() {
            if let Translator::Anthropic(translator) = &mut self.translator {
                let mut out = Vec::new();
                translator.end(&mut out);
                out.into_iter().for_each(|event| self.ready.push(event));
            }
            self.meter.end(UsageOutcome::Answered);
            return;
        }
        // The end was said; how the connection was closed after it is nobody's business.
        if self.ended && self.meter.is_over() {
            return;
        }
        if self.first_token {
            self.meter.end(UsageOutcome::Broken);
        }
        let why = why.unwrap_or_else(|| "The provider ended the connection.".to_owned());
        self.broken = Some(ApiError::new(
            ProblemCode::UpstreamFailed,
            format!("The answer broke off. What arrived is kept. {why}"),
        ));
    }
}

impl Stream for Passing {
    type Item = Result<Bytes, ApiError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            // What has come already goes on together: a write each would cost more than the event.
            let waits = this.is_open() && this.poll_upstream(cx).is_pending();
            if this.is_open() && !waits && this.ready.bytes < PIECE {
                continue;
            }
            if let Some(events) = this.ready.take() {
                return Poll::Ready(Some(Ok(events)));
            }
            if let Some(error) = this.broken.take() {
                return Poll::Ready(Some(Err(error)));
            }
            if waits {
                return Poll::Pending;
            }
            if this.upstream.is_none() {
                return Poll::Ready(None);
            }
        }
    }
}

/// OpenAI's chunk with a `finish_reason` that is not null.
fn says_why_it_ended(event: &[u8]) -> bool {
    static FINISH: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new(b"\"finish_reason\":"));
    FINISH.find_iter(event).any(|at| event[at + 16..].trim_ascii_start().starts_with(b"\""))
}

/// Anthropic's `message_stop`. An answer may have the word in its text: only the event's own type counts.
fn is_the_last(event: &[u8]) -> bool {
    static STOP: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"message_stop"));
    // Most events do not have the word at all.
    STOP.find(event).is_some()
        && sse::data(event).is_some_and(|data| type_of(&data).is_some_and(|kind| kind == "message_stop"))
}

/// What Anthropic says that an event is.
fn type_of(data: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Event {
        r#type: String,
    }
    serde_json::from_slice::<Event>(data).ok().map(|event| event.r#type)
}

/// OpenAI's chunk, as far as it tells whether the answer has begun.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    delta: serde_json::Map<String, serde_json::Value>,
    finish_reason: Option<String>,
}

fn kind(event: &[u8], format: Wire) -> Kind {
    let Some(data) = sse::data(event) else { return Kind::Preamble };
    match format {
        Wire::Anthropic => match type_of(&data).as_deref() {
            Some("error") => Kind::Error(shape::message_of(&data).unwrap_or_else(|| "It failed.".into())),
            Some("message_start" | "ping" | "content_block_start") => Kind::Preamble,
            _ => Kind::Token,
        },
        Wire::OpenAi => {
            let Ok(chunk) = serde_json::from_slice::<Chunk>(&data) else { return Kind::Token };
            if chunk.error.is_some_and(|error| !error.is_null()) {
                return Kind::Error(shape::message_of(&data).unwrap_or_else(|| "It failed.".into()));
            }
            let says = |choice: &ChunkChoice| {
                let empty = |value: &serde_json::Value| {
                    value.is_null() || value == "" || *value == serde_json::json!([])
                };
                choice.finish_reason.is_some()
                    || choice.delta.iter().any(|(name, value)| name != "role" && !empty(value))
            };
            if chunk.choices.iter().any(says) { Kind::Token } else { Kind::Preamble }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_is_what_carries_something() {
        let openai = |data: &str| kind(format!("data: {data}\n\n").as_bytes(), Wire::OpenAi);
        assert_eq!(
            openai(
                r#"{"choices":[{"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}]}"#
            ),
            Kind::Preamble
        );
        assert_eq!(openai(r#"{"choices":[{"delta":{"content":"H"}}]}"#), Kind::Token);
        assert_eq!(
            openai(r#"{"choices":[{"delta":{"role":"assistant","tool_calls":[{"index":0}]}}]}"#),
            Kind::Token
        );
        assert_eq!(openai(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#), Kind::Token);
        assert_eq!(openai("[DONE]"), Kind::Token);
        assert_eq!(openai(r#"{"error":{"message":"overloaded"}}"#), Kind::Error("overloaded".into()));
        let anthropic = |data: &str| kind(format!("event: x\ndata: {data}\n\n").as_bytes(), Wire::Anthropic);
        assert_eq!(anthropic(r#"{"type":"message_start","message":{}}"#), Kind::Preamble);
        assert_eq!(anthropic(r#"{"type":"content_block_delta","delta":{"text":"H"}}"#), Kind::Token);
        assert_eq!(
            anthropic(r#"{"type":"error","error":{"message":"Overloaded"}}"#),
            Kind::Error("Overloaded".into())
        );
        assert_eq!(kind(b": keep-alive\n\n", Wire::OpenAi), Kind::Preamble);
    }

    #[test]
    fn an_answer_that_speaks_of_the_last_event_is_not_over() {
        let last = |data: &str| is_the_last(format!("event: message_stop\ndata: {data}\n\n").as_bytes());
        assert!(last(r#"{"type":"message_stop"}"#));
        assert!(last(r#"{ "usage": {}, "type" : "message_stop" }"#));
        for said in [
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"then message_stop ends it"}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"{\"type\":\"message_stop\"}"}}"#,
            r#"{"type":"content_block_start","content_block":{"type":"message_stop"}}"#,
            "message_stop",
        ] {
            assert!(!last(said), "{said}");
        }
    }

    #[test]
    fn the_end_is_where_a_reason_for_it_is() {
        for (event, ends) in [
            (r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#, true),
            (
                r#"data: {"choices":[{"finish_reason": null},{"finish_reason" : 1,"finish_reason": "length"}]}"#,
                true,
            ),
            (r#"data: {"choices":[{"delta":{"content":"finish_reason"},"finish_reason":null}]}"#, false),
            (r#"data: {"finish_reason":"#, false),
        ] {
            assert_eq!(says_why_it_ended(event.as_bytes()), ends, "{event}");
        }
    }
}
