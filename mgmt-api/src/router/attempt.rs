//! Asking models in order until one answers. Another is tried only before the first token: on a refused connection, a
//! missing model, 408, 429, 5xx or no answer in time. What a provider refuses for a reason of the request is its
//! answer.

mod counting;
mod open;

use std::{collections::HashSet, time::Instant};

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use foreman_protocol::{
    MessageUsage, MissCause, ProblemCode, ProviderFault, ProviderId, ProviderKind, Route, RouteMiss,
    RouteUnfit, Routing, SpendCaps, UnfitBecause, UsageOutcome, WaitedFor,
};
use serde_json::{Value, json};

use super::{
    access::Who,
    breaker,
    choose::{self, Candidate, Choice},
    ledger::{Meter, Target},
    passing::Passing,
    peek::{Needs, Peek, without_stream_options},
    translate::{ask_anthropic, ask_openai},
    words,
};
use crate::{
    App,
    problem::{ApiError, ApiResult},
    providers::{Call, Catalogue, Wire, refusal, wire},
};
pub use counting::count;
use open::{Deadline, open};

/// Models that one request tries.
const TRIES: usize = 6;
/// A request, as it came.
pub struct Inquiry {
    pub who: Who,
    pub project: Option<String>,
    /// What the client speaks.
    pub format: Wire,
    pub peek: Peek,
    pub body: Bytes,
    /// For the provider, where it speaks the client's format.
    pub headers: HeaderMap,
    /// The route is to say who was not considered: a person reads it.
    pub in_full: bool,
}

/// What came of it.
pub struct Answered {
    pub route: Route,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub content: Content,
    /// Of an answer that is whole.
    pub usage: Option<MessageUsage>,
}

pub enum Content {
    Whole(Bytes),
    Stream(Box<Passing>),
}

/// How one try ended.
enum Try {
    Answered {
        status: StatusCode,
        headers: HeaderMap,
        content: Content,
        usage: Option<MessageUsage>,
    },
    Missed {
        cause: MissCause,
        status: Option<u16>,
        waited_for: Option<WaitedFor>,
        why: Option<String>,
    },
    /// The vault is locked, a device does not allow it, or its format has no word for what was asked: of use to
    /// whoever asked only when nothing else answers.
    Refused {
        cause: MissCause,
        error: ApiError,
    },
    /// Goes to whoever asked at once.
    Over(ApiError),
}

impl Try {
    /// Without a status: it did not get that far.
    fn missed(cause: MissCause, why: Option<String>) -> Self {
        Self::Missed { cause, status: None, waited_for: None, why }
    }
}

/// Asks until a model answers; returns with its first token, or the whole answer.
///
/// # Errors
/// `spend_cap_reached`, `model_unavailable`, `upstream_failed`, `rate_limited`, `vault_locked` and what a device says.
pub async fn answer(app: &App, asked: &Inquiry) -> ApiResult<Answered> {
    let routing = app.router.routing();
    app.router.ledger.check(asked.who.tenant, &routing.caps, asked.who.key.as_deref())?;
    let catalogue = app.providers.catalogue(app, asked.who.tenant).await?;
    let choice = chosen(asked, &catalogue, &routing);
    let Some(first) = choice.candidates.first() else { return Err(nothing_fits(asked, &choice)) };
    let mut meter = Meter::new(
        app.router.ledger.clone(),
        &asked.who,
        asked.project.clone(),
        i64::from(asked.peek.needs.input_tokens),
        Target { known: first.known, model: &first.model },
    );
    let mut missed: Vec<RouteMiss> = Vec::new();
    let mut refused: Option<ApiError> = None;
    let mut gone: HashSet<ProviderId> = HashSet::new();
    let mut tries = 0;
    for candidate in &choice.candidates {
        let provider = &candidate.known.provider;
        if gone.contains(&provider.id) || other_vectors(asked, first, candidate) {
            continue;
        }
        let may = match candidate.known.online {
            true => app.router.breakers.let_through(provider.id, Instant::now()),
            false => Err(MissCause::Unreachable),
        };
        if let Err(cause) = may {
            gone.insert(provider.id);
            missed.push(miss(candidate, cause));
            continue;
        }
        tries += 1;
        if tries > TRIES {
            break;
        }
        meter.missed(&missed);
        meter.begin(Target { known: candidate.known, model: &candidate.model })?;
        match attempt(app, asked, candidate, meter).await {
            (back, Try::Answered { status, mut headers, content, usage }) => {
                // Still here: the answer is a refusal.
                if let Some(mut meter) = back {
                    meter.end(UsageOutcome::Failed);
                }
                let mut route = candidate.route(&missed);
                if asked.in_full {
                    route.not_considered = choice.unfit_in_short();
                }
                words::tell(&route, &mut headers);
                return Ok(Answered { route, status, headers, content, usage });
            }
            (back, Try::Missed { cause, status, waited_for, why }) => {
                meter = back.ok_or_else(|| ApiError::internal(anyhow::anyhow!("a meter was lost")))?;
                tracing::debug!(provider = provider.name, model = %candidate.model.id, ?cause, status, ?waited_for, why, "tried in vain");
                // Another of its models would fare no better, but for one that is only missing.
                if cause != MissCause::ModelMissing {
                    gone.insert(provider.id);
                }
                missed.push(RouteMiss { status, waited_for, ..miss(candidate, cause) });
            }
            (back, Try::Refused { cause, error }) => {
                meter = back.ok_or_else(|| ApiError::internal(anyhow::anyhow!("a meter was lost")))?;
                gone.insert(provider.id);
                missed.push(miss(candidate, cause));
                refused.get_or_insert(error);
            }
            (back, Try::Over(error)) => {
                if let Some(mut meter) = back {
                    meter.end(UsageOutcome::Failed);
                }
                return Err(error);
            }
        }
    }
    meter.missed(&missed);
    meter.end(UsageOutcome::Failed);
    Err(refused.unwrap_or_else(|| all_failed(app, asked, &choice, &missed)))
}

