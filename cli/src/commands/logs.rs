//! `foreman logs`.

use std::io::IsTerminal;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use foreman_client::{
    DeviceConnection,
    device::{LogFilter, LogUpdate},
};
use foreman_protocol::{LogLevel, LogLine};
use futures_util::StreamExt;

use crate::{
    context::Context,
    output::{json, moment, note, put, say, table},
};

#[derive(Debug, Args)]
pub struct Options {
    /// Its name, or the beginning of its id.
    device: String,
    /// `journal`, `journal:ssh.service`, `task:ID`, `file:/var/log/syslog`, `container:NAME`; lists them when absent.
    source: Option<String>,
    /// Go on with what is written from now on.
    #[arg(short, long, env = "FOREMAN_LOGS_FOLLOW")]
    follow: bool,
    /// So many of the last lines first.
    #[arg(short = 'n', long, env = "FOREMAN_LOGS_LINES")]
    lines: Option<u32>,
    /// Only lines that match this regular expression.
    #[arg(long, env = "FOREMAN_LOGS_GREP")]
    grep: Option<String>,
    /// Only lines of at least this level.
    #[arg(long, env = "FOREMAN_LOGS_LEVEL", value_enum)]
    level: Option<LevelName>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LevelName {
    /// Every step.
    Trace,
    /// What helps to find a mistake.
    Debug,
    /// What happens.
    Info,
    /// What may become a problem.
    Warn,
    /// What failed.
    Error,
}

impl From<LevelName> for LogLevel {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Trace => Self::Trace,
            LevelName::Debug => Self::Debug,
            LevelName::Info => Self::Info,
            LevelName::Warn => Self::Warn,
            LevelName::Error => Self::Error,
        }
    }
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let device = context.open(&options.device).await?;
    let Some(source) = options.source else { return sources(context, &device).await };
    let filter = LogFilter {
        lines: options.lines,
        grep: options.grep,
        level: options.level.map(Into::into),
        follow: options.follow,
    };
    let mut log = device.logs(&source, &filter);
    while let Some(update) = log.next().await {
        match update {
            LogUpdate::Line(line) => {
                let mut text = if context.json { serde_json::to_string(&line)? } else { shown(&line) };
                text.push('\n');
                if !put(text.as_bytes()) {
                    return Ok(());
                }
            }
            LogUpdate::Gap => note("lines were lost to rotation"),
            LogUpdate::Lost(error) => note(format!("{error}; going on after the last line")),
            LogUpdate::Ended(None) => return Ok(()),
            LogUpdate::Ended(Some(why)) => bail!("the log was ended on the device: {why}"),
            LogUpdate::Failed(error) => return Err(error.into()),
        }
    }
    bail!("the log ended without saying why")
}

async fn sources(context: &Context, device: &DeviceConnection) -> Result<()> {
    let sources = device.log_sources().await?;
    if context.json {
        return json(&sources);
    }
    let rows: Vec<_> = sources
        .sources
        .iter()
        .map(|source| {
            let active = if source.active { "active" } else { "" };
            [source.id.clone(), source.name.clone(), active.to_owned()]
        })
        .collect();
    table(["SOURCE", "NAME", ""], &rows);
    for unavailable in &sources.unavailable {
        note(format!("{:?}: {}", unavailable.kind, unavailable.reason).to_lowercase());
    }
    if rows.is_empty() {
        say("There is no log that this device shows.");
    }
    Ok(())
}

/// A line as people read it, coloured by its level where colours are seen.
fn shown(line: &LogLine) -> String {
    let at = line.at.map(|at| format!("{} ", moment(at))).unwrap_or_default();
    let from = line.from.as_ref().map(|from| format!("{from}: ")).unwrap_or_default();
    let text = printable(&format!("{from}{}", line.text));
    if !std::io::stdout().is_terminal() {
        return format!("{at}{text}");
    }
    match line.level {
        Some(LogLevel::Error) => format!("{at}\x1b[31m{text}\x1b[0m"),
        Some(LogLevel::Warn) => format!("{at}\x1b[33m{text}\x1b[0m"),
        Some(LogLevel::Debug | LogLevel::Trace) => format!("{at}\x1b[2m{text}\x1b[0m"),
        _ => format!("{at}{text}"),
    }
}

/// What is in a log must not steer the terminal that shows it; tabs are harmless.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_cannot_steer_the_terminal() {
        assert_eq!(printable("a\tb\x1b[2Jc\r"), "a\tb\u{fffd}[2Jc\u{fffd}");
    }
}
