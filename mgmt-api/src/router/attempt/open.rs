//! One try at one model: sent, waited for, and understood when it is an error.

use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use bytes::Bytes;
use foreman_link::h2::BoxError;
use foreman_protocol::{Millis, MissCause, ProblemCode, RouteMiss, UsageOutcome, WaitedFor};
use futures_util::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, Collected, Limited, combinators::UnsyncBoxBody};
use serde_json::{Value, json};

use super::{Content, Inquiry, Try, miss};
use crate::{
    App,
    db::now,
    problem::ApiError,
    providers::{Answer, Call, SendFailed, Wire, address, refusal, wire},
    router::{
        breaker,
        choose::Candidate,
        ledger::Meter,
        passing::{Format, Passing},
        shape,
        translate::answer,
    },
};

/// An answer that is not a stream, bytes.
const MOST_ANSWER: usize = 32 * 1024 * 1024;
/// What is read of an error, bytes.
const MOST_ERROR: usize = 256 * 1024;

/// What of a provider's headers reaches the client: nothing of its cookies or its network.
const TOLD: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-request-id"),
];
/// For these and what this server adds of its own: a map that grows is made anew each time.
const ROOM: usize = 24;
const TOLD_PREFIXES: [&str; 3] = ["anthropic-ratelimit-", "x-ratelimit-", "openai-"];

/// A body that is not passed on piece by piece.
pub fn collect(
    body: UnsyncBoxBody<Bytes, BoxError>,
    most: usize,
) -> BoxFuture<'static, Result<Bytes, BoxError>> {
    Limited::new(body, most).collect().map(|whole| whole.map(Collected::to_bytes)).boxed()
}

/// Until when a try may take, the connection included.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: tokio::time::Instant,
    patience: Duration,
    of: WaitedFor,
}

impl Deadline {
    pub fn after(patience: Duration, of: WaitedFor) -> Self {
        Self { at: tokio::time::Instant::now() + patience, patience, of }
    }

    pub async fn within<T>(self, work: impl Future<Output = T>) -> Result<T, Late> {
        tokio::time::timeout_at(self.at, work).await.map_err(|_| Late(self))
    }
}

/// It took longer than that.
pub struct Late(Deadline);

impl From<Late> for Try {
    fn from(late: Late) -> Self {
        let Deadline { patience, of, .. } = late.0;
        let what = if of == WaitedFor::FirstToken { "first token" } else { "answer" };
        let why = Some(format!("No {what} within {} s.", patience.as_secs()));
        Self::Missed { cause: MissCause::Timeout, status: None, waited_for: Some(of), why }
    }
}

/// Sends the request and waits for the answer's beginning, or all of it. The meter goes with a stream.
pub async fn open(
    app: &App,
    asked: &Inquiry,
    candidate: &Candidate<'_>,
    call: Call,
    meter: &mut Option<Meter>,
    deadline: Deadline,
) -> Try {
    let asked_at = now();
    let sent = deadline.within(app.providers.send(app, asked.who.tenant, candidate.known, call)).await;
    let answer = match sent {
        Err(late) => return late.into(),
        Ok(Ok(answer)) => answer,
        Ok(Err(failed)) => return not_sent(failed),
    };
    if !answer.status.is_success() {
        let tried = unsuccessful(app, asked, candidate, answer, asked_at);
        return deadline.within(tried).await.unwrap_or_else(Try::from);
    }
    let headers = told(&answer.headers);
    let event_stream = answer
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if asked.peek.stream && event_stream {
        return stream(app, asked, candidate, answer, headers, meter, deadline).await;
    }
    let body = match deadline.within(collect(answer.body, MOST_ANSWER)).await {
        Err(late) => return late.into(),
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return broke_off(&format!("The answer broke off: {error}")),
    };
    whole(asked, candidate, answer.status, headers, body, meter)
}

fn not_sent(failed: SendFailed) -> Try {
    match failed {
        SendFailed::Unreachable(why) => Try::missed(MissCause::Unreachable, Some(why)),
        SendFailed::Timeout => Try::Missed {
            cause: MissCause::Timeout,
            status: None,
            waited_for: Some(WaitedFor::Connection),
            why: Some("No connection in time.".into()),
        },
        SendFailed::Locked(error) => Try::Refused { cause: MissCause::Locked, error },
        SendFailed::Refused(error) => Try::Refused { cause: MissCause::Unreachable, error },
    }
}

fn broke_off(why: &str) -> Try {
    Try::missed(MissCause::Failed, Some(why.to_owned()))
}

fn whole(
    asked: &Inquiry,
    candidate: &Candidate<'_>,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
    meter: &mut Option<Meter>,
) -> Try {
    let spoken = wire(candidate.known.provider.kind);
    let content = if asked.format == spoken || asked.peek.needs.embeddings {
        body.clone()
    } else {
        let Ok(said) = serde_json::from_slice::<Value>(&body) else {
            return Try::Missed {
                cause: MissCause::Failed,
                status: Some(status.as_u16()),
                waited_for: None,
                why: Some("The answer is not JSON.".into()),
            };
        };
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        match asked.format {
            Wire::OpenAi => answer::to_openai(&said, now() / 1_000),
            Wire::Anthropic => answer::to_anthropic(&said),
        }
        .to_string()
        .into()
    };
    let mut usage = None;
    if let Some(mut meter) = meter.take() {
        meter.whole(&body);
        meter.first_token();
        meter.end(UsageOutcome::Answered);
        usage = Some(meter.usage());
    }
    Try::Answered { status, headers, content: Content::Whole(content), usage }
}

