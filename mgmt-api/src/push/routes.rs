//! Receivers over HTTP. Everybody has their own and sees no others.

use axum::{extract::State, http::StatusCode};
use foreman_protocol::{
    AppleDevice, CreatePushReceiver, Page, ProblemCode, PushChoice, PushFailure, PushFailureCode, PushKind,
    PushOffer, PushReceiver, PushReceiverId, PushRemoved, PushTarget, RenewPushReceiver, RenewedTarget, Role,
    UpdatePushReceiver,
};
use sha2::{Digest, Sha256};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    MOST,
    carrier::Outcome,
    deliver, ntfy, place, quiet,
    seal::{BASE64, Keys},
    store::{self, Kept, Owner},
};
use crate::{
    App,
    auth::{Caller, Identity},
    bounds,
    db::now,
    events::hex,
    extract::{Json, Path, Query},
    problem::{ApiError, ApiResult},
    query::Paging,
};
use base64::Engine;

/// Between two tests of one receiver.
const TEST_EVERY_MS: i64 = 3_000;
const LONGEST_TOKEN: usize = 4_096;
const LONGEST_MARK: usize = 64;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(offer))
        .routes(routes!(list, create))
        .routes(routes!(renew))
        .routes(routes!(update, remove))
        .routes(routes!(test))
}

fn owner(caller: &Caller) -> Owner {
    Owner { tenant: caller.tenant, account: caller.account().to_string() }
}

/// What this server can push to, and the key that browsers subscribe with.
#[utoipa::path(get, path = "/api/v1/push", tag = "push", responses((status = 200, body = PushOffer)))]
async fn offer(State(app): State<App>, caller: Caller) -> ApiResult<Json<PushOffer>> {
    caller.at_least(Role::Viewer)?;
    let carriers = &app.push.carriers;
    let public_key = BASE64.encode(carriers.signer.public());
    Ok(Json(PushOffer { kinds: carriers.kinds(), public_key, most: MOST }))
}

/// Where this account is told. How to reach them is never shown.
#[utoipa::path(get, path = "/api/v1/push/receivers", tag = "push", params(Paging),
    responses((status = 200, body = Page<PushReceiver>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> ApiResult<Json<Page<PushReceiver>>> {
    caller.at_least(Role::Viewer)?;
    Ok(Json(store::list(&app.db, &owner(&caller), &paging).await?))
}

/// Adds a receiver, or renews the one at the same place.
#[utoipa::path(post, path = "/api/v1/push/receivers", tag = "push", request_body = CreatePushReceiver,
    responses((status = 201, body = PushReceiver), (status = 200, body = PushReceiver)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(mut request): Json<CreatePushReceiver>,
) -> ApiResult<(StatusCode, Json<PushReceiver>)> {
    caller.at_least(Role::Viewer)?;
    request.name = bounds::name("name", &request.name)?;
    request.choice = checked(request.choice)?;
    let kept = kept(&app, &caller, &mut request.target)?;
    let cause = caller.cause();
    let (receiver, is_new) = app
        .db
        .write(move |tx| Box::pin(async move { store::put(tx, &cause, &kept, &request).await }))
        .await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(receiver)))
}

/// Tells a browser or an app at its new address what it was told at its old one, for the session or token that asks.
/// `not_found` where this account is not told there: then it gives its subscription up.
#[utoipa::path(post, path = "/api/v1/push/receivers/renew", tag = "push", request_body = RenewPushReceiver,
    responses((status = 200, body = PushReceiver)))]
async fn renew(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<RenewPushReceiver>,
) -> ApiResult<Json<PushReceiver>> {
    caller.at_least(Role::Viewer)?;
    let mut target = match (request.kind, request.target) {
        (None | Some(PushKind::WebPush), RenewedTarget::Endpoint(endpoint)) => PushTarget::WebPush(endpoint),
        (Some(PushKind::UnifiedPush), RenewedTarget::Endpoint(endpoint)) => PushTarget::UnifiedPush(endpoint),
        (Some(PushKind::Apns), RenewedTarget::Apple(device)) => PushTarget::Apns(device),
        _ => {
            let only = "Only web_push and unified_push are renewed, and apns with a device token.";
            return Err(ApiError::invalid("kind", only));
        }
    };
    let (kind, kept) = (target.kind(), kept(&app, &caller, &mut target)?);
    let (was, cause) = (request.was.map(|was| hashed(&was)), caller.cause());
    let renewed = app
        .db
        .write(move |tx| Box::pin(async move { store::renew(tx, &cause, kind, &kept, was.as_deref()).await }))
        .await?;
    app.push.due.notify_one();
    renewed.map(Json).ok_or_else(|| ApiError::not_found("receiver"))
}

/// Renames it, or chooses what it is told.
#[utoipa::path(patch, path = "/api/v1/push/receivers/{id}", tag = "push", params(("id" = PushReceiverId, Path)),
    request_body = UpdatePushReceiver, responses((status = 200, body = PushReceiver)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PushReceiverId>,
    Json(mut request): Json<UpdatePushReceiver>,
) -> ApiResult<Json<PushReceiver>> {
    caller.at_least(Role::Viewer)?;
    request.name = request.name.map(|name| bounds::name("name", &name)).transpose()?;
    request.choice = request.choice.map(checked).transpose()?;
    let (owner, cause) = (owner(&caller), caller.cause());
    let updated = app
        .db
        .write(move |tx| Box::pin(async move { store::update(tx, &cause, &owner, id, request).await }))
        .await?;
    app.push.due.notify_one();
    Ok(Json(updated))
}

