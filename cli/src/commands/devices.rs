//! `foreman devices`: the registry.

mod list;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use foreman_protocol::{CreateDevice, Device, DeviceStatus, DeviceType};

use crate::{
    context::Context,
    output::{json, moment, say},
};

#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Devices>,
}

#[derive(Debug, Subcommand)]
enum Devices {
    /// All devices (also without a word).
    List,
    /// Make a device and show the command that connects it, trusting you from the start.
    Add {
        /// What people call it.
        name: String,
        /// What it is for.
        #[arg(long = "type", env = "FOREMAN_DEVICE_TYPE", value_enum, default_value_t = Kind::GpuCompute)]
        kind: Kind,
    },
    /// Everything about one.
    Show {
        /// Its name, or the beginning of its id.
        device: String,
    },
    /// Forget a device and its tasks on the server; its agent is told to stop.
    Remove {
        /// Its name, or the beginning of its id.
        device: String,
    },
    /// Forget a device on this machine only, its pinned identity included.
    Forget {
        /// Its name, or the beginning of its id.
        device: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Computes: training, simulation, builds.
    GpuCompute,
    /// Runs trained models.
    Inference,
    /// Answers as a language model, with Ollama.
    LlmEndpoint,
}

impl From<Kind> for DeviceType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::GpuCompute => Self::GpuCompute,
            Kind::Inference => Self::Inference,
            Kind::LlmEndpoint => Self::LlmEndpoint,
        }
    }
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    match options.command.unwrap_or(Devices::List) {
        Devices::List => list::all(context).await,
        Devices::Add { name, kind } => add(context, name, kind).await,
        Devices::Show { device } => show(context, &device).await,
        Devices::Remove { device } => {
            let named = context.find(&device).await?;
            context.server()?.delete_device(named.id).await?;
            context.store.forget(named.id)?;
            say(format!("{} and its tasks are gone from the server; its agent stops.", named.name));
            Ok(())
        }
        Devices::Forget { device } => {
            let named = context.find(&device).await?;
            context.store.forget(named.id)?;
            say(format!("{} is forgotten here; the next meeting is the first again.", named.name));
            Ok(())
        }
    }
}

const fn status(device: &Device) -> &'static str {
    match device.status {
        DeviceStatus::Pending => "pending",
        DeviceStatus::Online => "online",
        DeviceStatus::Offline => "offline",
    }
}

async fn add(context: &Context, name: String, kind: Kind) -> Result<()> {
    let owner = context.store.owner_key()?.public();
    let made = context.server()?.create_device(&CreateDevice { name, device_type: kind.into() }).await?;
    if context.json {
        return json(&serde_json::json!({ "made": made, "owner": owner }));
    }
    // The installer takes everything from its environment: its last word is the shell that reads it.
    let with_owner = format!("FOREMAN_OWNER={owner} FOREMAN_TOKEN=");
    let install = made.install_command.replace("FOREMAN_TOKEN=", &with_owner);
    say(format!("{} is made. Run on it, as the user whose work it does:", made.device.name));
    say(format!("\n    {install}\n"));
    say("or, where the agent is installed already:");
    say(format!("\n    {} --owner {owner}\n", made.connect_command));
    say(format!(
        "The token in it is good once, until {}. With your key it trusts you from the start.",
        moment(made.expires_at)
    ));
    Ok(())
}

async fn show(context: &Context, which: &str) -> Result<()> {
    let named = context.find(which).await?;
    let device = context.server()?.device(named.id).await?;
    if context.json {
        return json(&device);
    }
    say(format!("name      {}", device.name));
    say(format!("id        {}", device.id));
    say(format!("status    {} since {}", status(&device), moment(device.status_since)));
    if let Some(version) = &device.agent_version {
        say(format!("agent     {version}"));
    }
    if let Some(link) = &device.link {
        say(format!("identity  {}", link.identity));
        say(format!("addresses {}", link.addresses.join(", ")));
    }
    say(format!("tasks     {} running, {} queued", device.running_tasks, device.queued_tasks));
    Ok(())
}
