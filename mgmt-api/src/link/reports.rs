//! What devices tell of the use of their links becomes events, once however often it is told.

use foreman_protocol::{Device, DeviceId, Event, LinkReport, LinkUse, TenantId};
use sqlx::Row;

use crate::{
    App,
    db::{Tx, now},
    devices::announce,
    events::Cause,
    problem::ApiResult,
};

use super::grants;

/// For people: who, from where.
const NAME_CHARS: usize = 256;
const PATH_CHARS: usize = 4_096;
const ACTION_CHARS: usize = 32;
/// A device that was told "taken" forgets a report; this is longer than any answer is on its way.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;
/// Deleted in one write: others wait their turn in between.
const CHUNK: i64 = 1_000;

/// Takes one report.
pub async fn take(tx: &mut Tx, cause: &Cause, device: DeviceId, mut report: LinkReport) -> ApiResult<()> {
    let fresh = sqlx::query(
        "INSERT INTO link_reports (id, device_id, at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
    )
    .bind(report.id.to_string())
    .bind(device.to_string())
    .bind(now())
    .execute(tx.conn())
    .await?;
    if fresh.rows_affected() == 0 {
        return Ok(());
    }
    if let LinkUse::Refused { from, .. } = &mut report.what
        && let Some(name) = account_name(tx, cause.tenant, from).await?
    {
        *from = format!("{RELAY}{name}");
    }
    if let LinkUse::TakenBack { revoked, .. } = &report.what {
        grants::mark(tx, device, revoked, grants::Mark::Done).await?;
    }
    let Some(event) = event(report.what) else { return Ok(()) };
    announce(tx, cause, device, event).await?;
    Ok(())
}

/// Before the account of one who came over the relay.
const RELAY: &str = "relay, ";

/// What people call the account that a device was told of by its id.
async fn account_name(tx: &mut Tx, tenant: TenantId, from: &str) -> ApiResult<Option<String>> {
    let Some(account) = from.strip_prefix(RELAY) else { return Ok(None) };
    let (sql, id) = match (account.strip_prefix("user "), account.strip_prefix("token ")) {
        (Some(id), _) => ("SELECT name FROM users WHERE id = $1 AND tenant_id = $2", id),
        (_, Some(id)) => ("SELECT name FROM api_tokens WHERE id = $1 AND tenant_id = $2", id),
        _ => return Ok(None),
    };
    let row = sqlx::query(sql).bind(id).bind(tenant.to_string()).fetch_optional(tx.conn()).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// What it becomes; nothing when a newer agent tells what this server does not know.
fn event(what: LinkUse) -> Option<impl FnOnce(Box<Device>) -> Event + Send> {
    if matches!(what, LinkUse::Unknown) {
        return None;
    }
    Some(|device| match what {
        LinkUse::Refused { from, reason, count } => {
            Event::LinkRefused { device, from: clipped(&from, NAME_CHARS), reason, count }
        }
        LinkUse::TerminalOpened { terminal_id, by } => {
            Event::TerminalOpened { device, terminal_id, by: clipped(&by, NAME_CHARS) }
        }
        LinkUse::TerminalEnded { terminal_id, by } => {
            Event::TerminalEnded { device, terminal_id, by: clipped(&by, NAME_CHARS) }
        }
        LinkUse::FileChanged { action, path, by } => Event::FileChanged {
            device,
            action: clipped(&action, ACTION_CHARS),
            path: clipped(&path, PATH_CHARS),
            by: clipped(&by, NAME_CHARS),
        },
        // Who carried it there is worth less than what it was, which an owner signed.
        LinkUse::TakenBack { revoked, by: _ } => Event::GrantRevoked { device, revoked },
        LinkUse::Unknown => Event::DeviceUpdated { device },
    })
}

/// Cut rather than refused: a report that is never taken would be sent for ever.
fn clipped(text: &str, most_chars: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(most_chars).collect()
}

/// Forgets old ids, and grants that have been worth nothing for as long.
pub async fn prune(app: &App) -> ApiResult<()> {
    app.db
        .write(|tx| {
            Box::pin(async move {
                let before = now() - KEPT_MS;
                for sql in [
                    "DELETE FROM link_reports WHERE id IN \
                     (SELECT id FROM link_reports WHERE at < $1 ORDER BY at LIMIT $2)",
                    "DELETE FROM grants WHERE id IN \
                     (SELECT id FROM grants WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)",
                ] {
                    sqlx::query(sql).bind(before).bind(CHUNK).execute(tx.conn()).await?;
                }
                Ok(())
            })
        })
        .await
}
