//! `foreman trust`: how a device gets to trust this user, which only somebody at the device can bring about.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use foreman_link::grant::read_grant;
use foreman_protocol::DeviceId;

use crate::{
    context::Context,
    output::{json, moment, now, say},
};

#[derive(Debug, Args)]
pub struct Options {
    /// Its name, or the beginning of its id.
    device: String,
    /// A right that an owner gave you: the line that their `foreman grant` printed.
    #[arg(long, env = "FOREMAN_TRUST_GRANT", value_name = "LINE")]
    grant: Option<String>,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let named = context.find(&options.device).await?;
    // What it said a moment ago does not count any more: somebody may have run the command meanwhile.
    if let Some(mut known) = context.store.device(named.id)? {
        known.refused_at = None;
        context.store.keep(&known)?;
    }
    if let Some(line) = &options.grant {
        take(context, named.id, line).await?;
    }
    let owner = context.store.owner_key()?.public();
    let device = context.open(&options.device).await?;
    let hello = device.hello().await;
    let path = device.path();
    let direct = hello.is_ok() && path.kind.is_some_and(|kind| kind.is_end_to_end());
    let known = device.known();
    if context.json {
        let level = hello.as_ref().ok().filter(|_| direct).map(|hello| hello.level);
        return json(&serde_json::json!({ "owner": owner, "identity": known.identity, "trusts_you": level }));
    }
    say(format!("Your key          {owner}"));
    say(format!("Its identity      {}", known.identity));
    match hello {
        Ok(hello) if direct => {
            say(format!("{} trusts you: your level there is {}.", known.name, hello.level.as_str()));
        }
        _ => {
            say(format!("{} does not trust your key yet, or was not reached. Run on it:", known.name));
            say(format!("\n    foreman-agent trust add {owner}\n"));
            say("and compare there that its identity is the one above: `foreman-agent trust list` shows it.");
        }
    }
    Ok(())
}

/// Keeps a right that came by another way than a server. Whether it counts only the device can say.
async fn take(context: &Context, id: DeviceId, line: &str) -> Result<()> {
    let line = line.trim();
    let grant = read_grant(line).context("--grant should be the whole line that `foreman grant` printed")?;
    let mut known = match context.store.device(id)? {
        Some(known) => known,
        None => {
            let told = context.server()?.device(id).await?;
            context.store.hear(&told)?.context("The device has not told yet how to reach it")?
        }
    };
    if grant.device != known.identity {
        bail!("This right is for another device than {}. Nothing was kept", known.name);
    }
    let client = context.store.client_key()?.public();
    if grant.client != client {
        bail!("This right is for another client's key; yours is {client}. Nothing was kept");
    }
    if grant.expires_at <= now() {
        bail!("This right ended {}. Nothing was kept", moment(grant.expires_at));
    }
    known.grant = Some(line.to_owned());
    known.refused_at = None;
    Ok(context.store.keep(&known)?)
}