/// Tells it nothing any more.
#[utoipa::path(delete, path = "/api/v1/push/receivers/{id}", tag = "push", params(("id" = PushReceiverId, Path)),
    responses((status = 204)))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PushReceiverId>,
) -> ApiResult<StatusCode> {
    caller.at_least(Role::Viewer)?;
    let (owner, cause) = (owner(&caller), caller.cause());
    app.db.write(move |tx| Box::pin(async move { store::remove_own(tx, &cause, &owner, id).await })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends it a test right now and says how that went.
#[utoipa::path(post, path = "/api/v1/push/receivers/{id}/test", tag = "push", params(("id" = PushReceiverId, Path)),
    responses((status = 204)))]
async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PushReceiverId>,
) -> ApiResult<StatusCode> {
    caller.at_least(Role::Viewer)?;
    let (receiver, target) = store::find(&app.db, &app.seal, &owner(&caller), id).await?;
    let last = receiver.last_success_at.max(receiver.last_failure_at).unwrap_or_default();
    let wait = TEST_EVERY_MS - (now() - last);
    if wait > 0 {
        let error = ApiError::new(ProblemCode::RateLimited, "It was written to a moment ago. Wait a little.");
        return Err(error.with(serde_json::json!({ "retry_after_s": wait / 1_000 + 1 })));
    }
    let outcome = deliver::try_out(&app, &receiver, &target).await?;
    if outcome == Outcome::Gone {
        deliver::remove(&app.db, caller.tenant, id, PushRemoved::Gone).await?;
        return Err(failed(&PushFailure::of(PushFailureCode::Gone)));
    }
    let noted = outcome.clone();
    app.db.write(move |tx| Box::pin(async move { deliver::note(tx, id, Some(&noted), 0, 0).await })).await?;
    match outcome {
        Outcome::Taken | Outcome::Gone => Ok(StatusCode::NO_CONTENT),
        Outcome::Later { why, .. } | Outcome::Refused { why } => Err(failed(&why)),
    }
}

fn failed(why: &PushFailure) -> ApiError {
    let message = match why.code {
        PushFailureCode::Gone => "This receiver is no more, so it was removed here.",
        _ => "The push did not get through. The details say why.",
    };
    ApiError::new(ProblemCode::UpstreamFailed, message).with(serde_json::json!({ "failure": why }))
}

/// As it is kept, once it is checked.
fn kept(app: &App, caller: &Caller, target: &mut PushTarget) -> ApiResult<Kept> {
    let via = check_target(app, target)?;
    let place = place_of(target);
    let sealed = store::seal_target(&app.seal, &place, target)?;
    Ok(Kept { owner: owner(caller), origin: origin(caller, target.kind()), via, target: sealed, place })
}

fn checked(mut choice: PushChoice) -> ApiResult<PushChoice> {
    choice.rules = choice.rules.bounded();
    if choice.time_zone.as_ref().is_some_and(|zone| zone.len() > 64 || !quiet::is_zone(zone)) {
        return Err(ApiError::invalid("time_zone", "This is no time zone. One is Europe/Vienna."));
    }
    Ok(choice)
}

/// The host that carries it, for people.
fn check_target(app: &App, target: &mut PushTarget) -> ApiResult<Option<String>> {
    let carriers = &app.push.carriers;
    if !carriers.kinds().contains(&target.kind()) {
        return Err(ApiError::invalid("target", "This server is not configured to push there."));
    }
    let address = match target {
        PushTarget::WebPush(endpoint) | PushTarget::UnifiedPush(endpoint) => {
            Keys::read(&endpoint.p256dh, &endpoint.auth)
                .ok_or_else(|| ApiError::invalid("p256dh", "These are not the keys of a subscription."))?;
            &endpoint.endpoint
        }
        PushTarget::Ntfy { address, token } => {
            *address = ntfy::checked(address, carriers.private)?;
            *token = token.take().map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
            if let Some(token) = token {
                visible("token", token)?;
            }
            address
        }
        PushTarget::Apns(AppleDevice { token, mark }) => {
            if !(32..=400).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(ApiError::invalid("token", "This is not a device token."));
            }
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if mark.as_ref().is_some_and(|mark| mark.len() > LONGEST_MARK || !mark.bytes().all(plain)) {
                return Err(ApiError::invalid("mark", "This is not a mark."));
            }
            return Ok(None);
        }
        PushTarget::Fcm { token } => {
            visible("token", token)?;
            return Ok(None);
        }
    };
    let url = place::checked("endpoint", address, carriers.private)?;
    Ok(url.host_str().map(str::to_owned))
}

fn visible(field: &str, token: &str) -> ApiResult<()> {
    if (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(ApiError::invalid(field, "This is not a token."))
}

fn place_of(target: &PushTarget) -> String {
    let address = match target {
        PushTarget::WebPush(endpoint) | PushTarget::UnifiedPush(endpoint) => &endpoint.endpoint,
        PushTarget::Ntfy { address, .. } => address,
        PushTarget::Apns(AppleDevice { token, .. }) | PushTarget::Fcm { token } => token,
    };
    hashed(address)
}

fn hashed(address: &str) -> String {
    hex(&Sha256::digest(address.as_bytes()))
}

/// A browser's subscription ends with its session, an app's with its token; what a person named stays theirs.
fn origin(caller: &Caller, kind: PushKind) -> String {
    match &caller.identity {
        Identity::User { session, .. } if kind == PushKind::WebPush => format!("session {session}"),
        Identity::User { id, .. } => format!("user {id}"),
        Identity::Token { id, .. } => format!("token {id}"),
    }
}
