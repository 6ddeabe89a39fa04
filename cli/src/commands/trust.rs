//! `foreman trust`: how a device gets to trust this user, which only somebody at the device can bring about.

use anyhow::Result;
use clap::Args;

use crate::{
    context::Context,
    output::{json, say},
};

#[derive(Debug, Args)]
pub struct Options {
    /// Its name, or the beginning of its id.
    device: String,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let named = context.find(&options.device).await?;
    // What it said a moment ago does not count any more: somebody may have run the command meanwhile.
    if let Some(mut known) = context.store.device(named.id)? {
        known.refused_at = None;
        context.store.keep(&known)?;
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
