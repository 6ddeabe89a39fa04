//! `foreman keys`: the two keys of this user here, and new ones.

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use foreman_protocol::Revoked;

use super::grant::take_back;
use crate::{
    context::Context,
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
    let mut untold = Vec::new();
    for device in context.store.devices()?.into_iter().filter(|device| device.grant.is_some()) {
        match take_back(context, &device, Revoked::Client(old.clone())).await {
            Ok(said) => note(said),
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
    Ok(())
}

fn rotate_owner(context: &Context) -> Result<()> {
    let old = context.store.owner_key()?.public();
    let fresh = context.store.rotate_owner_key()?.public();
    say(format!("The owner key is now {fresh}. Run on each device:"));
    say(format!("\n    foreman-agent trust add {fresh}\n    foreman-agent trust remove {old}\n"));
    say("Until then devices know only the old one, and you are reached through the server where it may.");
    Ok(())
}
