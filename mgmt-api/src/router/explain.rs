//! What a request would get now, and why; asked by people before they ask a model. Nothing is sent. All is read anew: asked
//! after an event, it must not tell what was before it.

use std::collections::HashSet;

use axum::extract::State;
use foreman_protocol::{
    ExplainRoute, MissCause, ProfileNow, ProviderAway, ProviderFault, ProviderState, Role, Route,
    RouteExplained, RouteMiss, RoutingNow, SpendCaps,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Router,
    choose::{self, Candidate, Choice},
    peek::Needs,
};
use crate::{
    App,
    auth::Caller,
    extract::{Json, Query},
    problem::ApiResult,
    providers::Known,
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(explain)).routes(routes!(now))
}

/// Why a provider would be passed over now.
fn passed_over(router: &Router, known: &Known) -> Option<MissCause> {
    if !known.online {
        return Some(MissCause::Unreachable);
    }
    if known.provider.health.state == ProviderState::Locked {
        return Some(MissCause::Locked);
    }
    router.breakers.standing(known.provider.id)
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

/// Which model a request would get now, and why; nothing is sent.
#[utoipa::path(post, path = "/api/v1/routing/explain", tag = "models",
    request_body = ExplainRoute, responses((status = 200, body = RouteExplained)))]
async fn explain(
    State(app): State<App>,
    caller: Caller,
    Json(asked): Json<ExplainRoute>,
) -> ApiResult<Json<RouteExplained>> {
    caller.at_least(Role::Viewer)?;
    let routing = app.router.routing();
    let needs = Needs {
        tools: asked.tools,
        vision: asked.vision,
        input_tokens: asked.input_tokens,
        code: asked.code || asked.tools,
        research: asked.research,
        embeddings: asked.embeddings,
        price: routing.caps != SpendCaps::default(),
    };
    let catalogue = app.providers.renew(&app, caller.tenant).await?;
    let choice = choose::choose(&catalogue, &routing, &asked.model, &needs, &|_, _, _| true);
    let mut explained = RouteExplained {
        profile: choice.profile.map(str::to_owned),
        routes: Vec::new(),
        passed_over: Vec::new(),
        unfit: choice.unfit(),
    };
    for candidate in choice.candidates.into_iter().take(100) {
        match passed_over(&app.router, candidate.known) {
            Some(cause) => explained.passed_over.push(miss(&candidate, cause)),
            None => explained.routes.push(candidate.route(&[])),
        }
    }
    Ok(Json(explained))
}

#[derive(Debug, Deserialize, IntoParams)]
struct NowQuery {
    /// How long the question is with all that goes along, tokens.
    #[serde(default)]
    input_tokens: u32,
    /// It looks like work on code.
    #[serde(default)]
    code: bool,
    /// It has pictures.
    #[serde(default)]
    vision: bool,
}

/// What each profile would take now for one question, and who would not answer; nothing is sent.
#[utoipa::path(get, path = "/api/v1/routing/now", tag = "models", params(NowQuery),
    responses((status = 200, body = RoutingNow)))]
async fn now(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<NowQuery>,
) -> ApiResult<Json<RoutingNow>> {
    caller.at_least(Role::Viewer)?;
    let routing = app.router.routing();
    let needs = Needs {
        tools: false,
        vision: asked.vision,
        input_tokens: asked.input_tokens,
        code: asked.code,
        research: false,
        embeddings: false,
        price: routing.caps != SpendCaps::default(),
    };
    let catalogue = app.providers.renew(&app, caller.tenant).await?;
    let profiles = routing.profiles.iter().map(|profile| {
        let choice = choose::choose(&catalogue, &routing, &profile.name, &needs, &|_, _, _| true);
        ProfileNow { profile: profile.name.clone(), route: first(&app.router, &choice) }
    });
    let away = catalogue.providers.iter().filter_map(|known| {
        let provider = &known.provider;
        let refused = provider.health.fault == Some(ProviderFault::KeyRefused);
        let cause = passed_over(&app.router, known).or(refused.then_some(MissCause::KeyRefused))?;
        Some(ProviderAway { provider_id: provider.id, provider: provider.name.clone(), cause })
    });
    Ok(Json(RoutingNow { profiles: profiles.collect(), away: away.collect() }))
}

/// The one that would be asked, and of each provider before it the model that it stands in for.
fn first(router: &Router, choice: &Choice<'_>) -> Option<Route> {
    let mut missed = Vec::new();
    let mut gone = HashSet::new();
    for candidate in &choice.candidates {
        match passed_over(router, candidate.known) {
            None => return Some(candidate.route(&missed)),
            Some(cause) if gone.insert(candidate.known.provider.id) => missed.push(miss(candidate, cause)),
            Some(_) => {}
        }
    }
    None
}
