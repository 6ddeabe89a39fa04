//! What a device says of its link, checked before it is believed: whoever has a device's bearer could otherwise
//! hand every client another key.

use foreman_link::grant::{
    LinkKeyError, Revocations, Trust, decode_key, read_grant, verify_grant, verify_link_key,
};
use foreman_protocol::{DeviceId, DeviceLink, Level, LinkFacts, RefusedBecause};
use sqlx::Row;

use crate::{
    bounds,
    db::{Tx, now},
    problem::{ApiError, ApiResult},
};

const ADDRESSES: usize = 32;
const ADDRESS_BYTES: usize = 128;
const NAME_BYTES: usize = 253;
/// Numbers stay exact in JSON.
const LARGEST_SERIAL: u64 = 1 << 53;

/// Stores what is new and says whether what people see has changed.
///
/// # Errors
/// `invalid_request` for anything that the device's registered identity did not sign, or that goes back behind
/// what it said before.
pub async fn take(
    tx: &mut Tx,
    device: DeviceId,
    server_key: &str,
    facts: Option<LinkFacts>,
) -> ApiResult<bool> {
    let row = sqlx::query("SELECT public_key, link FROM devices WHERE id = $1")
        .bind(device.to_string())
        .fetch_optional(tx.conn())
        .await?
        .ok_or_else(ApiError::device_gone)?;
    let identity = row.try_get::<Option<String>, _>(0)?.ok_or_else(ApiError::device_gone)?;
    let stored: Option<String> = row.try_get(1)?;
    // An agent without a link, or one that was set back to before it had one: what it said last stays.
    let Some(LinkFacts { mut link, server_grant }) = facts else { return Ok(false) };
    let before: Option<DeviceLink> = stored.as_deref().map(serde_json::from_str).transpose()?;
    check(&link, &identity, before.as_ref())?;
    let grant = server_grant.map(|text| for_us(text, &identity, server_key)).transpose()?.flatten();
    // What was granted, not what it says beside it.
    link.server_level = grant.as_ref().map(|(level, _)| *level);
    keep_grant(tx, device, grant.map(|(_, text)| text)).await?;
    let text = serde_json::to_string(&link)?;
    if stored.as_ref() == Some(&text) {
        return Ok(false);
    }
    sqlx::query("UPDATE devices SET link = $1 WHERE id = $2")
        .bind(text)
        .bind(device.to_string())
        .execute(tx.conn())
        .await?;
    Ok(true)
}

fn check(link: &DeviceLink, identity: &str, before: Option<&DeviceLink>) -> ApiResult<()> {
    let invalid = |message: String| Err(ApiError::invalid("link", message));
    if link.identity != identity {
        return invalid(
            "The link's identity is not the key this device registered. Nothing was changed.".into(),
        );
    }
    if link.key.serial > LARGEST_SERIAL {
        return invalid("No link key was rotated that often. Nothing was changed.".into());
    }
    let seen = before.filter(|before| before.identity == identity).map(|before| &before.key);
    match verify_link_key(&link.key, identity, seen) {
        Ok(_) => {}
        Err(LinkKeyError::Older { offered, seen }) => {
            return invalid(format!(
                "This is link key {offered}, and this device has used key {seen} already. Nothing was changed; \
                 rotate the key on the device to get a newer one."
            ));
        }
        Err(LinkKeyError::Forged) => {
            return invalid(
                "The link key is not signed by this device, or is another one with a number that was used. \
                 Nothing was changed."
                    .into(),
            );
        }
    }
    if link.addresses.len() > ADDRESSES {
        return invalid(format!("A device has at most {ADDRESSES} addresses."));
    }
    for address in &link.addresses {
        plain(address, ADDRESS_BYTES)?;
    }
    link.tailscale.as_deref().map_or(Ok(()), |name| plain(name, NAME_BYTES))
}

/// Addresses and names are shown and dialled: no spaces, no line breaks, nothing that is not ASCII.
fn plain(text: &str, most: usize) -> ApiResult<()> {
    bounds::text("link", text, most)?;
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(ApiError::invalid("link", "An address has only visible ASCII characters.")),
    }
}

/// The device's grant for this server. One made out to a key this server no longer has is not kept, but the rest
/// of the facts count: the device could not know.
fn for_us(text: String, identity: &str, server_key: &str) -> ApiResult<Option<(Level, String)>> {
    let forged = || {
        ApiError::invalid(
            "link.server_grant",
            "This grant is not signed by this device. Nothing was changed.",
        )
    };
    let said = read_grant(&text).map_err(|_| forged())?;
    let issuers = [identity.to_owned()];
    let revocations = Revocations::default();
    let trust = Trust {
        issuers: &issuers,
        device: identity,
        client: &said.client,
        now: now(),
        revocations: &revocations,
    };
    match verify_grant(&text, &trust) {
        Ok(grant) if grant.client == server_key => Ok(Some((grant.level, text))),
        Ok(_) => {
            tracing::warn!("a device's grant is for another server key; connect the device again");
            Ok(None)
        }
        Err(RefusedBecause::Expired) => Ok(None),
        Err(_) => Err(forged()),
    }
}

async fn keep_grant(tx: &mut Tx, device: DeviceId, grant: Option<String>) -> ApiResult<()> {
    let query = match grant {
        Some(text) => sqlx::query(
            "INSERT INTO server_grants (device_id, signed) VALUES ($1, $2) \
             ON CONFLICT (device_id) DO UPDATE SET signed = excluded.signed",
        )
        .bind(device.to_string())
        .bind(text),
        None => sqlx::query("DELETE FROM server_grants WHERE device_id = $1").bind(device.to_string()),
    };
    query.execute(tx.conn()).await?;
    Ok(())
}

/// The device left or came with another identity: nothing it or its owners signed before counts any more.
pub async fn forget(tx: &mut Tx, device: DeviceId) -> ApiResult<()> {
    for sql in [
        "UPDATE devices SET link = NULL WHERE id = $1",
        "DELETE FROM grants WHERE device_id = $1",
        "DELETE FROM server_grants WHERE device_id = $1",
    ] {
        sqlx::query(sql).bind(device.to_string()).execute(tx.conn()).await?;
    }
    Ok(())
}

/// An X25519 or Ed25519 key, standard base64.
pub fn is_key(text: &str) -> bool {
    decode_key(text).is_ok()
}
