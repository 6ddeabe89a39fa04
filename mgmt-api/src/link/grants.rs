//! Grants and revocations as the server carries them: it shows what they say and checks that they were signed,
//! but has no key to make one. Whether the signer counts is the device's to say.

use axum::{extract::State, http::StatusCode};
use foreman_link::grant::{Revocations, Trust, read_grant, read_revocation, verify_grant, verify_revocation};
use foreman_protocol::{
    AddGrant, AddRevocation, CarriedGrant, CommandAction, CommandId, DeviceId, Event, Grant, Page,
    ProblemCode, ProblemReason, RefusedBecause, Revocation, Revoked, Role, TenantId,
};
use sqlx::{Row, any::AnyRow};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::facts::is_key;
use crate::{
    App,
    auth::Caller,
    bounds, commands,
    db::{Db, Tx, now},
    devices::{announce, store},
    extract::{Json, Path, Query},
    problem::{ApiError, ApiResult},
    query::{Filter, Paging},
};

/// Grants of one device that are kept.
const MOST: i64 = 1_000;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(revoke))
}

/// The grants of a device, oldest first, those that were taken back or have expired included.
#[utoipa::path(get, path = "/api/v1/devices/{id}/grants", tag = "link", params(("id" = DeviceId, Path), Paging),
    responses((status = 200, body = Page<CarriedGrant>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    Query(paging): Query<Paging>,
) -> ApiResult<Json<Page<CarriedGrant>>> {
    caller.at_least(Role::Viewer)?;
    store::find(app.db.read(), caller.tenant, id).await?.ok_or_else(|| ApiError::not_found("device"))?;
    let mut filter = Filter::new("device_id =", id.to_string());
    paging.after(&mut filter, "id >");
    let sql = format!(
        "SELECT signed, revoke_asked_at, revoked_at FROM grants WHERE {} ORDER BY id LIMIT {}",
        filter.sql(),
        paging.fetch()
    );
    let rows = filter.fetch(&app.db, sql).await?;
    let items = rows.iter().map(read).collect::<ApiResult<Vec<_>>>()?;
    Ok(Json(paging.page(items, |carried| carried.grant.id.to_string())))
}

fn read(row: &AnyRow) -> ApiResult<CarriedGrant> {
    let signed: String = row.try_get("signed")?;
    let grant = read_grant(&signed).map_err(ApiError::internal)?;
    let revoke_asked_at = row.try_get("revoke_asked_at")?;
    Ok(CarriedGrant { signed, grant, revoke_asked_at, revoked_at: row.try_get("revoked_at")? })
}

/// Keeps a grant that an owner signed, so that its client finds it here.
#[utoipa::path(post, path = "/api/v1/devices/{id}/grants", tag = "link", params(("id" = DeviceId, Path)),
    request_body = AddGrant, responses((status = 201, body = CarriedGrant)))]
async fn add(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    Json(request): Json<AddGrant>,
) -> ApiResult<(StatusCode, Json<CarriedGrant>)> {
    caller.at_least(Role::Admin)?;
    let identity = identity(&app.db, caller.tenant, id).await?;
    let signed = request.grant.trim().to_owned();
    let grant = check_grant(&signed, &identity)?;
    let carried = CarriedGrant { signed, grant, revoke_asked_at: None, revoked_at: None };
    let (cause, kept) = (caller.cause(), carried.clone());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                if insert(tx, cause.tenant, id, &kept).await? {
                    announce(tx, &cause, id, |device| Event::GrantAdded { device, grant: kept.grant })
                        .await?;
                }
                Ok(())
            })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(carried)))
}