fn chosen<'c>(asked: &Inquiry, catalogue: &'c Catalogue, routing: &'c Routing) -> Choice<'c> {
    let allowed =
        |profile: Option<&str>, provider: &str, model: &str| asked.who.allows(profile, provider, model);
    let capped = routing.caps != SpendCaps::default()
        || asked.who.key.as_ref().is_some_and(|key| key.cap_micros.is_some());
    let needs = Needs { price: capped, ..asked.peek.needs };
    choose::choose(catalogue, routing, &asked.peek.model, &needs, &allowed)
}

/// Vectors of one model mean nothing to another: only the same model may stand in.
fn other_vectors(asked: &Inquiry, first: &Candidate<'_>, candidate: &Candidate<'_>) -> bool {
    asked.peek.needs.embeddings && first.model.id != candidate.model.id
}

fn miss(candidate: &Candidate<'_>, cause: MissCause) -> RouteMiss {
    RouteMiss {
        provider: candidate.known.provider.name.clone(),
        model: candidate.model.id.clone(),
        cause,
        status: None,
        waited_for: None,
    }
}

fn nothing_fits(asked: &Inquiry, choice: &Choice<'_>) -> ApiError {
    let name = &asked.peek.model;
    let unfit = choice.unfit();
    let unpriced = unfit.iter().find(|unfit| unfit.because == UnfitBecause::Price);
    let message = match (choice.profile, unfit.is_empty()) {
        (None, true) => {
            format!("No provider has a model {name:?}, as far as is known. GET /v1/models lists them.")
        }
        (Some(_), true) => {
            "There is no model yet. Add a provider, or connect a device that runs Ollama.".to_owned()
        }
        (_, false) => match unpriced {
            Some(RouteUnfit { provider, model, .. }) => format!(
                "The price of {provider}/{model} is not known, and what may be spent is capped. Nothing was sent. \
                 Enter its price under Models; 0 where it costs nothing."
            ),
            None => format!(
                "No model fits {name:?}: those that are known are switched off, not allowed here or cannot do it."
            ),
        },
    };
    ApiError::new(ProblemCode::ModelUnavailable, message).with(json!({ "tried": [], "unfit": unfit }))
}

/// Seconds until the first of them may be asked again, where any of them said so.
fn patience(app: &App, choice: &Choice<'_>) -> Option<u64> {
    let now = Instant::now();
    let left =
        |candidate: &Candidate<'_>| app.router.breakers.patience_left(candidate.known.provider.id, now);
    let least = choice.candidates.iter().filter_map(left).min()?;
    // Rounded up: a moment too early is asked in vain.
    Some(least.as_secs() + u64::from(least.subsec_nanos() > 0))
}

