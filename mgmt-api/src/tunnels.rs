//! Cloudflare Tunnels: one for each connected device, when the operator configured an account. What crosses one is
//! sealed like on every other path; Cloudflare Access only keeps strangers from knocking.
//!
//! A keeper brings what is at Cloudflare to what should be there, again and again, so that a failure, a crash or
//! somebody's click in Cloudflare's dashboard heals by itself. Secrets are sealed in the database.

mod cloudflare;
mod parts;
mod store;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use foreman_protocol::{
    Device, DeviceId, DeviceStatus, Event, LINK_PORT, ProblemCode, ProblemReason, Role, TunnelAccess,
    TunnelToken,
};
use tokio::sync::Notify;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use cloudflare::Cloudflare;
use parts::{Outcome, Parts};
use store::Work;

use crate::{
    App,
    auth::{Caller, device::DeviceCaller},
    devices,
    events::Cause,
    extract::{Json, Path},
    problem::{ApiError, ApiResult},
};

/// How often devices are looked at; a set that is whole is compared with Cloudflare less often.
const EVERY: Duration = Duration::from_secs(5);

/// The account, and a bell for the keeper.
pub struct Tunnels {
    cloudflare: Cloudflare,
    due: Notify,
}

impl Tunnels {
    #[must_use]
    pub fn new(cloudflare: Cloudflare) -> Self {
        Self { cloudflare, due: Notify::new() }
    }
}

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(token)).routes(routes!(access)).routes(routes!(mend))
}

/// What the device runs cloudflared with. Asked of Cloudflare each time: it is kept nowhere.
#[utoipa::path(get, path = "/api/v1/devices/{id}/tunnel", tag = "agent", params(("id" = DeviceId, Path)),
    responses((status = 200, body = TunnelToken)))]
async fn token(State(app): State<App>, caller: DeviceCaller) -> ApiResult<Json<TunnelToken>> {
    let parts = store::find(&app.db, caller.tenant, caller.id).await?.ok_or_else(no_tunnel)?;
    let (Some(tunnels), Some(tunnel)) = (&app.tunnels, &parts.tunnel) else { return Err(no_tunnel()) };
    let token = tunnels.cloudflare.tunnel_token(tunnel).await.map_err(|error| unreachable(&error))?;
    Ok(Json(TunnelToken { token, hostname: parts.hostname }))
}

/// What a client shows to Cloudflare Access on the way to this device.
#[utoipa::path(get, path = "/api/v1/devices/{id}/tunnel/access", tag = "devices", params(("id" = DeviceId, Path)),
    responses((status = 200, body = TunnelAccess)))]
async fn access(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
) -> ApiResult<impl IntoResponse> {
    // Whoever may come by the relay may come this way: it leads to the device's door, and the device itself says who may
    // come in and do what.
    caller.at_least(Role::Viewer)?;
    let parts = store::find(&app.db, caller.tenant, id).await?.ok_or_else(no_tunnel)?;
    let (Some(client_id), Some(sealed)) = (&parts.client_id, &parts.secret) else { return Err(no_tunnel()) };
    let secret = app.seal.open_sealed(&parts.about(), sealed)?;
    let access = TunnelAccess {
        hostname: parts.hostname.clone(),
        client_id: client_id.clone(),
        client_secret: String::from_utf8(secret).map_err(ApiError::internal)?,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(access)))
}

/// Compares the tunnel with Cloudflare now and mends what differs; makes it when there is none.
#[utoipa::path(post, path = "/api/v1/devices/{id}/tunnel", tag = "devices", params(("id" = DeviceId, Path)),
    responses((status = 202)))]
async fn mend(State(app): State<App>, caller: Caller, Path(id): Path<DeviceId>) -> ApiResult<StatusCode> {
    caller.at_least(Role::Admin)?;
    let device = devices::store::find(app.db.read(), caller.tenant, id)
        .await?
        .ok_or_else(|| ApiError::not_found("device"))?;
    let tunnels = app.tunnels.as_ref().ok_or_else(|| {
        ApiError::conflict(
            "This server has no Cloudflare account. Whoever runs it can name one; see `foreman-server serve --help`.",
        ).because(ProblemReason::NoCloudflare)
    })?;
    if device.status == DeviceStatus::Pending {
        return Err(ApiError::conflict("This device has not connected yet.")
            .because(ProblemReason::DeviceNotConnected));
    }
    store::make_due(&app.db, id).await?;
    tunnels.due.notify_one();
    Ok(StatusCode::ACCEPTED)
}

