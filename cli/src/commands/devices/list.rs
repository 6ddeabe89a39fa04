//! `foreman devices`: as the server says now, or as it is known here when it cannot be asked.

use std::time::Duration;

use anyhow::Result;
use foreman_client::{Store, device::DeviceListing};
use foreman_protocol::{Device, Millis};
use serde_json::json;

use super::status;
use crate::{
    context::{Context, SERVER_LIMIT, list},
    output::{ago, json as print, moment, note, now, table},
};

pub async fn all(context: &Context) -> Result<()> {
    let Some(server) = context.maybe_server()? else {
        // Nobody needs a server for devices on their own network.
        let met = met(&context.store, &[])?;
        if met.is_empty() {
            context.server()?;
        }
        note("you are not signed in: these are the devices met before. Sign in with `foreman login URL`");
        return show(context, &[], &met, None);
    };
    let why = match tokio::time::timeout(SERVER_LIMIT, list(&server)).await {
        Ok(Ok(devices)) => {
            let listing = DeviceListing { url: server.url().to_owned(), at: now(), devices };
            // For a day without the server only.
            if let Err(error) = context.store.keep_listing(&listing) {
                note(format!("this list cannot be kept for when the server is away: {error}"));
            }
            return show(context, &listing.devices, &[], None);
        }
        Ok(Err(error)) if error.code().is_some() => return Err(error.into()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", SERVER_LIMIT.as_secs()),
    };
    let listing = context.store.listing()?.filter(|listing| listing.url == server.url());
    let devices = listing.as_ref().map_or(&[][..], |listing| &listing.devices);
    let met = met(&context.store, devices)?;
    let Some(listing) = listing else {
        if met.is_empty() {
            anyhow::bail!("The server cannot be reached ({why}), and nothing is known here of its devices");
        }
        note(format!("the server cannot be reached ({why}): these are the devices met before"));
        return show(context, &[], &met, None);
    };
    note(format!("the server cannot be reached ({why}): last known {} ago", since(listing.at)));
    show(context, &listing.devices, &met, Some(listing.at))
}

/// Devices that this client met, beyond those in a list.
fn met(store: &Store, listed: &[Device]) -> Result<Vec<(String, String)>> {
    let met = store.devices()?.into_iter();
    let met = met.filter(|one| listed.iter().all(|device| device.id != one.id));
    Ok(met.map(|one| (one.name, one.id.to_string())).collect())
}

fn since(at: Millis) -> String {
    ago(Duration::from_millis(u64::try_from(now() - at).unwrap_or(0)))
}

/// `known_at` is when that was so; absent: now.
fn show(
    context: &Context,
    devices: &[Device],
    met: &[(String, String)],
    known_at: Option<Millis>,
) -> Result<()> {
    if context.json {
        let mut all: Vec<_> = devices.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
        for device in all.iter_mut().filter_map(serde_json::Value::as_object_mut) {
            if let Some(at) = known_at {
                device.insert("last_known_at".to_owned(), at.into());
            }
        }
        all.extend(met.iter().map(|(name, id)| json!({ "name": name, "id": id })));
        return print(&all);
    }
    let listed = devices.iter().map(|device| {
        let seen = device.last_seen_at.map_or_else(|| "never".to_owned(), moment);
        let status = match known_at {
            Some(at) => format!("{}, last known {} ago", status(device), since(at)),
            None => status(device).to_owned(),
        };
        [device.name.clone(), status, device.running_tasks.to_string(), seen, device.id.to_string()]
    });
    let met = met.iter().map(|(name, id)| {
        [name.clone(), "met before".to_owned(), "-".to_owned(), "-".to_owned(), id.clone()]
    });
    let rows: Vec<_> = listed.chain(met).collect();
    table(["NAME", "STATUS", "TASKS", "SEEN", "ID"], &rows);
    Ok(())
}
