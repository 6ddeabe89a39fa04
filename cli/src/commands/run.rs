//! `foreman run`: a task, watched to its end. It lives on the device: losing this program does not end it.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use foreman_protocol::{StartTask, Task, TaskCommand, TaskId, TaskModels, TaskSpec, TaskState};

use crate::{
    context::Context,
    output::{json, note, say},
    tasks::Tasks,
};

/// As shells have it: the command was found and could not be run.
const REFUSED: u8 = 126;
/// Nobody knows how it ended.
const LOST: u8 = 125;

#[derive(Debug, Args)]
pub struct Options {
    /// Its name, or the beginning of its id.
    device: String,
    /// Where to run it; the agent's home when absent.
    #[arg(long, env = "FOREMAN_RUN_CWD")]
    cwd: Option<String>,
    /// A variable for it, `NAME=VALUE`; only `NAME` takes the value from here.
    #[arg(short, long = "env", env = "FOREMAN_RUN_ENV", value_delimiter = ',')]
    env: Vec<String>,
    /// Stop it after so long: `10m`.
    #[arg(long, env = "FOREMAN_RUN_TIMEOUT", value_parser = humantime::parse_duration)]
    timeout: Option<std::time::Duration>,
    /// A key of its own to ask models through the server, for this profile (`auto:code`), `provider/model` or `provider/*`;
    /// several are allowed. Its environment names the addresses and the key, which is dead when it has ended.
    #[arg(long, env = "FOREMAN_RUN_MODELS", value_delimiter = ',', conflicts_with = "direct")]
    models: Vec<String>,
    /// What that key may spend in all, in dollars: `2.50`.
    #[arg(long, env = "FOREMAN_RUN_MAX_SPEND", requires = "models", value_parser = micros)]
    max_spend: Option<i64>,
    /// Hand the command to the device's shell as one line.
    #[arg(long, env = "FOREMAN_RUN_SHELL")]
    shell: bool,
    /// Start it, print its id, and do not wait.
    #[arg(short, long, env = "FOREMAN_RUN_DETACH")]
    detach: bool,
    /// Ask the device itself, over the link, even where its server could be asked. So it is done anyhow while no server is
    /// reached.
    #[arg(long, env = "FOREMAN_RUN_DIRECT")]
    direct: bool,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

pub async fn run(context: &Context, options: Options) -> Result<u8> {
    let tasks = Tasks::of(context, &options.device, options.direct).await?;
    let detach = options.detach;
    // Its id is made here: whoever could not hear the answer asks again, and it runs once.
    if let (Tasks::Device { .. }, false) = (&tasks, options.models.is_empty()) {
        bail!("Only a server makes keys for models, and none is reached. Nothing was started");
    }
    let models = (!options.models.is_empty())
        .then(|| TaskModels { models: options.models.clone(), cap_micros: options.max_spend });
    let start = StartTask { id: Some(TaskId::fresh()), spec: spec(options)?, models };
    let task = tasks.start(&start).await?;
    if detach {
        match context.json {
            true => json(&task)?,
            false => say(task.id),
        }
        return Ok(0);
    }
    let task = tasks.follow(task.id, true).await?;
    if context.json {
        json(&task)?;
    }
    Ok(code(&task))
}

/// Dollars as typed, as millionths.
fn micros(text: &str) -> Result<i64, String> {
    let wrong = || "Write dollars like 2.50.".to_owned();
    let (whole, cents) = text.split_once('.').unwrap_or((text, "0"));
    if cents.len() > 6 || ![whole, cents].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(wrong());
    }
    format!("{whole}{cents:0<6}").parse().map_err(|_| wrong())
}

fn spec(options: Options) -> Result<TaskSpec> {
    let mut command = options.command.into_iter();
    let command = match options.shell {
        true => TaskCommand::Shell { shell: command.collect::<Vec<_>>().join(" ") },
        false => TaskCommand::Program {
            program: command.next().context("Say what to run, behind `--`")?,
            args: command.collect(),
        },
    };
    let mut env = std::collections::BTreeMap::new();
    for variable in options.env {
        let (name, value) = match variable.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => match std::env::var(&variable) {
                Ok(value) => (variable, value),
                Err(_) => bail!("{variable} is not set here. Nothing was started"),
            },
        };
        env.insert(name, value);
    }
    // Less than a second would be none.
    let timeout_s = options.timeout.map(|timeout| timeout.as_secs().max(1));
    Ok(TaskSpec { command, cwd: options.cwd, env, timeout_s })
}

/// The task's own code; what a shell would say otherwise.
pub fn code(task: &Task) -> u8 {
    if let Some(reason) = &task.reason {
        note(format!("{}: {reason}", task.state.as_str()));
    }
    let signal = || task.signal.and_then(|signal| u8::try_from(128 + signal).ok());
    let exited = task.exit_code.and_then(|code| u8::try_from(code & 0xff).ok());
    match task.state {
        TaskState::Succeeded => 0,
        TaskState::Refused => REFUSED,
        TaskState::Lost => LOST,
        _ => exited.filter(|code| *code != 0).or_else(signal).unwrap_or(1),
    }
}
