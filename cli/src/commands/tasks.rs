//! `foreman tasks`: what a device was given to run.

use anyhow::Result;
use clap::Args;
use foreman_protocol::{Task, TaskCommand};

use super::run::code;
use crate::{
    context::Context,
    output::{json, moment, table},
    tasks::Tasks,
};

/// Longer commands are cut in the list, in characters.
const LONGEST: usize = 80;

const AFTER: &str = "\
While no server is reached, the device itself is asked over the link. It knows what waits or runs there, and what ended \
and could not be told to its server yet.";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Options {
    /// Its name, or the beginning of its id.
    device: String,
    /// Show the output of a task until it is over, by its id or the beginning of it; its exit code becomes this program's.
    #[arg(short, long, env = "FOREMAN_TASKS_FOLLOW", value_name = "ID", conflicts_with = "stop")]
    follow: Option<String>,
    /// Stop a task.
    #[arg(long, env = "FOREMAN_TASKS_STOP", value_name = "ID")]
    stop: Option<String>,
    /// Ask the device itself, over the link, even where its server could be asked.
    #[arg(long, env = "FOREMAN_TASKS_DIRECT")]
    direct: bool,
}

pub async fn run(context: &Context, options: Options) -> Result<u8> {
    let tasks = Tasks::of(context, &options.device, options.direct).await?;
    if let Some(which) = &options.stop {
        let task = tasks.stop(tasks.find(which).await?).await?;
        if context.json {
            json(&task)?;
        }
        return Ok(0);
    }
    if let Some(which) = &options.follow {
        let task = tasks.follow(tasks.find(which).await?, false).await?;
        if context.json {
            json(&task)?;
        }
        return Ok(code(&task));
    }
    let all = tasks.list().await?;
    if context.json {
        json(&all)?;
        return Ok(0);
    }
    let rows: Vec<_> = all
        .iter()
        .map(|task| {
            [task.id.to_string(), task.state.as_str().to_owned(), moment(task.created_at), line(task)]
        })
        .collect();
    table(["ID", "STATE", "SINCE", "COMMAND"], &rows);
    Ok(0)
}

fn line(task: &Task) -> String {
    let whole = match &task.command {
        TaskCommand::Shell { shell } => shell.clone(),
        TaskCommand::Program { program, args } => {
            std::iter::once(program).chain(args).cloned().collect::<Vec<_>>().join(" ")
        }
    };
    let first = whole.lines().next().unwrap_or_default();
    let mut shown: String = first.chars().take(LONGEST).collect();
    if shown.len() < whole.len() {
        shown.push('…');
    }
    shown
}
