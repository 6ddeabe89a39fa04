//! `connect`: spends a token, makes this machine a device, and shows each step when it is true.

use std::{io::Read, time::Duration};

use anyhow::{Context, bail};
use foreman_link::http::{self, RequestError};
use foreman_machine::{policy, run::Moment};
use foreman_protocol::{Capabilities, Policy, ProblemCode};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    address,
    agent::{self, Ended, Progress, Settings},
    identity::{Identity, fresh_key, public_key},
    link::{
        listener::Listener,
        trust::{Dashboard, Trust, owner_key},
    },
    state::{Lock, State, replace_file},
    status,
    tasks::stop_leftovers,
    uplink::{Uplink, enrol},
};

/// After this long without all steps done, `--detach` gives up and the foreground says what it waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to connect, and how.
#[derive(Debug, Clone)]
pub struct Connect {
    pub server: String,
    /// `-` reads it from standard input.
    pub token: String,
    /// Written to the policy file when given, or when there is no such file yet.
    pub policy: Policy,
    pub policy_given: bool,
    /// Keys of owners to trust, besides those that are trusted already.
    pub owners: Vec<String>,
    /// What the server may do over the link; as before when absent.
    pub dashboard: Option<Dashboard>,
    /// End when everything is set up, for a service to go on.
    pub detach: bool,
    /// Give up an earlier connection of this machine.
    pub force: bool,
}

/// Connects this machine and, unless told otherwise, goes on as its agent.
///
/// # Errors
/// With one sentence that says what happened, what was kept and what to do.
pub async fn connect(state: &State, options: Connect, settings: Settings) -> anyhow::Result<Ended> {
    let server = address::normalise(&options.server)?;
    let token = read_token(&options.token)?;
    state.prepare()?;
    let trust = wanted_trust(state, &options)?;
    let lock = make_way(state, options.force).await?;
    // Before the token is spent: an address that is taken would end the agent after it.
    let choices = settings.link.clone().kept(&state.link_choices())?;
    drop(Listener::bind(choices.listen).await?);
    if address::is_exposed(&server) {
        eprintln!("Warning: {server} is not encrypted. Use https, or only a network that you trust.");
    }
    let service_waits = status::waiting(state);
    let identity = register(state, &server, &token, trust).await?;
    write_policy(state, &options)?;
    prove(&identity).await?;
    println!("✓ Authenticated with Foreman at {server}");

    let detach = options.detach || service_waits;
    let (sender, steps) = mpsc::unbounded_channel();
    let agent = agent::run(state, lock, &identity, settings, Some(sender));
    let shown = show(&identity, steps, detach);
    let (ended, shown) = tokio::join!(agent, shown);
    let ended = ended?;
    if ended == Ended::Asked && detach {
        shown?;
        println!(
            "{}",
            if service_waits {
                "The service carries on."
            } else {
                "Start the agent with `foreman-agent run`."
            }
        );
    }
    Ok(ended)
}

fn read_token(token: &str) -> anyhow::Result<String> {
    let mut text = token.to_owned();
    if token == "-" {
        text.clear();
        // A token is short; a file given by mistake is not read whole.
        std::io::stdin()
            .take(4096)
            .read_to_string(&mut text)
            .context("Cannot read the token from standard input")?;
    }
    let text = text.trim();
    if text.is_empty() {
        bail!("The token is empty. Copy it from the dashboard: Devices, Add device.");
    }
    Ok(text.to_owned())
}

/// Takes the state directory, free of any earlier connection.
async fn make_way(state: &State, force: bool) -> anyhow::Result<Lock> {
    let before = match Identity::load(&state.identity()) {
        Err(error) if !force => return Err(error),
        before => before.ok().flatten(),
    };
    let already = |identity: &Identity| {
        format!(
            "This machine is already connected to {} as “{}”. Nothing was changed. Run `foreman-agent disconnect` first.",
            identity.server, identity.name
        )
    };
    let Some(lock) = state.lock()? else {
        match &before {
            Some(identity) => bail!("{}", already(identity)),
            None => bail!("Another foreman-agent is just connecting this machine. Nothing was changed."),
        }
    };
    if let Some(identity) = &before {
        if !force {
            bail!("{}", already(identity));
        }
        let stopped = stop_leftovers(&state.tasks()).await;
        println!("Giving up the connection to {} ({stopped} running tasks were stopped).", identity.server);
    }
    if force {
        agent::forget(state)?;
    }
    Ok(lock)
}