fn all_failed(app: &App, asked: &Inquiry, choice: &Choice<'_>, missed: &[RouteMiss]) -> ApiError {
    let mut details = json!({ "tried": missed });
    let said: Vec<String> = missed.iter().map(words::miss).collect();
    let said = said.join("; ");
    let all = |cause: MissCause| missed.iter().all(|miss| miss.cause == cause);
    let error = if all(MissCause::RateLimited) {
        if let Some(wait) = patience(app, choice) {
            details["retry_after_s"] = wait.into();
        }
        ApiError::new(
            ProblemCode::RateLimited,
            format!("Too much was asked of every model that fits: {said}. Try again in a moment."),
        )
    } else if all(MissCause::ModelMissing) {
        let name = &asked.peek.model;
        ApiError::new(ProblemCode::ModelUnavailable, format!("No provider has {name:?} any more: {said}."))
    } else {
        ApiError::new(
            ProblemCode::UpstreamFailed,
            format!("No model answered: {said}. Nothing was lost but this request."),
        )
    };
    error.with(details)
}

/// The request in the provider's format.
fn request(asked: &Inquiry, candidate: &Candidate<'_>, spoken: Wire) -> ApiResult<Bytes> {
    let kind = candidate.known.provider.kind;
    let model = candidate.model.id.as_str();
    if asked.format == spoken {
        // Mistral always counts, and takes no field that it does not know.
        let mistral = kind == ProviderKind::Mistral;
        let out = asked.peek.request(&asked.body, model, spoken == Wire::OpenAi && !mistral)?;
        return match mistral && asked.peek.says_stream_options() {
            true => without_stream_options(&out),
            false => Ok(out),
        };
    }
    let body: Value = serde_json::from_slice(&asked.body)?;
    let translated = match spoken {
        Wire::Anthropic => ask_anthropic::request(&body, model, candidate.model.output_tokens)?,
        Wire::OpenAi => {
            let mut out = ask_openai::request(&body, model, kind == ProviderKind::Openai)?;
            if kind == ProviderKind::Mistral
                && let Some(fields) = out.as_object_mut()
            {
                fields.remove("stream_options");
            }
            out
        }
    };
    Ok(translated.to_string().into())
}

/// One try. The meter comes back unless the answer took it along.
async fn attempt(
    app: &App,
    asked: &Inquiry,
    candidate: &Candidate<'_>,
    meter: Meter,
) -> (Option<Meter>, Try) {
    let spoken = wire(candidate.known.provider.kind);
    if asked.peek.needs.embeddings && spoken == Wire::Anthropic {
        return (Some(meter), Try::missed(MissCause::ModelMissing, None));
    }
    let body = match request(asked, candidate, spoken) {
        Ok(body) => body,
        // In the client's own format it is the same for every provider.
        Err(error) if asked.format == spoken => return (Some(meter), Try::Over(error)),
        Err(error) => return (Some(meter), Try::Refused { cause: MissCause::Format, error }),
    };
    let limits = &app.router.limits;
    let call = Call {
        path: match (asked.peek.needs.embeddings, spoken) {
            (true, _) => "embeddings",
            (false, Wire::OpenAi) => "chat/completions",
            (false, Wire::Anthropic) => "messages",
        },
        body: Some(body),
        connect: limits.connect,
        headers: if asked.format == spoken { asked.headers.clone() } else { HeaderMap::new() },
    };
    let deadline = match asked.peek.stream {
        true => Deadline::after(limits.first_token, WaitedFor::FirstToken),
        false => Deadline::after(limits.whole, WaitedFor::Answer),
    };
    let mut meter = Some(meter);
    let tried = open(app, asked, candidate, call, &mut meter, deadline).await;
    note_health(app, asked, candidate, &tried);
    (meter, tried)
}

/// What a try says of its provider.
fn note_health(app: &App, asked: &Inquiry, candidate: &Candidate<'_>, tried: &Try) {
    let provider = &candidate.known.provider;
    let breakers = &app.router.breakers;
    if let Try::Answered { status, .. } = tried
        && status.is_success()
        && provider.health.fault == Some(ProviderFault::KeyRefused)
    {
        refusal::taken(app, asked.who.tenant, provider);
    }
    let (change, why) = match tried {
        Try::Answered { .. } | Try::Missed { cause: MissCause::ModelMissing, .. } => {
            (breakers.succeeded(provider.id, Instant::now()), None)
        }
        // Who asks for patience was told so where its headers were read.
        Try::Missed { cause: MissCause::RateLimited, .. } | Try::Refused { .. } | Try::Over(_) => return,
        Try::Missed { why, .. } => (breakers.failed(provider.id, Instant::now()), why.clone()),
    };
    if let Some(change) = change {
        breaker::tell(app, asked.who.tenant, provider, change, why);
    }
}
