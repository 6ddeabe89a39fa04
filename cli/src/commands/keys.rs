//! `foreman keys`: the two keys of this user here, and new ones.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use foreman_client::{Foreman, KnownDevice};
use foreman_protocol::{Device, Revoked};
use futures_util::TryStreamExt;

use super::grant::{Said, take_back};
use crate::{
    context::{Context, SERVER_LIMIT, list},
    output::{json, note, say},
};

#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Keys>,
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Both public keys (also without a word).
    Show,
    /// Replace a key. The one before is dead at once on every device that can be told.
    Rotate {
        /// Which of the two.
        #[arg(value_enum, default_value_t = Which::Client)]
        which: Which,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// The key with which this machine calls devices.
    Client,
    /// The key that devices trust and that signs grants.
    Owner,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    match options.command.unwrap_or(Keys::Show) {
        Keys::Show => show(context),
        Keys::Rotate { which: Which::Client } => rotate_client(context).await,
        Keys::Rotate { which: Which::Owner } => rotate_owner(context),
    }
}

fn show(context: &Context) -> Result<()> {
    let (owner, client) = (context.store.owner_key()?.public(), context.store.client_key()?.public());
    if context.json {
        return json(&serde_json::json!({ "owner": owner, "client": client }));
    }
    say(format!("owner   {owner}   devices trust it: `foreman-agent trust add`"));
    say(format!("client  {client}   others grant rights to it: `foreman grant DEVICE --client`"));
    Ok(())
}

async fn rotate_client(context: &Context) -> Result<()> {
    let old = context.store.client_key()?.public();
    let (mut untold, mut foreign) = (Vec::new(), Vec::new());
    for device in with_rights(context, &old).await? {
        match take_back(context, &device, Revoked::Client(old.clone())).await {
            Ok(Said::Holds(said)) => note(said),
            Ok(Said::Carried(said)) => {
                note(said);
                untold.push(device.name);
            }
            Ok(Said::OnlyOwners) => foreign.push(device.name),
            Err(error) => {
                note(format!("{error:#}"));
                untold.push(device.name);
            }
        }
    }
    let fresh = context.store.rotate_client_key()?.public();
    say(format!("The client key is now {fresh}. Devices that trust your owner key take it at once."));
    if !untold.is_empty() {
        say(format!(
            "Not told yet: {}. They take the old key until they are reached from here, or until its grants end.",
            untold.join(", ")
        ));
    }
    if !foreign.is_empty() {
        say(format!(
            "Only an owner can take the old key back on: {}. Ask one to run there, or its grants go on until they end:",
            foreign.join(", ")
        ));
        say(format!("\n    foreman revoke DEVICE --client {old}\n"));
    }
    Ok(())
}

/// The devices where a client's key may have a right: those for which one is kept here, and those for which the server
/// carries one. While it cannot be asked, all that were met.
async fn with_rights(context: &Context, client: &str) -> Result<Vec<KnownDevice>> {
    let met = context.store.devices()?;
    let Some(server) = context.maybe_server()? else { return Ok(met) };
    let carried = match tokio::time::timeout(SERVER_LIMIT, carried(&server, client)).await {
        Ok(Ok(carried)) => carried,
        Ok(Err(error)) => {
            note(format!(
                "the server cannot say where the old key has rights ({error}); all devices met before are told"
            ));
            return Ok(met);
        }
        Err(_) => {
            note("the server does not say where the old key has rights; all devices met before are told");
            return Ok(met);
        }
    };
    let mut all: Vec<_> = met.into_iter().filter(|device| device.grant.is_some()).collect();
    for device in carried {
        if all.iter().all(|known| known.id != device.id) {
            // Not kept: nobody was told of its identity.
            all.extend(KnownDevice::first_met(&device)?);
        }
    }
    Ok(all)
}

/// The devices for which a server carries a right of this client that may count.
async fn carried(server: &Foreman, client: &str) -> Result<Vec<Device>, foreman_client::Error> {
    let mut found = Vec::new();
    for device in list(server).await? {
        let grants: Vec<_> = server.grants(device.id).try_collect().await?;
        if grants.iter().any(|carried| carried.grant.client == client && carried.revoked_at.is_none()) {
            found.push(device);
        }
    }
    Ok(found)
}

fn rotate_owner(context: &Context) -> Result<()> {
    let old = context.store.owner_key()?.public();
    let fresh = context.store.rotate_owner_key()?.public();
    say(format!("The owner key is now {fresh}. Run on each device:"));
    say(format!("\n    foreman-agent trust add {fresh}\n    foreman-agent trust remove {old}\n"));
    say("Until then devices know only the old one, and you are reached through the server where it may.");
    Ok(())
}
