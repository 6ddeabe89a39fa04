//! Tunnels as rows, and which of them is to be looked at next. A claim keeps two replicas from working on one.

use std::time::Duration;

use foreman_protocol::{Device, DeviceId, TenantId};
use sqlx::{Row, any::AnyRow};

use super::{changed, parts::Parts};
use crate::{
    auth::parse,
    db::{Db, Tx, now},
    devices::{announce, store as devices},
    events::Cause,
    problem::ApiResult,
};

/// A whole set is compared with Cloudflare this often …
const CHECK_MS: i64 = 10 * 60_000;
/// … one with an error sooner.
const RETRY_MS: i64 = 60_000;
/// Longer than one set can take.
const CLAIM_MS: i64 = Duration::from_secs(300).as_millis() as i64;

const COLUMNS: &str = "device_id, hostname, target, tunnel_id, dns_record_id, app_id, policy_id, service_token_id, \
     client_id, secret";

/// What is to be done.
pub enum Work {
    Keep {
        device: Box<Device>,
        parts: Parts,
    },
    /// The device is gone.
    Remove {
        device: DeviceId,
        parts: Parts,
    },
}

pub async fn find(db: &Db, tenant: TenantId, device: DeviceId) -> ApiResult<Option<Parts>> {
    let sql = format!("SELECT {COLUMNS} FROM tunnels WHERE device_id = $1 AND tenant_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(device.to_string())
        .bind(tenant.to_string())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &AnyRow) -> ApiResult<Parts> {
    Ok(Parts {
        name: format!("foreman-{}", row.try_get::<String, _>("device_id")?),
        hostname: row.try_get("hostname")?,
        target: row.try_get("target")?,
        tunnel: row.try_get("tunnel_id")?,
        service_token: row.try_get("service_token_id")?,
        client_id: row.try_get("client_id")?,
        secret: row.try_get("secret")?,
        app: row.try_get("app_id")?,
        policy: row.try_get("policy_id")?,
        record: row.try_get("dns_record_id")?,
        mended: false,
    })
}

/// The next set to look at, claimed for this process: of a device that has none, or that is due.
pub async fn claim(
    db: &Db,
    tenant: TenantId,
    fresh: impl Fn(&Device) -> Parts + Send + Sync + 'static,
) -> ApiResult<Option<Work>> {
    let idle = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM tunnels t WHERE t.tenant_id = $1 AND t.busy_until <= $2 AND (t.due_at <= $2 OR \
         (t.error IS NULL AND NOT EXISTS \
         (SELECT 1 FROM devices d WHERE d.id = t.device_id AND d.public_key IS NOT NULL)))) + \
         (SELECT COUNT(*) FROM devices d WHERE d.tenant_id = $1 AND d.public_key IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM tunnels t WHERE t.device_id = d.id))",
    )
    .bind(tenant.to_string())
    .bind(now())
    .fetch_one(db.read())
    .await?;
    if idle.try_get::<i64, _>(0)? == 0 {
        return Ok(None);
    }
    db.write(move |tx| Box::pin(async move {
        add_missing(tx, tenant, &fresh).await?;
        let sql = format!(
            "UPDATE tunnels SET busy_until = $1, due_at = $1 WHERE device_id = (SELECT t.device_id FROM tunnels t \
             WHERE t.tenant_id = $2 AND t.busy_until <= $3 AND (t.due_at <= $3 OR (t.error IS NULL AND NOT EXISTS \
             (SELECT 1 FROM devices d WHERE d.id = t.device_id AND d.public_key IS NOT NULL))) \
             ORDER BY t.due_at LIMIT 1) RETURNING {COLUMNS}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(now() + CLAIM_MS)
            .bind(tenant.to_string())
            .bind(now())
            .fetch_optional(tx.conn())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let parts = read(&row)?;
        let id: DeviceId = parse(&row.try_get::<String, _>("device_id")?)?;
        let connected = sqlx::query("SELECT 1 FROM devices WHERE id = $1 AND public_key IS NOT NULL")
            .bind(id.to_string())
            .fetch_optional(tx.conn())
            .await?
            .is_some();
        Ok(Some(match devices::find(tx.conn(), tenant, id).await? {
            Some(device) if connected => Work::Keep { device: Box::new(device), parts },
            _ => Work::Remove { device: id, parts },
        }))
    }))
    .await
}

