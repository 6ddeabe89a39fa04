//! Calling a device: whoever wants a connection to one waits here until the device comes to the relay.

use std::time::Duration;

use foreman_protocol::{Device, DeviceStatus, Dial, ProblemCode};
use serde_json::json;

use super::upgrade::Way;
use crate::{
    Server,
    auth::Caller,
    db::{Engine, now},
    problem::{ApiError, ApiResult},
};

/// Asks the device to come to this caller and waits until it has.
///
/// # Errors
/// `device_unreachable` at once when it does not listen, or after `patience` when it does not come;
/// `limit_reached` when too many wait already.
pub async fn device(app: &Server, caller: &Caller, device: &Device, patience: Duration) -> ApiResult<Way> {
    let mut waiting = app.link.tickets.issue(caller.tenant, caller.account(), device.id, patience)?;
    let dial = Dial { ticket: waiting.ticket.clone(), server: None, account: Some(caller.account()) };
    let heard_here = app.hub.dial(device.id, dial.clone());
    // Also when it listens here: that stream may be dead without our knowing, and the device with another replica.
    let asked_elsewhere = elsewhere(app, device, dial).await?;
    if !heard_here && !asked_elsewhere {
        return Err(unreachable(device, "It does not listen to this server now."));
    }
    let arrived = tokio::select! {
        () = app.closing.cancelled() => return Err(ApiError::unavailable()),
        arrived = tokio::time::timeout(patience, waiting.arrival()) => arrived.ok().flatten(),
    };
    let outcome = if arrived.is_some() { "answered" } else { "unanswered" };
    metrics::counter!("foreman_dials_total", "outcome" => outcome).increment(1);
    arrived.ok_or_else(|| {
        let waited = format!("It was called and did not come within {} s.", patience.as_secs());
        unreachable(device, &waited)
    })
}

/// Has another replica call the device, which then comes here. Only a replica that was told how devices reach it
/// in particular can ask for that.
async fn elsewhere(app: &Server, device: &Device, dial: Dial) -> ApiResult<bool> {
    let Some(here) = &app.settings.advertise_url else { return Ok(false) };
    if app.db.engine != Engine::PostgreSql || device.status != DeviceStatus::Online {
        return Ok(false);
    }
    let payload = app.hub.dial_payload(device.id, &Dial { server: Some(here.clone()), ..dial })?;
    sqlx::query("SELECT pg_notify('foreman', $1)").bind(payload).execute(app.db.read()).await?;
    Ok(true)
}

/// Nothing was done; when it was seen last.
pub fn unreachable(device: &Device, why: &str) -> ApiError {
    let seen = match device.last_seen_at {
        Some(at) => format!("It was last heard {} ago.", ago(now() - at)),
        None => "It has not been heard yet.".to_owned(),
    };
    ApiError::new(
        ProblemCode::DeviceUnreachable,
        format!(
            "{} cannot be reached. {why} {seen} Nothing was done; try again when it is back.",
            device.name
        ),
    )
    .with(json!({ "last_seen_at": device.last_seen_at }))
}

fn ago(elapsed_ms: i64) -> String {
    match elapsed_ms / 1000 {
        seconds @ ..120 => format!("{} s", seconds.max(0)),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_the_unit_a_person_would_choose() {
        assert_eq!([ago(-5), ago(119_000), ago(7_199_000)], ["0 s", "119 s", "119 min"]);
        assert_eq!([ago(7_200_000), ago(200_000_000)], ["2 h", "2 days"]);
    }
}