/// Whom to trust from now on.
fn wanted_trust(state: &State, options: &Connect) -> anyhow::Result<Trust> {
    let mut trust = Trust::load_for_joining(&state.trust())?;
    for key in &options.owners {
        trust.add(&owner_key(key)?, None, Moment::now().wall_ms);
    }
    if let Some(dashboard) = options.dashboard {
        trust.dashboard = dashboard;
    }
    Ok(trust)
}

async fn register(state: &State, server: &str, token: &str, mut trust: Trust) -> anyhow::Result<Identity> {
    let client = http::client().context("Cannot make connections")?;
    let key = fresh_key();
    let connected =
        enrol(&client, server, token, public_key(&key)).await.map_err(|error| explain(server, &error))?;
    let identity =
        Identity { server: server.to_owned(), device_id: connected.device_id, name: connected.name, key };
    identity.save(&state.identity()).context(
        "The server accepted this device, but its key could not be kept, so the token is spent. Make a new token in the \
         dashboard and try again",
    )?;
    trust.server_link_key = connected.server_link_key;
    trust.save(&state.trust()).context("Connected, but nobody is trusted over the device link")?;
    Ok(identity)
}

fn explain(server: &str, error: &RequestError) -> anyhow::Error {
    let what = match (error.code(), error) {
        (Some(ProblemCode::ConnectionTokenInvalid), _) => {
            "The server does not accept this token: it is wrong, was used before, or is older than 24 hours. Make a new \
             one in the dashboard"
                .to_owned()
        }
        (Some(ProblemCode::ProtocolTooOld), _) => {
            format!("This agent ({}) is too old for the server at {server}. Install the newest one", crate::VERSION)
        }
        (None, RequestError::Unreachable { message }) => {
            format!("Cannot reach {server}: {message}. Check the address and that the server runs, then try again")
        }
        (None, RequestError::Unrecognised { .. } | RequestError::Malformed { .. }) => {
            format!("There is no Foreman server at {server}: {error}. Check the address")
        }
        _ => format!("The server at {server} did not connect this device: {error}"),
    };
    anyhow::anyhow!("{}. Nothing was changed on this machine.", what.trim_end_matches('.'))
}

fn write_policy(state: &State, options: &Connect) -> anyhow::Result<()> {
    let path = state.policy();
    if options.policy_given || !path.exists() {
        replace_file(&path, policy::render(&options.policy).as_bytes(), true).with_context(|| {
            format!("Connected, but {} cannot be written, so nothing is allowed", path.display())
        })?;
    }
    Ok(())
}

async fn prove(identity: &Identity) -> anyhow::Result<()> {
    let client = http::client().context("Cannot make connections")?;
    let uplink = Uplink::new(client, &identity.server, identity.device_id, identity.key.clone());
    uplink.authenticate().await.context(
        "This device is registered and its key is kept, but the server did not take its proof. Run `foreman-agent run` \
         to try again",
    )
}

/// Prints each step in its order, each when it is true. With `detach` it ends after the last one, which ends the
/// agent; else it listens on.
async fn show(
    identity: &Identity,
    mut steps: mpsc::UnboundedReceiver<Progress>,
    detach: bool,
) -> anyhow::Result<()> {
    let mut last_error = None;
    match timeout(PATIENCE, show_steps(identity, &mut steps, &mut last_error)).await {
        Ok(()) => {}
        Err(_) => {
            let why = last_error.map(|error| format!(" ({error})")).unwrap_or_default();
            let kept = format!(
                "This device is registered and its key is kept, but the server was not fully reached within {} s{why}.",
                PATIENCE.as_secs()
            );
            if detach {
                bail!("{kept} Start the agent with `foreman-agent run`: it tries until it is.");
            }
            eprintln!("{kept} Still trying.");
        }
    }
    while !detach && steps.recv().await.is_some() {}
    Ok(())
}

