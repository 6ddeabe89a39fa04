//! `/v1`: where clients of OpenAI's and Anthropic's APIs come in by changing their base address. What each speaks is
//! what it hears, errors included.

mod listing;

use axum::{
    Json,
    body::Body,
    extract::{FromRequestParts, Path, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use futures_util::StreamExt;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    access::{self, Who},
    attempt::{self, Answered, Content, Inquiry},
    peek, shape,
};
use crate::{
    App,
    extract::too_large,
    link::through::PassedOn,
    problem::{ApiError, ApiResult},
    providers::Wire,
};

/// A request, bytes: pictures are in it.
const MOST_BODY: usize = 32 * 1024 * 1024;
/// What of a client's headers reaches a provider that speaks its format.
const PASSED: [HeaderName; 3] = [
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("openai-beta"),
];
/// Says which project a request is for, in place of the key's.
const PROJECT: HeaderName = HeaderName::from_static("x-foreman-project");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(completions))
        .routes(routes!(messages))
        .routes(routes!(count_tokens))
        .routes(routes!(embeddings))
        .routes(routes!(models))
        .routes(routes!(model))
}

/// OpenAI's chat completions, streaming or not, answered by whichever model the request's `model` leads to.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "router",
    request_body(content = Object, description = "As OpenAI documents it; `model` may be a profile"),
    responses((status = 200, description = "As OpenAI documents it; x-foreman-… headers say which model and why")))]
async fn completions(State(app): State<App>, request: Request) -> Response {
    pass(&app, request, Wire::OpenAi, false).await
}

/// Anthropic's messages, streaming or not, answered by whichever model the request's `model` leads to.
#[utoipa::path(post, path = "/v1/messages", tag = "router",
    request_body(content = Object, description = "As Anthropic documents it; `model` may be a profile"),
    responses((status = 200, description = "As Anthropic documents it; x-foreman-… headers say which model and why")))]
async fn messages(State(app): State<App>, request: Request) -> Response {
    pass(&app, request, Wire::Anthropic, false).await
}

/// How many tokens a request to Anthropic's messages has: the vendor's count where the request would go to one of its
/// models, elsewhere an estimate, with `x-foreman-estimated`.
#[utoipa::path(post, path = "/v1/messages/count_tokens", tag = "router",
    request_body(content = Object, description = "As Anthropic documents it; `model` may be a profile"),
    responses((status = 200, description = "As Anthropic documents it: input_tokens")))]
async fn count_tokens(State(app): State<App>, request: Request) -> Response {
    let counted = async {
        let inquiry = inquiry(&app, request, Wire::Anthropic, false).await?;
        attempt::count(&app, &inquiry).await
    };
    answered(Wire::Anthropic, counted.await)
}

/// OpenAI's embeddings.
#[utoipa::path(post, path = "/v1/embeddings", tag = "router",
    request_body(content = Object, description = "As OpenAI documents it"),
    responses((status = 200, description = "As OpenAI documents it")))]
async fn embeddings(State(app): State<App>, request: Request) -> Response {
    pass(&app, request, Wire::OpenAi, true).await
}

async fn pass(app: &App, request: Request, format: Wire, embeddings: bool) -> Response {
    let outcome = async { attempt::answer(app, &inquiry(app, request, format, embeddings).await?).await };
    answered(format, outcome.await)
}

fn answered(format: Wire, outcome: ApiResult<Answered>) -> Response {
    match outcome {
        Ok(answered) => respond(format, answered),
        Err(error) => passed_on(shape::response(format, error)),
    }
}

async fn inquiry(app: &App, request: Request, format: Wire, embeddings: bool) -> ApiResult<Inquiry> {
    let (mut parts, body) = request.into_parts();
    let who = access::who(app, &mut parts).await?;
    let body = axum::body::to_bytes(body, MOST_BODY).await.map_err(|error| {
        let error: &dyn std::error::Error = &error;
        match std::iter::successors(Some(error), |error| error.source())
            .any(|error| error.is::<http_body_util::LengthLimitError>())
        {
            true => too_large(MOST_BODY),
            false => ApiError::invalid("body", "The request's body did not arrive whole."),
        }
    })?;
    let peek = peek::peek(&body, embeddings)?;
    let headers = parts.headers.iter().filter(|(name, _)| PASSED.contains(name));
    Ok(Inquiry {
        project: project(&parts.headers, &who)?,
        who,
        format,
        peek,
        body,
        headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
        in_full: false,
    })
}

/// A key's project is what it was made for; others may name one.
fn project(headers: &HeaderMap, who: &Who) -> ApiResult<Option<String>> {
    if let Some(project) = who.key.as_ref().and_then(|key| key.project.clone()) {
        return Ok(Some(project));
    }
    let Some(named) = headers.get(PROJECT) else { return Ok(None) };
    let named =
        named.to_str().map_err(|_| ApiError::invalid("x-foreman-project", "A project's name is text."))?;
    crate::bounds::name("x-foreman-project", named).map(Some)
}

fn respond(format: Wire, answered: Answered) -> Response {
    let stream = matches!(answered.content, Content::Stream(_));
    let body = match answered.content {
        Content::Whole(bytes) => Body::from(bytes),
        Content::Stream(passing) => {
            // An error that comes late is an event like any other: what was sent before it stays.
            let events = passing.map(move |event| {
                Ok::<_, std::convert::Infallible>(event.unwrap_or_else(|error| shape::event(format, error)))
            });
            Body::from_stream(events)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = answered.status;
    *response.headers_mut() = answered.headers;
    if stream {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    passed_on(response)
}

/// As it came: not compressed, which would hold pieces back.
fn passed_on(mut response: Response) -> Response {
    response.extensions_mut().insert(PassedOn);
    response
}

#[derive(Debug, Deserialize)]
struct Page {
    limit: Option<usize>,
    after_id: Option<String>,
}

/// All models the caller may ask, and the profiles; in Anthropic's shape for who sends `anthropic-version`.
#[utoipa::path(get, path = "/v1/models", tag = "router",
    responses((status = 200, description = "As OpenAI or Anthropic documents it")))]
async fn models(State(app): State<App>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let format = format_of(&parts.headers);
    let page = Query::<Page>::from_request_parts(&mut parts, &app).await.map(|page| page.0);
    let page = page.unwrap_or(Page { limit: None, after_id: None });
    let listed = async {
        let who = access::who(&app, &mut parts).await?;
        listing::all(&app, &who, format, page.limit, page.after_id.as_deref()).await
    };
    shown(format, listed.await)
}

/// One model.
#[utoipa::path(get, path = "/v1/models/{*model}", tag = "router",
    params(("model" = String, Path, description = "`provider/model`, a bare name or a profile")),
    responses((status = 200, description = "As OpenAI or Anthropic documents it")))]
async fn model(State(app): State<App>, Path(name): Path<String>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let format = format_of(&parts.headers);
    let found = async {
        let who = access::who(&app, &mut parts).await?;
        listing::one(&app, &who, format, &name).await
    };
    shown(format, found.await)
}

fn format_of(headers: &HeaderMap) -> Wire {
    if headers.contains_key(ANTHROPIC_VERSION) { Wire::Anthropic } else { Wire::OpenAi }
}

fn shown(format: Wire, listed: ApiResult<serde_json::Value>) -> Response {
    match listed {
        Ok(value) => axum::response::IntoResponse::into_response(Json(value)),
        Err(error) => shape::response(format, error),
    }
}