fn no_tunnel() -> ApiError {
    ApiError::not_found("tunnel")
}

fn unreachable(error: &cloudflare::CloudflareError) -> ApiError {
    tracing::warn!(%error, "a tunnel's token could not be got");
    ApiError::new(ProblemCode::Unavailable, "Cloudflare did not answer as it should. Try again in a moment.")
}

/// Keeps every device's tunnel as it should be, until the server stops.
pub async fn keep(app: App, tunnels: Arc<Tunnels>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.closing.cancelled() => return,
            _ = every.tick() => {}
            () = tunnels.due.notified() => {}
        }
        if let Err(error) = round(&app, &tunnels.cloudflare).await {
            tracing::warn!(%error, "tunnels could not be looked after; trying again");
        }
    }
}

async fn round(app: &App, cloudflare: &Cloudflare) -> ApiResult<()> {
    while let Some(work) = claim(app, cloudflare).await? {
        match work {
            Work::Keep { device, parts } => look_after(app, cloudflare, &device, parts).await?,
            Work::Remove { device, mut parts } => {
                let outcome = parts.remove(cloudflare).await;
                if let Err(error) = &outcome {
                    tracing::warn!(device.id = %device, %error, "a tunnel is not wholly removed; trying again");
                }
                store::removed(&app.db, device, parts, outcome.err().map(|error| error.to_string())).await?;
            }
        }
        if app.closing.is_cancelled() {
            break;
        }
    }
    Ok(())
}

async fn claim(app: &App, cloudflare: &Cloudflare) -> ApiResult<Option<Work>> {
    let zone = cloudflare.zone.clone();
    store::claim(&app.db, app.tenant, move |device| fresh(device, &zone)).await
}

async fn look_after(app: &App, cloudflare: &Cloudflare, device: &Device, mut parts: Parts) -> ApiResult<()> {
    parts.target = target(device);
    let id = device.id;
    match parts.ensure(cloudflare, &app.seal).await? {
        Ok(Outcome::Unchanged) => store::kept(&app.db, id, parts, None).await,
        Ok(outcome) => {
            let action = if outcome == Outcome::Made { "made" } else { "mended" };
            tracing::info!(device.id = %id, hostname = parts.hostname, "the tunnel was {action}");
            store::kept(&app.db, id, parts, Some((Cause::system(app.tenant), action))).await
        }
        Err(error) => {
            tracing::warn!(device.id = %id, %error, "the tunnel is not as it should be; what was half made was taken back");
            store::failed(&app.db, id, parts, error.to_string()).await
        }
    }
}

/// The set of a device that has none yet.
fn fresh(device: &Device, zone: &str) -> Parts {
    Parts {
        name: format!("foreman-{}", device.id),
        hostname: hostname(&device.name, device.id, zone),
        target: target(device),
        ..Parts::default()
    }
}

/// `spark-3f9e.foreman.example`: readable, and different for two devices of one name.
fn hostname(name: &str, id: DeviceId, zone: &str) -> String {
    let mut slug = String::new();
    for c in name.to_ascii_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(40);
    let slug = slug.trim_matches('-');
    let slug = if slug.is_empty() { "device" } else { slug };
    let id = id.to_string();
    let tail = &id[id.len().saturating_sub(4)..];
    format!("{slug}-{tail}.{zone}")
}

/// Where the agent listens on its own machine.
fn target(device: &Device) -> String {
    let port = device
        .link
        .as_ref()
        .and_then(|link| link.addresses.first())
        .and_then(|address| address.parse::<std::net::SocketAddr>().ok())
        .map_or(LINK_PORT, |address| address.port());
    format!("http://localhost:{port}")
}

/// Told when what is at Cloudflare changed.
fn changed(action: &str) -> impl FnOnce(Box<Device>) -> Event + Send + use<> {
    let action = action.to_owned();
    move |device| Event::TunnelChanged { device, action }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_are_names_that_dns_takes() {
        let id: DeviceId = "01890000-0000-7000-8000-000000003f9e".parse().unwrap();
        assert_eq!(hostname("Spark", id, "foreman.run"), "spark-3f9e.foreman.run");
        assert_eq!(hostname("  Mias Büro-PC (2)!", id, "x.org"), "mias-b-ro-pc-2-3f9e.x.org");
        assert_eq!(hostname("日本", id, "x.org"), "device-3f9e.x.org");
        let long = hostname(&"a b".repeat(40), id, "x.org");
        assert!(
            long.split('.').next().is_some_and(|label| label.len() <= 63 && !label.contains("--")),
            "{long}"
        );
    }
}