async fn add_missing(
    tx: &mut Tx,
    tenant: TenantId,
    fresh: &(impl Fn(&Device) -> Parts + Send + Sync),
) -> ApiResult<()> {
    let missing = sqlx::query(
        "SELECT d.id FROM devices d WHERE d.tenant_id = $1 AND d.public_key IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM tunnels t WHERE t.device_id = d.id) LIMIT 100",
    )
    .bind(tenant.to_string())
    .fetch_all(tx.conn())
    .await?;
    for row in missing {
        let id: DeviceId = parse(&row.try_get::<String, _>(0)?)?;
        let Some(device) = devices::find(tx.conn(), tenant, id).await? else { continue };
        let parts = fresh(&device);
        sqlx::query(
            "INSERT INTO tunnels (device_id, tenant_id, hostname, target, due_at, busy_until) \
             VALUES ($1, $2, $3, $4, 0, 0)",
        )
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(parts.hostname)
        .bind(parts.target)
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// It is as it should be; with `told` it was not before.
pub async fn kept(
    db: &Db,
    device: DeviceId,
    parts: Parts,
    told: Option<(Cause, &'static str)>,
) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move {
            save(tx, device, &parts, None, now() + CHECK_MS).await?;
            let Some((cause, action)) = told else { return Ok(()) };
            let noted = sqlx::query("UPDATE devices SET tunnel_id = $1, tunnel_hostname = $2 WHERE id = $3")
                .bind(&parts.tunnel)
                .bind(&parts.hostname)
                .bind(device.to_string())
                .execute(tx.conn())
                .await?;
            // Deleted meanwhile: the next look removes the tunnel.
            if noted.rows_affected() > 0 {
                announce(tx, &cause, device, changed(action)).await?;
            }
            Ok(())
        })
    })
    .await
}

pub async fn failed(db: &Db, device: DeviceId, parts: Parts, error: String) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move { save(tx, device, &parts, Some(&error), now() + RETRY_MS).await })
    })
    .await
}

/// With an error, what is left stays written down.
pub async fn removed(db: &Db, device: DeviceId, parts: Parts, error: Option<String>) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move {
            if let Some(error) = error {
                return save(tx, device, &parts, Some(&error), now() + RETRY_MS).await;
            }
            for sql in [
                "DELETE FROM tunnels WHERE device_id = $1",
                "UPDATE devices SET tunnel_id = NULL, tunnel_hostname = NULL WHERE id = $1",
            ] {
                sqlx::query(sql).bind(device.to_string()).execute(tx.conn()).await?;
            }
            Ok(())
        })
    })
    .await
}

async fn save(tx: &mut Tx, device: DeviceId, parts: &Parts, error: Option<&str>, next: i64) -> ApiResult<()> {
    sqlx::query(
        "UPDATE tunnels SET target = $1, tunnel_id = $2, dns_record_id = $3, app_id = $4, policy_id = $5, \
         service_token_id = $6, client_id = $7, secret = $8, error = $9, \
         due_at = CASE WHEN due_at = 0 THEN 0 ELSE $10 END, busy_until = 0 \
         WHERE device_id = $11",
    )
    .bind(&parts.target)
    .bind(&parts.tunnel)
    .bind(&parts.record)
    .bind(&parts.app)
    .bind(&parts.policy)
    .bind(&parts.service_token)
    .bind(&parts.client_id)
    .bind(&parts.secret)
    .bind(error)
    .bind(next)
    .bind(device.to_string())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The next look comes now, or right after the one that is under way, which may have passed what changed.
pub async fn make_due(db: &Db, device: DeviceId) -> ApiResult<()> {
    db.write(move |tx| {
        Box::pin(async move {
            sqlx::query("UPDATE tunnels SET due_at = 0 WHERE device_id = $1")
                .bind(device.to_string())
                .execute(tx.conn())
                .await?;
            Ok(())
        })
    })
    .await
}