/// `false` when it is there already, word for word.
async fn insert(tx: &mut Tx, tenant: TenantId, device: DeviceId, carried: &CarriedGrant) -> ApiResult<bool> {
    let grant = &carried.grant;
    let known = sqlx::query("SELECT device_id, signed, revoked_at FROM grants WHERE id = $1")
        .bind(grant.id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    if let Some(known) = known {
        let same = known.try_get::<String, _>(0)? == device.to_string()
            && known.try_get::<String, _>(1)? == carried.signed;
        return match (same, known.try_get::<Option<i64>, _>(2)?) {
            (true, None) => Ok(false),
            (true, Some(_)) => Err(ApiError::conflict("This grant was taken back. Make a new one.")
                .because(ProblemReason::GrantTakenBack)),
            (false, _) => Err(ApiError::conflict("Another grant has this id. Make one with a fresh id.")),
        };
    }
    let count: i64 = sqlx::query("SELECT COUNT(*) FROM grants WHERE device_id = $1")
        .bind(device.to_string())
        .fetch_one(tx.conn())
        .await?
        .try_get(0)?;
    if count >= MOST {
        return Err(ApiError::new(
            ProblemCode::LimitReached,
            format!("This device has {count} grants, which is the most. Nothing was added."),
        )
        .because(ProblemReason::GrantsFull));
    }
    sqlx::query(
        "INSERT INTO grants (id, tenant_id, device_id, client_key, signed, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(grant.id.to_string())
    .bind(tenant.to_string())
    .bind(device.to_string())
    .bind(&grant.client)
    .bind(&carried.signed)
    .bind(now())
    .bind(grant.expires_at)
    .execute(tx.conn())
    .await?;
    Ok(true)
}

/// The key the device registered.
async fn identity(db: &Db, tenant: TenantId, device: DeviceId) -> ApiResult<String> {
    let row = sqlx::query("SELECT public_key FROM devices WHERE id = $1 AND tenant_id = $2")
        .bind(device.to_string())
        .bind(tenant.to_string())
        .fetch_optional(db.read())
        .await?
        .ok_or_else(|| ApiError::not_found("device"))?;
    row.try_get::<Option<String>, _>(0)?.ok_or_else(|| {
        ApiError::conflict("This device has not connected, so it has no identity to grant anything on.")
            .because(ProblemReason::DeviceNotConnected)
    })
}

fn check_grant(signed: &str, identity: &str) -> ApiResult<Grant> {
    let invalid = |message: &str| ApiError::invalid("grant", message);
    let grant = read_grant(signed).map_err(|error| invalid(&error.to_string()))?;
    bounds::name("grant", &grant.name)?;
    if !is_key(&grant.client) || !is_key(&grant.issuer) {
        return Err(invalid("The grant names a key that is none. Nothing was added."));
    }
    if grant.device != identity {
        return Err(invalid("The grant is for another device. Nothing was added."));
    }
    let issuers = [grant.issuer.clone()];
    let trust = Trust {
        issuers: &issuers,
        device: identity,
        client: &grant.client,
        now: now(),
        revocations: &Revocations::default(),
    };
    verify_grant(signed, &trust).map_err(|refused| match refused {
        RefusedBecause::Expired => invalid("The grant has expired already. Nothing was added."),
        _ => invalid("The grant's signature is not its issuer's. Nothing was added."),
    })
}

/// Carries a revocation to the device, and shows what it is about as asked to be taken back: whether who signed it is
/// an owner only the device knows, and it counts when the device says so.
#[utoipa::path(post, path = "/api/v1/devices/{id}/revocations", tag = "link", params(("id" = DeviceId, Path)),
    request_body = AddRevocation, responses((status = 202)))]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    Json(request): Json<AddRevocation>,
) -> ApiResult<StatusCode> {
    caller.at_least(Role::Admin)?;
    let identity = identity(&app.db, caller.tenant, id).await?;
    let text = request.revocation.trim().to_owned();
    let revocation = check_revocation(&text, &identity)?;
    let cause = caller.cause();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                mark(tx, id, &revocation.revokes, Mark::Asked).await?;
                let action = CommandAction::Revoke { revocation: text };
                commands::add(tx, &cause, id, CommandId::fresh(), None, &action).await?;
                let revoked = revocation.revokes;
                announce(tx, &cause, id, |device| Event::GrantRevocationAsked { device, revoked }).await
            })
        })
        .await?;
    Ok(StatusCode::ACCEPTED)
}

fn check_revocation(text: &str, identity: &str) -> ApiResult<Revocation> {
    let invalid = |message: &str| ApiError::invalid("revocation", message);
    let revocation = read_revocation(text).map_err(|error| invalid(&error.to_string()))?;
    if revocation.device != identity {
        return Err(invalid("The revocation is for another device. Nothing was changed."));
    }
    if matches!(&revocation.revokes, Revoked::Client(client) if !is_key(client)) {
        return Err(invalid("The revocation names a key that is none. Nothing was changed."));
    }
    verify_revocation(text, std::slice::from_ref(&revocation.issuer), identity)
        .map_err(|_| invalid("The revocation's signature is not its issuer's. Nothing was changed."))
}

/// How far a revocation has come.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    /// It is on its way to the device.
    Asked,
    /// The device said so.
    Done,
}

/// Shows what is carried for a device as taken back, or as asked to be.
pub(super) async fn mark(tx: &mut Tx, device: DeviceId, revoked: &Revoked, mark: Mark) -> ApiResult<()> {
    let change = match mark {
        Mark::Asked => "revoke_asked_at = COALESCE(revoke_asked_at, $1)",
        Mark::Done => "revoked_at = $1",
    };
    let (column, which) = match revoked {
        Revoked::Grant(id) => ("id", id.to_string()),
        Revoked::Client(client) => ("client_key", client.clone()),
    };
    let sql =
        format!("UPDATE grants SET {change} WHERE device_id = $2 AND {column} = $3 AND revoked_at IS NULL");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(now())
        .bind(device.to_string())
        .bind(which)
        .execute(tx.conn())
        .await?;
    Ok(())
}
