//! The relay: a client and a device that cannot reach each other meet here, both having dialled out.
//!
//! The client asks with its own bearer or session and waits; the device is called on its command stream and comes
//! with a ticket. From then on the server only carries bytes: it has no key to what they say.

use std::time::Duration;

use axum::{extract::State, http::HeaderMap, response::Response};
use foreman_protocol::{DeviceId, ProblemCode, RELAY_TICKET_HEADER, Role};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    dial,
    splice::{self, End},
    tickets,
    upgrade::Upgrade,
};
use crate::{
    App,
    auth::{Caller, device::DeviceCaller},
    devices::store,
    extract::Path,
    problem::{ApiError, ApiResult},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(relay)).routes(routes!(accept))
}

/// A WebSocket to the device: binary messages are carried to it and back as they are.
///
/// Answered when the device has come, or with `device_unreachable`.
#[utoipa::path(get, path = "/api/v1/devices/{id}/relay", tag = "link", params(("id" = DeviceId, Path)),
    responses((status = 101, description = "A WebSocket of binary messages of at most 64 KiB")))]
async fn relay(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    upgrade: Upgrade,
) -> ApiResult<Response> {
    caller.at_least(Role::Viewer)?;
    let device =
        store::find(app.db.read(), caller.tenant, id).await?.ok_or_else(|| ApiError::not_found("device"))?;
    let place = app.link.relays.enter(caller.tenant, caller.account())?;
    // From here on, so that nothing happens to the device unnoticed.
    let mut departure = app.hub.departure(id);
    let far = dial::device(&app, &caller, &device, tickets::LIFE).await?;
    tracing::debug!(device.id = %id, "a relay opens");
    let open = app.link.open.token();
    Ok(upgrade.then(move |near| async move {
        let idle = Duration::from_secs(u64::from(app.settings.relay_idle_s));
        let ending = async {
            tokio::select! {
                () = app.closing.cancelled() => End::Stopping,
                _ = departure.changed() => End::Removed,
                () = caller.ended(app.clone()) => End::SignedOff,
            }
        };
        let end = splice::run(near, far, idle, ending).await;
        metrics::counter!("foreman_relays_total", "end" => end.name()).increment(1);
        tracing::debug!(device.id = %id, end = end.name(), "a relay ended");
        drop((place, open));
    }))
}

/// The device's end of a relay: comes with the ticket of a `dial` event in `x-foreman-ticket`.
#[utoipa::path(get, path = "/api/v1/devices/{id}/relay/accept", tag = "agent", params(("id" = DeviceId, Path),
    ("x-foreman-ticket" = String, Header, description = "Of the `dial` event; good once, for 30 s")),
    responses((status = 101, description = "A WebSocket of binary messages of at most 64 KiB")))]
async fn accept(
    State(app): State<App>,
    caller: DeviceCaller,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> ApiResult<Response> {
    let ticket = headers.get(RELAY_TICKET_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let waiting = app.link.tickets.spend(caller.id, ticket).ok_or_else(|| {
        metrics::counter!("foreman_relay_tickets_refused_total").increment(1);
        ApiError::new(
            ProblemCode::Forbidden,
            "This ticket was used, has expired or is not for this device, or nobody waits any more. \
             Nothing was opened; whoever needs the device calls again.",
        )
    })?;
    Ok(upgrade.then(move |socket| async move {
        // Nobody waits any more: dropped, which closes it.
        let _ = waiting.send(socket);
    }))
}