async fn stream(
    app: &App,
    asked: &Inquiry,
    candidate: &Candidate<'_>,
    answer: Answer,
    headers: HeaderMap,
    meter: &mut Option<Meter>,
    deadline: Deadline,
) -> Try {
    let Some(taken) = meter.take() else {
        return Try::Over(ApiError::internal(anyhow::anyhow!("a meter was lost")));
    };
    let format = Format {
        client: asked.format,
        provider: wire(candidate.known.provider.kind),
        usage_asked: asked.peek.usage_asked,
        input: i64::from(asked.peek.needs.input_tokens),
    };
    let mut passing = Passing::new(answer.body, format, taken, app.router.limits.idle);
    let missed = match deadline.within(passing.until_first_token()).await {
        Ok(Ok(())) => {
            let content = Content::Stream(Box::new(passing));
            return Try::Answered { status: answer.status, headers, content, usage: None };
        }
        Ok(Err(why)) => broke_off(&why),
        Err(late) => late.into(),
    };
    *meter = Some(passing.into_meter());
    missed
}

/// An answer that is an error: the next model's turn, or the client's to read.
pub async fn unsuccessful(
    app: &App,
    asked: &Inquiry,
    candidate: &Candidate<'_>,
    answer: Answer,
    asked_at: Millis,
) -> Try {
    let status = answer.status;
    let provider = &candidate.known.provider;
    let body = collect(answer.body, MOST_ERROR).await.unwrap_or_default();
    let why = shape::message_of(&body);
    let missed =
        |cause| Try::Missed { cause, status: Some(status.as_u16()), waited_for: None, why: why.clone() };
    // Who has too much to do says for how long as well as who was asked too much.
    if matches!(status.as_u16(), 429 | 503 | 529)
        && let Some(retry) = breaker::patience(&answer.headers, now())
        && let Some(change) = app.router.breakers.limited(provider.id, retry, Instant::now())
    {
        breaker::tell(app, asked.who.tenant, provider, change, why.clone());
    }
    match status.as_u16() {
        404 => return missed(MissCause::ModelMissing),
        400 | 403 if names_a_missing_model(&body) => return missed(MissCause::ModelMissing),
        429 => return missed(MissCause::RateLimited),
        408 | 500..=599 => return missed(MissCause::Failed),
        300..=399 => {
            let to = address::redirected(provider, status, &answer.headers);
            return to
                .map_or_else(|| missed(MissCause::Failed), |to| leads_elsewhere(candidate, status, &to));
        }
        // The client's key is fine; ours is not.
        _ if refusal::is_of_key(provider.kind, status, &body) => {
            refusal::noted(app, asked.who.tenant, provider, status.as_u16(), asked_at);
            return Try::Over(
                ApiError::new(
                    ProblemCode::UpstreamFailed,
                    format!(
                        "{} does not accept its key ({status}). Look at the provider under Models.",
                        provider.name
                    ),
                )
                .with(json!({ "tried": [RouteMiss { status: Some(status.as_u16()), ..miss(candidate, MissCause::KeyRefused) }] })),
            );
        }
        _ => {}
    }
    let mut headers = told(&answer.headers);
    let content = if asked.format == wire(provider.kind) {
        body
    } else {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        shape::refusal(asked.format, status, &body).to_string().into()
    };
    Try::Answered { status, headers, content: Content::Whole(content), usage: None }
}

/// No key goes where a provider points at by itself: another model's turn, and said where nothing else answers.
fn leads_elsewhere(candidate: &Candidate<'_>, status: StatusCode, to: &str) -> Try {
    let tried = RouteMiss { status: Some(status.as_u16()), ..miss(candidate, MissCause::Failed) };
    let message = format!("{}: {}", candidate.known.provider.name, address::leads_elsewhere(to));
    let error = ApiError::new(ProblemCode::UpstreamFailed, message);
    Try::Refused { cause: MissCause::Failed, error: error.with(json!({ "tried": [tried], "leads_to": to })) }
}

/// Some say 400 with a code for what others say 404.
fn names_a_missing_model(body: &[u8]) -> bool {
    let Ok(said) = serde_json::from_slice::<Value>(body) else { return false };
    let code = said["error"]["code"].as_str().or(said["code"].as_str()).unwrap_or_default();
    matches!(code, "model_not_found" | "model_not_available" | "invalid_model" | "unknown_model")
}

pub fn told(headers: &HeaderMap) -> HeaderMap {
    let passed = headers.iter().filter(|(name, _)| {
        TOLD.contains(name) || TOLD_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
    });
    let mut told = HeaderMap::with_capacity(ROOM);
    told.extend(passed.map(|(name, value)| (name.clone(), value.clone())));
    told
}

#[cfg(test)]
mod tests {
    use super::names_a_missing_model;

    #[test]
    fn a_missing_model_is_known_by_its_code_whatever_the_status() {
        for missing in [
            r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
            r#"{"object":"error","message":"Invalid model: x","code":"invalid_model"}"#,
        ] {
            assert!(names_a_missing_model(missing.as_bytes()), "{missing}");
        }
        for other in [
            r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
            r#"{"error":"no"}"#,
            "no",
            "",
        ] {
            assert!(!names_a_missing_model(other.as_bytes()), "{other}");
        }
    }
}
