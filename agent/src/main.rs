//! `foreman-agent`: reads the command line and calls the library.

use std::{io::IsTerminal, path::Path, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use foreman_agent::{
    SUPERVISE, agent,
    agent::Ended,
    connect, disconnect, doctor,
    options::{Command, Options},
    service, status,
};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

fn main() -> ExitCode {
    // Before everything else: one of these is started for each task and must cost next to nothing.
    let mut args = std::env::args_os().skip(1);
    if let (Some(SUPERVISE), Some(folder)) = (args.next().as_ref().and_then(|arg| arg.to_str()), args.next())
    {
        return supervise(Path::new(&folder));
    }
    let options = Options::parse();
    match run(options) {
        Ok(code) => code,
        Err(error) => {
            let text = format!("{error:#}");
            let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
            eprintln!("{text}{end}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(folder: &Path) -> ExitCode {
    match foreman_machine::run::supervise(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<ExitCode> {
    log_to_stderr(&options.log)?;
    let state = options.state()?;
    // One thread does: the agent mostly waits, and must stay small.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("Cannot start the runtime")?;
    runtime.block_on(async {
        match options.command {
            Command::Connect(options) => {
                let ended = connect::connect(&state, options.connect(), options.running.settings()).await?;
                Ok(farewell(ended))
            }
            Command::Run(running) => {
                state.prepare()?;
                let Some((identity, lock)) = agent::wait_for_turn(&state).await? else {
                    return Ok(ExitCode::SUCCESS);
                };
                let ended = agent::run(&state, lock, &identity, running.settings(), None).await?;
                Ok(farewell(ended))
            }
            Command::Status { json } => Ok(exit_code(status::print(&state, json)?)),
            Command::Disconnect { force } => {
                disconnect::disconnect(&state, force).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Doctor { server, json } => {
                Ok(exit_code(doctor::run(state.dir(), server.as_deref(), json).await?))
            }
            Command::InstallService => {
                state.prepare()?;
                say_all(&service::install(state.dir())?);
                Ok(ExitCode::SUCCESS)
            }
            Command::UninstallService => {
                say_all(&service::uninstall(state.dir())?);
                Ok(ExitCode::SUCCESS)
            }
            Command::Supervise { folder } => Ok(supervise(&folder)),
        }
    })
}

fn farewell(ended: Ended) -> ExitCode {
    match ended {
        Ended::Asked => {}
        Ended::Gone => {
            println!(
                "This device was removed from its server. Its tasks were stopped; the policy file was kept."
            );
        }
    }
    ExitCode::SUCCESS
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say_all(lines: &[String]) {
    for line in lines {
        println!("{line}");
    }
}

fn log_to_stderr(filter: &str) -> anyhow::Result<()> {
    let quiet = foreman_link::QUIET_LOG_TARGETS;
    let filter = EnvFilter::try_new(format!("{filter},{quiet}"))
        .with_context(|| format!("`{filter}` is not a log filter; try --log info"))?;
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(filter).with(layer).init();
    Ok(())
}
