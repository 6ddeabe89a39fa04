//! How requests find their model, as people see and edit it: profiles with names, and what may be spent.

use axum::extract::State;
use foreman_protocol::{
    Event, ProblemCode, Role, Routing, RoutingOrder, RoutingProfile, SpendCaps, TenantId, UseFor,
};
use sqlx::{AnyConnection, Row};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::naming::carried;
use crate::{
    App,
    auth::Caller,
    db::{Db, Tx},
    events::Cause,
    extract::Json,
    problem::{ApiError, ApiResult},
};

/// The profile of who has no wish.
pub const AUTO: &str = "auto";
/// Requests longer than this look for `auto:long`, tokens.
pub const LONG_TOKENS: u32 = 32_000;
/// What `auto:long` asks for until somebody changes it, tokens.
const LONG_CONTEXT: u32 = 100_000;
const PROFILES: usize = 50;
const LISTED: usize = 50;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read, replace))
}

/// What stands until somebody changes it.
#[must_use]
pub fn defaults() -> Routing {
    let profile = |name: &str, order| RoutingProfile {
        name: name.to_owned(),
        order,
        private_only: false,
        use_for: None,
        min_context: None,
        models: Vec::new(),
        by_request: false,
    };
    let local = RoutingOrder::LocalFirst;
    Routing {
        profiles: vec![
            RoutingProfile { by_request: true, ..profile(AUTO, local) },
            RoutingProfile { private_only: true, ..profile("auto:private", local) },
            profile("auto:cheapest", RoutingOrder::Cheapest),
            RoutingProfile { use_for: Some(UseFor::Code), ..profile("auto:code", local) },
            RoutingProfile { use_for: Some(UseFor::Research), ..profile("auto:research", local) },
            RoutingProfile { min_context: Some(LONG_CONTEXT), ..profile("auto:long", local) },
        ],
        caps: SpendCaps::default(),
        revision: 0,
    }
}

/// What is stored, or the defaults.
pub async fn load(db: &Db, tenant: TenantId) -> ApiResult<Routing> {
    let mut conn = db.read().acquire().await?;
    find(&mut conn, tenant).await
}

async fn find(conn: &mut AnyConnection, tenant: TenantId) -> ApiResult<Routing> {
    let row = sqlx::query("SELECT body, revision FROM routing WHERE tenant_id = $1")
        .bind(tenant.to_string())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(defaults()) };
    let mut routing: Routing = serde_json::from_str(&row.try_get::<String, _>(0)?)?;
    routing.revision = row.try_get(1)?;
    Ok(routing)
}

/// How requests find their model.
#[utoipa::path(get, path = "/api/v1/routing", tag = "models", responses((status = 200, body = Routing)))]
async fn read(State(app): State<App>, caller: Caller) -> ApiResult<Json<Routing>> {
    caller.at_least(Role::Viewer)?;
    Ok(Json(load(&app.db, caller.tenant).await?))
}

/// Replaces it as a whole. `revision` is the one it was made from: `changed` when somebody was faster.
#[utoipa::path(put, path = "/api/v1/routing", tag = "models", request_body = Routing,
    responses((status = 200, body = Routing)))]
async fn replace(
    State(app): State<App>,
    caller: Caller,
    Json(routing): Json<Routing>,
) -> ApiResult<Json<Routing>> {
    caller.at_least(Role::Admin)?;
    check(&routing)?;
    let cause = caller.cause();
    let saved = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let now = find(tx.conn(), cause.tenant).await?;
                if now.revision != routing.revision {
                    return Err(ApiError::new(
                        ProblemCode::Changed,
                        "Somebody else changed the routing meanwhile. Nothing was saved; look at it and try again.",
                    ));
                }
                write(tx, &cause, routing).await
            })
        })
        .await?;
    // Whoever saved it sees it at work at once; other servers follow by the event.
    app.router.learn_routing(&app).await?;
    Ok(Json(saved))
}