async fn show_steps(
    identity: &Identity,
    steps: &mut mpsc::UnboundedReceiver<Progress>,
    last_error: &mut Option<String>,
) {
    let (mut opened, mut told, mut beat) = (false, false, false);
    let mut detected = None;
    while !(opened && told && beat) {
        match steps.recv().await {
            None => return,
            Some(Progress::Opened) if !opened => {
                opened = true;
                println!("✓ Route established: command stream to {}", identity.server);
                println!("✓ Device registered: {}", identity.name);
            }
            Some(Progress::Lost(error)) => {
                eprintln!("  {error}; trying again");
                *last_error = Some(error);
            }
            Some(Progress::Detected(capabilities)) => detected = Some(capabilities),
            Some(Progress::Told) => told = true,
            Some(Progress::Beat) => beat = true,
            Some(Progress::Opened) => {}
        }
    }
    println!("✓ Capabilities detected:");
    for line in detected.map(|capabilities| capability_lines(&capabilities)).unwrap_or_default() {
        println!("  - {line}");
    }
    println!("  Identity {}: what clients show when they first meet this device", public_key(&identity.key));
    println!("\nListening for tasks...");
}

/// What a person wants to know of a machine, one line each.
#[must_use]
pub fn capability_lines(capabilities: &Capabilities) -> Vec<String> {
    let mut lines: Vec<String> = capabilities
        .gpus
        .iter()
        .map(|gpu| match gpu.memory_total {
            // Shared memory is sold by the decimal unit, a card's own by the binary one.
            Some(bytes) if gpu.unified_memory => {
                format!("{} ({:.0}GB unified)", gpu.name, bytes as f64 / 1e9)
            }
            Some(bytes) => format!("{} ({:.0}GB)", gpu.name, gibibytes(bytes)),
            None => gpu.name.clone(),
        })
        .collect();
    if lines.is_empty() {
        lines.push("No GPU".to_owned());
    }
    let versions = [
        ("CUDA", &capabilities.cuda),
        ("TensorRT", &capabilities.tensorrt),
        ("Isaac Lab", &capabilities.isaac_lab),
        ("Python", &capabilities.python),
        ("Docker", &capabilities.docker),
    ];
    for (name, version) in versions {
        lines.extend(version.as_ref().map(|version| format!("{name} {version}")));
    }
    if let Some(ollama) = &capabilities.ollama {
        lines.push(format!("Ollama {} ({} models)", ollama.version, ollama.models.len()));
    }
    let (cpu, memory) = (&capabilities.cpu, gibibytes(capabilities.memory_total));
    lines.push(format!("{} ({} cores), {memory:.0}GB memory", cpu.model.trim(), cpu.logical_cores));
    lines
}

fn gibibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests {
    use foreman_protocol::{Cpu, Gpu};

    use super::*;

    #[test]
    fn capabilities_read_as_people_say_them() {
        let capabilities = Capabilities {
            gpus: vec![
                Gpu {
                    name: "NVIDIA GB10".to_owned(),
                    memory_total: Some(128_453_246_976),
                    unified_memory: true,
                    ..Gpu::default()
                },
                Gpu { name: "NVIDIA H100".to_owned(), memory_total: Some(81_559 << 20), ..Gpu::default() },
            ],
            cuda: Some("13.0".to_owned()),
            python: Some("3.11".to_owned()),
            cpu: Cpu { model: "Cortex-X925".to_owned(), physical_cores: 20, logical_cores: 20 },
            memory_total: 120 << 30,
            ..Capabilities::default()
        };
        assert_eq!(
            capability_lines(&capabilities),
            [
                "NVIDIA GB10 (128GB unified)",
                "NVIDIA H100 (80GB)",
                "CUDA 13.0",
                "Python 3.11",
                "Cortex-X925 (20 cores), 120GB memory"
            ]
        );
        assert_eq!(capability_lines(&Capabilities::default())[0], "No GPU");
    }

    #[test]
    fn failures_say_what_was_kept() {
        let error = RequestError::Unreachable { message: "connection refused".to_owned() };
        let text = explain("http://127.0.0.1:1", &error).to_string();
        assert!(text.contains("Cannot reach http://127.0.0.1:1: connection refused."), "{text}");
        assert!(text.ends_with("Nothing was changed on this machine."), "{text}");
        assert!(read_token(" ").is_err());
        assert_eq!(read_token(" t ").unwrap(), "t");
    }
}
