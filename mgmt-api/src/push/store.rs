//! Receivers as rows.

use foreman_protocol::{
    CreatePushReceiver, Event, Page, ProblemCode, ProblemReason, PushChoice, PushFailure, PushFailureCode,
    PushKind, PushReceiver, PushReceiverId, PushRemoved, PushTarget, TenantId, UpdatePushReceiver,
};
use sqlx::{Any, Executor, Row, any::AnyRow};

use super::{MOST, signed::Signer};
use crate::{
    auth::parse,
    db::{Db, Tx, now},
    events::Cause,
    problem::{ApiError, ApiResult},
    query::{Filter, Paging},
    sealing::Seal,
};

const COLUMNS: &str =
    "id, kind, name, via, place, choice, created_at, last_success_at, last_failure_at, last_failure";
/// Of the hash of a place, as shown.
const FINGERPRINT: usize = 16;

/// Whose receivers these are.
#[derive(Debug, Clone)]
pub struct Owner {
    pub tenant: TenantId,
    /// The account, as text.
    pub account: String,
}

/// A receiver as it is kept.
pub struct Kept {
    pub owner: Owner,
    /// The session or token that ends it.
    pub origin: String,
    pub via: Option<String>,
    /// The hash of its address.
    pub place: String,
    /// Sealed.
    pub target: String,
}

/// What a receiver may be renewed from.
pub struct Standing {
    pub place: String,
    pub origin: String,
}

/// What `target` of a receiver is sealed for.
fn about(id: &str) -> String {
    format!("push receiver {id}")
}

pub fn seal_target(seal: &Seal, place: &str, target: &PushTarget) -> ApiResult<String> {
    seal.seal(&about(place), serde_json::to_string(target)?.as_bytes())
}

pub fn open_target(seal: &Seal, place: &str, sealed: &str) -> ApiResult<PushTarget> {
    Ok(serde_json::from_slice(&seal.open_sealed(&about(place), sealed)?)?)
}

fn kind(text: &str) -> ApiResult<PushKind> {
    PushKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("unknown kind of receiver {text:?}")))
}

pub fn read(row: &AnyRow) -> ApiResult<PushReceiver> {
    let place: String = row.try_get("place")?;
    Ok(PushReceiver {
        id: parse(&row.try_get::<String, _>("id")?)?,
        kind: kind(&row.try_get::<String, _>("kind")?)?,
        name: row.try_get("name")?,
        via: row.try_get("via")?,
        fingerprint: place.chars().take(FINGERPRINT).collect(),
        choice: serde_json::from_str(&row.try_get::<String, _>("choice")?)?,
        created_at: row.try_get("created_at")?,
        last_success_at: row.try_get("last_success_at")?,
        last_failure_at: row.try_get("last_failure_at")?,
        last_failure: row.try_get::<Option<String>, _>("last_failure")?.map(failure),
    })
}

/// Rows from before there were codes hold a sentence.
fn failure(text: String) -> PushFailure {
    serde_json::from_str(&text)
        .unwrap_or(PushFailure { detail: Some(text), ..PushFailure::of(PushFailureCode::Unknown) })
}

pub async fn list(db: &Db, owner: &Owner, paging: &Paging) -> ApiResult<Page<PushReceiver>> {
    let mut filter = Filter::new("tenant_id =", owner.tenant.to_string());
    filter.text("owner =", owner.account.clone());
    paging.after(&mut filter, "id >");
    let sql = format!(
        "SELECT {COLUMNS} FROM push_receivers WHERE {} ORDER BY id LIMIT {}",
        filter.sql(),
        paging.fetch()
    );
    let rows = filter.fetch(db, sql).await?;
    let items = rows.iter().map(read).collect::<ApiResult<Vec<_>>>()?;
    Ok(paging.page(items, |receiver| receiver.id.to_string()))
}

