//! Signing a program in by the browser: OAuth 2.1's authorization code for native apps (RFC 8252), with PKCE (RFC 7636)
//! and nothing else. The page is the dashboard's `/authorize`: it shows who asks and where the code goes, and a person
//! decides each time anew. Looking at a request changes nothing; only a person's POST from our own page does.

mod codes;
mod issuer;
mod request;

use std::net::SocketAddr;

use axum::{
    Form,
    extract::{ConnectInfo, State, rejection::FormRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use foreman_protocol::{
    AuthorizationDecided, AuthorizationError, AuthorizationLook, AuthorizationRequest, AuthorizationServer,
    AuthorizationToken, DecideAuthorization, Event, ExchangeCode, ProblemCode, Role, SignInMeans, TokenError,
    TokenProblem,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    codes::{Allowed, Claim},
    request::{Asked, Understood},
};
use crate::{
    App,
    auth::{Caller, Identity, attempts::failed},
    events::Cause,
    extract::{Json, Query},
    problem::{ApiError, ApiResult},
    secrets::{self, Kind},
};

/// Where programs learn what this server offers; RFC 8414, section 3.
const METADATA: &str = "/.well-known/oauth-authorization-server";

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(look, decide)).routes(routes!(token)).route(METADATA, get(metadata))
}

/// What a program asks for. Nothing changes by looking.
#[utoipa::path(get, path = "/api/v1/auth/authorize", tag = "accounts", params(AuthorizationRequest),
    responses((status = 200, body = AuthorizationLook)))]
async fn look(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Query(request): Query<AuthorizationRequest>,
) -> ApiResult<Json<AuthorizationLook>> {
    person(&caller)?;
    Ok(Json(match request::understand(request)? {
        Understood::Asked(asked) => AuthorizationLook::Ask {
            client: asked.client,
            role: asked.role.unwrap_or(caller.role).min(caller.role),
            client_name: asked.client_name,
            redirect_uri: asked.redirect_uri,
        },
        Understood::Refused { error, back } => {
            let redirect_to = back.refusal(error, &issuer::of(&headers, &app.settings))?;
            AuthorizationLook::Refuse { error, redirect_to }
        }
    }))
}

/// Allows or denies, and says where the browser goes.
#[utoipa::path(post, path = "/api/v1/auth/authorize", tag = "accounts", request_body = DecideAuthorization,
    responses((status = 200, body = AuthorizationDecided)))]
async fn decide(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    caller: Caller,
    headers: HeaderMap,
    Json(decision): Json<DecideAuthorization>,
) -> ApiResult<Json<AuthorizationDecided>> {
    app.attempts.sign_in(from.ip())?;
    person(&caller)?;
    let issuer = issuer::of_page(&headers, &app.settings)?;
    let asked = match request::understand(decision.request)? {
        Understood::Asked(asked) => asked,
        Understood::Refused { error, back } => {
            return Ok(Json(AuthorizationDecided { redirect_to: back.refusal(error, &issuer)? }));
        }
    };
    let redirect_to = if decision.allow {
        let role = decision.role.or(asked.role).unwrap_or(caller.role);
        caller.at_least(role)?;
        allow(&app, &caller, asked, role, &issuer).await?
    } else {
        deny(&app, &caller, asked, &issuer).await?
    };
    Ok(Json(AuthorizationDecided { redirect_to }))
}

async fn allow(app: &App, caller: &Caller, asked: Asked, role: Role, issuer: &str) -> ApiResult<String> {
    let code = secrets::generate(Kind::AuthorizationCode);
    let redirect_to = asked.back().granted(&code, issuer)?;
    let allowed = Allowed::of(asked, role, caller);
    app.db.write(move |tx| Box::pin(async move { codes::keep(tx, &code, &allowed).await })).await?;
    Ok(redirect_to)
}

async fn deny(app: &App, caller: &Caller, asked: Asked, issuer: &str) -> ApiResult<String> {
    let redirect_to = asked.back().refusal(AuthorizationError::AccessDenied, issuer)?;
    let (cause, name) = (caller.cause(), asked.client_name);
    let denied = Event::SignInFailed { name, means: None, wait_s: None };
    app.db.write(move |tx| Box::pin(async move { tx.emit(&cause, denied).await })).await?;
    Ok(redirect_to)
}

/// A token that could make tokens would outlive its own revocation.
fn person(caller: &Caller) -> ApiResult<()> {
    match caller.identity {
        Identity::User { .. } => Ok(()),
        Identity::Token { .. } => Err(ApiError::new(
            ProblemCode::Forbidden,
            "Only a person who is signed in can decide this, not a program's token.",
        )),
    }
}

/// Exchanges a code, once, for the program's own token. A code that comes a second time takes that token back.
#[utoipa::path(post, path = "/api/v1/auth/token", tag = "accounts",
    request_body(content = ExchangeCode, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = AuthorizationToken), (status = 400, body = TokenProblem)))]
async fn token(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    form: Result<Form<ExchangeCode>, FormRejection>,
) -> ApiResult<Response> {
    app.attempts.sign_in(from.ip())?;
    let claim = form.map_err(|_| TokenError::InvalidRequest).and_then(|Form(form)| Claim::of(form));
    let outcome = match claim {
        Ok(claim) => codes::exchange(&app, claim, from.ip()).await?,
        Err(error) => Err(error),
    };
    if matches!(outcome, Err(TokenError::InvalidGrant)) {
        let (cause, unknown) = (Cause::anonymous(app.tenant, from.ip()), ApiError::unauthenticated());
        let answer = failed(&app, from.ip(), cause, SignInMeans::Code, "", unknown).await;
        if answer.code != ProblemCode::Unauthenticated {
            return Err(answer);
        }
    }
    let mut response = match outcome {
        Ok(token) => Json(token).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(TokenProblem { error })).into_response(),
    };
    // RFC 6749, section 5.1.
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What this server offers programs that sign in by the browser.
async fn metadata(State(app): State<App>, headers: HeaderMap) -> Response {
    let issuer = issuer::of(&headers, &app.settings);
    let only = |what: &str| vec![what.to_owned()];
    let described = AuthorizationServer {
        authorization_endpoint: format!("{issuer}/authorize"),
        token_endpoint: format!("{issuer}/api/v1/auth/token"),
        response_types_supported: only("code"),
        grant_types_supported: only("authorization_code"),
        code_challenge_methods_supported: only("S256"),
        token_endpoint_auth_methods_supported: only("none"),
        scopes_supported: Role::ALL.map(|role| role.as_str().to_owned()).to_vec(),
        authorization_response_iss_parameter_supported: true,
        issuer,
    };
    // It depends on the name that was asked.
    ([(header::CACHE_CONTROL, "no-store")], Json(described)).into_response()
}