async fn write(tx: &mut Tx, cause: &Cause, mut routing: Routing) -> ApiResult<Routing> {
    routing.revision += 1;
    sqlx::query(
        "INSERT INTO routing (tenant_id, body, revision) VALUES ($1, $2, $3) \
         ON CONFLICT (tenant_id) DO UPDATE SET body = excluded.body, revision = excluded.revision",
    )
    .bind(cause.tenant.to_string())
    .bind(serde_json::to_string(&routing)?)
    .bind(routing.revision)
    .execute(tx.conn())
    .await?;
    tx.emit(cause, Event::RoutingChanged { routing: Box::new(routing.clone()) }).await?;
    Ok(routing)
}

/// Gives what profiles list of a provider its other name.
pub async fn rename(tx: &mut Tx, cause: &Cause, from: &str, to: &str) -> ApiResult<()> {
    let mut routing = find(tx.conn(), cause.tenant).await?;
    let mut changed = false;
    for profile in &mut routing.profiles {
        if let Some(models) = carried(&profile.models, from, to) {
            profile.models = models;
            changed = true;
        }
    }
    if changed {
        write(tx, cause, routing).await?;
    }
    Ok(())
}

fn check(routing: &Routing) -> ApiResult<()> {
    let invalid = |message: String| Err(ApiError::invalid("profiles", message));
    if routing.profiles.len() > PROFILES {
        return invalid(format!("There can be {PROFILES} profiles."));
    }
    let mut names: Vec<&str> = routing.profiles.iter().map(|profile| profile.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return invalid(format!("There are two profiles {:?}.", twice[0]));
    }
    if !names.contains(&AUTO) {
        return invalid("There is always a profile \"auto\".".into());
    }
    for profile in &routing.profiles {
        let tail = profile.name.strip_prefix("auto:");
        let well = tail.is_some_and(|tail| {
            (1..=32).contains(&tail.len())
                && tail.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        });
        if profile.name != AUTO && !well {
            return invalid(format!(
                "{:?} is no name of a profile: auto, or auto: and lower-case letters, digits and dashes.",
                profile.name
            ));
        }
        if profile.models.len() > LISTED || profile.models.iter().any(|model| model.len() > 300) {
            return invalid(format!("A profile lists at most {LISTED} models."));
        }
        if let Some(odd) = profile.models.iter().find(|model| !model.contains('/')) {
            return invalid(format!("{odd:?} does not say which provider it is of. Write provider/model."));
        }
        if profile.order == RoutingOrder::AsListed && profile.models.is_empty() {
            return invalid(format!("{} goes by its list, and the list is empty.", profile.name));
        }
        if profile.by_request && profile.name != AUTO {
            return invalid("Only auto looks at the request.".into());
        }
    }
    let caps = [routing.caps.day_micros, routing.caps.month_micros];
    if caps.into_iter().flatten().any(|cap| cap < 0) {
        return Err(ApiError::invalid("caps", "What may be spent is not below zero."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_valid_routing() {
        check(&defaults()).unwrap();
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let with = |change: &dyn Fn(&mut Routing)| {
            let mut routing = defaults();
            change(&mut routing);
            check(&routing)
        };
        assert!(with(&|r| r.profiles.retain(|profile| profile.name != AUTO)).is_err());
        assert!(with(&|r| r.profiles.push(r.profiles[1].clone())).is_err());
        assert!(with(&|r| r.profiles[1].name = "auto:Nice One".into()).is_err());
        assert!(with(&|r| r.profiles[1].order = RoutingOrder::AsListed).is_err());
        assert!(with(&|r| r.profiles[1].models = vec!["no-provider".into()]).is_err());
        assert!(with(&|r| r.profiles[1].by_request = true).is_err());
        assert!(with(&|r| r.caps.day_micros = Some(-1)).is_err());
        assert!(with(&|r| r.profiles[1].models = vec!["openai/gpt-5".into()]).is_ok());
    }
}
