//! Devices as rows.

use foreman_protocol::{Device, DeviceId, DeviceStatus, DeviceType, TenantId};
use sqlx::{Any, Executor, Row, any::AnyRow};

use crate::{
    auth::parse,
    db::Tx,
    problem::{ApiError, ApiResult},
};

/// Everything a client sees of a device; append `WHERE …` over `d` and `p`.
pub const SELECT: &str = "SELECT d.id, d.user_id, d.name, d.type, d.tunnel_id, d.tunnel_hostname, d.capabilities, d.policy, \
     d.link, d.created_at, d.agent_version, d.protocol_version, p.status, p.status_since, p.last_seen_at, p.gpu_memory_high, \
     p.version, \
     (SELECT COUNT(*) FROM tasks t WHERE t.device_id = d.id AND t.state = 'running') AS running_tasks, \
     (SELECT COUNT(*) FROM tasks t WHERE t.device_id = d.id AND t.state = 'queued') AS queued_tasks, \
     (SELECT s.body FROM samples s WHERE s.device_id = d.id ORDER BY s.at DESC LIMIT 1) AS latest, \
     (SELECT MAX(k.expires_at) FROM device_tokens k WHERE k.device_id = d.id AND k.used_at IS NULL) AS token_expires_at \
     FROM devices d JOIN presence p ON p.device_id = d.id";

pub async fn find<'c>(
    from: impl Executor<'c, Database = Any>,
    tenant: TenantId,
    id: DeviceId,
) -> ApiResult<Option<Device>> {
    let sql = format!("{SELECT} WHERE d.id = $1 AND d.tenant_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id.to_string())
        .bind(tenant.to_string())
        .fetch_optional(from)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Only the status: for what happens often and needs no more.
pub async fn status(tx: &mut Tx, tenant: TenantId, id: DeviceId) -> ApiResult<DeviceStatus> {
    let row = sqlx::query(
        "SELECT p.status FROM presence p JOIN devices d ON d.id = p.device_id WHERE d.id = $1 AND d.tenant_id = $2",
    )
    .bind(id.to_string())
    .bind(tenant.to_string())
    .fetch_optional(tx.conn())
    .await?
    .ok_or_else(|| ApiError::not_found("device"))?;
    read_status(&row.try_get::<String, _>(0)?)
}

pub fn read(row: &AnyRow) -> ApiResult<Device> {
    let json = |column: &str| row.try_get::<Option<String>, _>(column);
    Ok(Device {
        id: parse(&row.try_get::<String, _>("id")?)?,
        owner: row.try_get::<Option<String>, _>("user_id")?.map(|id| parse(&id)).transpose()?,
        name: row.try_get("name")?,
        device_type: read_type(&row.try_get::<String, _>("type")?)?,
        tunnel_id: row.try_get("tunnel_id")?,
        tunnel_hostname: row.try_get("tunnel_hostname")?,
        capabilities: json("capabilities")?.map(|text| serde_json::from_str(&text)).transpose()?,
        policy: json("policy")?.map(|text| serde_json::from_str(&text)).transpose()?,
        link: json("link")?.map(|text| serde_json::from_str(&text)).transpose()?,
        status: read_status(&row.try_get::<String, _>("status")?)?,
        status_since: row.try_get("status_since")?,
        last_seen_at: row.try_get("last_seen_at")?,
        created_at: row.try_get("created_at")?,
        agent_version: row.try_get("agent_version")?,
        protocol_version: row
            .try_get::<Option<i64>, _>("protocol_version")?
            .map(|version| u32::try_from(version).unwrap_or_default()),
        gpu_memory_high: row.try_get::<i64, _>("gpu_memory_high")? != 0,
        running_tasks: count(row, "running_tasks")?,
        queued_tasks: count(row, "queued_tasks")?,
        latest: json("latest")?.map(|text| serde_json::from_str(&text)).transpose()?,
        token_expires_at: row.try_get("token_expires_at")?,
        version: row.try_get("version")?,
    })
}

fn count(row: &AnyRow, column: &str) -> ApiResult<u32> {
    Ok(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(u32::MAX))
}

pub const fn type_text(device_type: DeviceType) -> &'static str {
    match device_type {
        DeviceType::GpuCompute => "gpu_compute",
        DeviceType::Inference => "inference",
        DeviceType::LlmEndpoint => "llm_endpoint",
    }
}

fn read_type(text: &str) -> ApiResult<DeviceType> {
    [DeviceType::GpuCompute, DeviceType::Inference, DeviceType::LlmEndpoint]
        .into_iter()
        .find(|kind| type_text(*kind) == text)
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("unknown device type {text:?} in the database")))
}

pub const fn status_text(status: DeviceStatus) -> &'static str {
    match status {
        DeviceStatus::Pending => "pending",
        DeviceStatus::Online => "online",
        DeviceStatus::Offline => "offline",
    }
}

pub fn read_status(text: &str) -> ApiResult<DeviceStatus> {
    [DeviceStatus::Pending, DeviceStatus::Online, DeviceStatus::Offline]
        .into_iter()
        .find(|status| status_text(*status) == text)
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("unknown device status {text:?} in the database")))
}