async fn row<'c>(
    from: impl Executor<'c, Database = Any>,
    owner: &Owner,
    id: PushReceiverId,
) -> ApiResult<AnyRow> {
    let sql = format!(
        "SELECT {COLUMNS}, target FROM push_receivers WHERE id = $1 AND tenant_id = $2 AND owner = $3"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(owner.tenant.to_string())
        .bind(&owner.account)
        .fetch_optional(from)
        .await?
        .ok_or_else(|| ApiError::not_found("receiver"))
}

/// A receiver of this account, and how to reach it.
pub async fn find(
    db: &Db,
    seal: &Seal,
    owner: &Owner,
    id: PushReceiverId,
) -> ApiResult<(PushReceiver, PushTarget)> {
    let row = row(db.read(), owner, id).await?;
    let target =
        open_target(seal, &row.try_get::<String, _>("place")?, &row.try_get::<String, _>("target")?)?;
    Ok((read(&row)?, target))
}

/// Adds it, or renews the one at the same place.
pub async fn put(
    tx: &mut Tx,
    cause: &Cause,
    kept: &Kept,
    request: &CreatePushReceiver,
) -> ApiResult<(PushReceiver, bool)> {
    let tenant = kept.owner.tenant.to_string();
    let kind = request.target.kind();
    if kind.is_of_one() {
        hand_over(tx, cause, kept).await?;
    }
    let known =
        sqlx::query("SELECT id FROM push_receivers WHERE tenant_id = $1 AND owner = $2 AND place = $3")
            .bind(&tenant)
            .bind(&kept.owner.account)
            .bind(&kept.place)
            .fetch_optional(tx.conn())
            .await?;
    let (id, is_new) = match &known {
        Some(row) => (parse::<PushReceiverId>(&row.try_get::<String, _>(0)?)?, false),
        None => (PushReceiverId::fresh(), true),
    };
    if is_new {
        let count = sqlx::query("SELECT COUNT(*) FROM push_receivers WHERE tenant_id = $1 AND owner = $2")
            .bind(&tenant)
            .bind(&kept.owner.account)
            .fetch_one(tx.conn())
            .await?;
        if count.try_get::<i64, _>(0)? >= i64::from(MOST) {
            let message = format!("There are {MOST} receivers already. Remove one you do not need.");
            return Err(
                ApiError::new(ProblemCode::LimitReached, message).because(ProblemReason::ReceiversFull)
            );
        }
    }
    let since = tx.next_cursor(kept.owner.tenant).await? - 1;
    sqlx::query(
        "INSERT INTO push_receivers (id, tenant_id, owner, origin, kind, name, via, place, target, choice, since, \
         created_at, failures, next_at, busy_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, 0) \
         ON CONFLICT (tenant_id, owner, place) DO UPDATE SET origin = $4, name = $6, via = $7, target = $9, choice = $10, \
         failures = 0, next_at = 0",
    )
    .bind(id.to_string())
    .bind(&tenant)
    .bind(&kept.owner.account)
    .bind(&kept.origin)
    .bind(kind.as_str())
    .bind(&request.name)
    .bind(&kept.via)
    .bind(&kept.place)
    .bind(&kept.target)
    .bind(serde_json::to_string(&request.choice)?)
    .bind(since)
    .bind(now())
    .execute(tx.conn())
    .await?;
    let name = request.name.clone();
    let event = if is_new {
        Event::PushReceiverAdded { receiver_id: id, kind, name }
    } else {
        Event::PushReceiverUpdated { receiver_id: id, kind, name }
    };
    tx.emit(cause, event).await?;
    Ok((read(&row(tx.conn(), &kept.owner, id).await?)?, is_new))
}

/// The receiver that this browser or app is gets another address, or the session that keeps it from now on: by the
/// address it has, by the one it had (`was`, hashed), or by its session or token. `None` where this person has none and what
/// others were told at the address ended all the same.
pub async fn renew(
    tx: &mut Tx,
    cause: &Cause,
    kind: PushKind,
    kept: &Kept,
    was: Option<&str>,
) -> ApiResult<Option<PushReceiver>> {
    hand_over(tx, cause, kept).await?;
    let found = sqlx::query(
        "SELECT id, place, origin FROM push_receivers WHERE tenant_id = $1 AND owner = $2 AND kind = $3 \
         AND (place = $4 OR place = $5 OR origin = $6) \
         ORDER BY CASE WHEN place = $4 THEN 0 WHEN place = $5 THEN 1 ELSE 2 END, id DESC LIMIT 1",
    )
    .bind(kept.owner.tenant.to_string())
    .bind(&kept.owner.account)
    .bind(kind.as_str())
    .bind(&kept.place)
    .bind(was.unwrap_or(&kept.place))
    .bind(&kept.origin)
    .fetch_optional(tx.conn())
    .await?;
    let Some(found) = found else {
        // A browser gives its address up now. Apple's is of the whole app, which may need it for another server.
        return if kind == PushKind::Apns { Ok(None) } else { Err(ApiError::not_found("receiver")) };
    };
    let id = parse::<PushReceiverId>(&found.try_get::<String, _>("id")?)?;
    let before = read(&row(tx.conn(), &kept.owner, id).await?)?;
    let unchanged = found.try_get::<String, _>("place")? == kept.place
        && found.try_get::<String, _>("origin")? == kept.origin;
    if unchanged {
        return Ok(Some(before));
    }
    sqlx::query(
        "UPDATE push_receivers SET place = $1, target = $2, via = $3, origin = $4, failures = 0, next_at = 0 WHERE id = $5",
    )
    .bind(&kept.place)
    .bind(&kept.target)
    .bind(&kept.via)
    .bind(&kept.origin)
    .bind(id.to_string())
    .execute(tx.conn())
    .await?;
    let event = Event::PushReceiverUpdated { receiver_id: id, kind: before.kind, name: before.name };
    tx.emit(cause, event).await?;
    read(&row(tx.conn(), &kept.owner, id).await?).map(Some)
}

/// A browser or an app tells whoever signed in last: what others of this tenant were told there ends.
async fn hand_over(tx: &mut Tx, cause: &Cause, kept: &Kept) -> ApiResult<()> {
    let others =
        sqlx::query("SELECT id FROM push_receivers WHERE tenant_id = $1 AND place = $2 AND owner <> $3")
            .bind(kept.owner.tenant.to_string())
            .bind(&kept.place)
            .bind(&kept.owner.account)
            .fetch_all(tx.conn())
            .await?;
    for other in others {
        remove(tx, cause, &other.try_get::<String, _>(0)?, PushRemoved::SignedOut).await?;
    }
    Ok(())
}

pub async fn update(
    tx: &mut Tx,
    cause: &Cause,
    owner: &Owner,
    id: PushReceiverId,
    change: UpdatePushReceiver,
) -> ApiResult<PushReceiver> {
    let before = read(&row(tx.conn(), owner, id).await?)?;
    let name = change.name.unwrap_or_else(|| before.name.clone());
    let choice: PushChoice = change.choice.unwrap_or_else(|| before.choice.clone());
    if name == before.name && choice == before.choice {
        return Ok(before);
    }
    sqlx::query("UPDATE push_receivers SET name = $1, choice = $2, next_at = 0 WHERE id = $3")
        .bind(&name)
        .bind(serde_json::to_string(&choice)?)
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    let event = Event::PushReceiverUpdated { receiver_id: id, kind: before.kind, name: name.clone() };
    tx.emit(cause, event).await?;
    Ok(PushReceiver { name, choice, ..before })
}

pub async fn remove_own(tx: &mut Tx, cause: &Cause, owner: &Owner, id: PushReceiverId) -> ApiResult<()> {
    row(tx.conn(), owner, id).await?;
    remove(tx, cause, &id.to_string(), PushRemoved::Asked).await
}

/// Nothing when it is gone already.
pub async fn remove(tx: &mut Tx, cause: &Cause, id: &str, because: PushRemoved) -> ApiResult<()> {
    let row = sqlx::query("DELETE FROM push_receivers WHERE id = $1 RETURNING kind, name")
        .bind(id)
        .fetch_optional(tx.conn())
        .await?;
    removed(tx, cause, id, row, because).await
}

/// Only as it was: one that has another address or session by now stays.
pub async fn remove_as_it_was(
    tx: &mut Tx,
    cause: &Cause,
    id: PushReceiverId,
    was: &Standing,
    because: PushRemoved,
) -> ApiResult<()> {
    let id = id.to_string();
    let row = sqlx::query(
        "DELETE FROM push_receivers WHERE id = $1 AND place = $2 AND origin = $3 RETURNING kind, name",
    )
    .bind(&id)
    .bind(&was.place)
    .bind(&was.origin)
    .fetch_optional(tx.conn())
    .await?;
    removed(tx, cause, &id, row, because).await
}

/// Another server may write to it.
pub async fn let_go(tx: &mut Tx, id: PushReceiverId) -> ApiResult<()> {
    sqlx::query("UPDATE push_receivers SET busy_until = 0 WHERE id = $1")
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn removed(
    tx: &mut Tx,
    cause: &Cause,
    id: &str,
    row: Option<AnyRow>,
    because: PushRemoved,
) -> ApiResult<()> {
    let Some(row) = row else { return Ok(()) };
    let event = Event::PushReceiverRemoved {
        receiver_id: parse(id)?,
        kind: kind(&row.try_get::<String, _>(0)?)?,
        name: row.try_get(1)?,
        because,
    };
    tx.emit(cause, event).await?;
    Ok(())
}

/// The key that push services know this server by, made when there is none: the same for every server over one
/// database.
pub async fn signer(db: &Db, seal: &Seal) -> anyhow::Result<Signer> {
    const ABOUT: &str = "the push key";
    let fresh = seal.seal(ABOUT, &Signer::make()?)?;
    let sealed: String = db
        .write(move |tx| {
            Box::pin(async move {
                sqlx::query("INSERT INTO push_keys (id, sealed) VALUES (1, $1) ON CONFLICT (id) DO NOTHING")
                    .bind(fresh)
                    .execute(tx.conn())
                    .await?;
                let row =
                    sqlx::query("SELECT sealed FROM push_keys WHERE id = 1").fetch_one(tx.conn()).await?;
                Ok(row.try_get(0)?)
            })
        })
        .await?;
    Signer::es256(&zeroize::Zeroizing::new(seal.open_sealed(ABOUT, &sealed)?))
}
