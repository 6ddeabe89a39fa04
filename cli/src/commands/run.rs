//! `foreman run`: a task, watched to its end. It lives on the device: losing this program does not end it.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use foreman_client::{Foreman, OutputUpdate};
use foreman_protocol::{Task, TaskCommand, TaskId, TaskSpec, TaskState};
use futures_util::StreamExt;

use crate::{
    context::Context,
    output::{json, note, put, say},
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
    /// Hand the command to the device's shell as one line.
    #[arg(long, env = "FOREMAN_RUN_SHELL")]
    shell: bool,
    /// Start it, print its id, and do not wait.
    #[arg(short, long, env = "FOREMAN_RUN_DETACH")]
    detach: bool,
    /// Program and arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

pub async fn run(context: &Context, options: Options) -> Result<u8> {
    let device = context.find(&options.device).await?;
    let server = context.server()?;
    let detach = options.detach;
    let task = server.start_task(device.id, &spec(options)?).await?;
    if detach {
        match context.json {
            true => json(&task)?,
            false => say(task.id),
        }
        return Ok(0);
    }
    let task = follow(&server, task.id).await?;
    if context.json {
        json(&task)?;
    }
    Ok(code(&task))
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

/// Shows output until the task is over. Ctrl-C stops the task; a second one leaves it to itself.
async fn follow(server: &Foreman, task: TaskId) -> Result<Task> {
    let mut output = server.live_output(task, 0);
    let mut stopping = false;
    loop {
        tokio::select! {
            update = output.next() => match update {
                Some(OutputUpdate::Bytes { data, .. }) => drop(put(&data)),
                Some(OutputUpdate::Gap(gap)) => note(format!("{} bytes of output are gone", gap.to - gap.from)),
                Some(OutputUpdate::Lost { error, .. }) => {
                    note(format!("{error}; the task goes on, its output follows"));
                }
                Some(OutputUpdate::Ended(task)) => return Ok(*task),
                None => bail!("the output of {task} ended without saying how the task did"),
            },
            _ = tokio::signal::ctrl_c() => {
                if stopping {
                    bail!("left {task} while it is being stopped");
                }
                stopping = true;
                note("stopping it; Ctrl-C again to leave it");
                if let Err(error) = server.stop_task(task).await {
                    note(format!("it could not be stopped: {error}"));
                }
            }
        }
    }
}

/// The task's own code; what a shell would say otherwise.
fn code(task: &Task) -> u8 {
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
