//! `disconnect`: signs this device off for good.

use std::time::Duration;

use anyhow::{Context, bail};
use foreman_link::http;
use tokio::time::{Instant, sleep};

use crate::{
    agent,
    identity::Identity,
    state::State,
    tasks::stop_leftovers,
    uplink::{Uplink, is_gone},
};

/// How long a running agent may take to hear of it and to stop its tasks.
const AGENT_LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Removes this device's key from the server, stops its tasks and forgets the connection. The policy stays.
/// With `force` also when the server cannot be reached. What could not be taken back then is tried again by the next call.
///
/// # Errors
/// With one sentence that says what happened, what was kept and what to do.
pub async fn disconnect(state: &State, force: bool) -> anyhow::Result<()> {
    let identity = match Identity::load(&state.identity()) {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            // Of an earlier connection.
            let left = if agent::withdraw(state).await? {
                "What was still offered in the tailnet was taken back."
            } else {
                "Nothing was changed."
            };
            println!("This machine is not connected to a server. {left}");
            return Ok(());
        }
        Err(_) if force => {
            let _lock = state.lock()?.context("An agent is running: stop it first. Nothing was changed")?;
            agent::forget(state)?;
            return agent::withdraw(state).await.map(drop);
        }
        Err(error) => return Err(error),
    };
    let client = http::client().context("Cannot make connections")?;
    let uplink = Uplink::new(client, &identity.server, identity.device_id, identity.key.clone());
    match uplink.disconnect().await {
        Ok(()) => {}
        Err(error) if is_gone(&error) => {}
        Err(error) if force => eprintln!(
            "The server was not told ({error}). Delete the device “{}” in the dashboard as well.",
            identity.name
        ),
        Err(error) => bail!(
            "The server was not told: {error}. Nothing was changed. Try again, or use --force to forget the connection \
             only here."
        ),
    }
    // A running agent hears it from the server, stops its tasks and goes; then the directory is free.
    let limit = Instant::now() + AGENT_LIMIT;
    let _lock = loop {
        if let Some(lock) = state.lock()? {
            break lock;
        }
        if Instant::now() >= limit {
            bail!("The device is signed off, but its agent still runs. Stop it, and run this again.");
        }
        sleep(LOOK_EVERY).await;
    };
    let stopped = stop_leftovers(&state.tasks()).await;
    // An agent that was killed could not.
    let withdrawn = agent::withdraw(state).await;
    agent::forget(state)?;
    let tasks = if stopped > 0 { format!(" {stopped} running tasks were stopped.") } else { String::new() };
    println!(
        "Disconnected “{}” from {}.{tasks} The policy file and the owners were kept.",
        identity.name, identity.server
    );
    withdrawn.map(drop)
}
