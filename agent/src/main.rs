//! `foreman-agent`: reads the command line and calls the library.

use std::{io::IsTerminal, path::Path, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use foreman_agent::{
    HOLD, SUPERVISE, address, agent,
    agent::Ended,
    connect, disconnect, doctor, ending,
    identity::Identity,
    options::{Command, Options},
    service,
    state::State,
    status, trusting,
    uplink::Uplink,
};
use foreman_services::Installed;
use mimalloc::MiMalloc;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

/// What comes and goes in pieces of 64 KiB is not given back to the system and fetched anew for each.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before everything else: one of these is started for each task and terminal and must cost next to nothing.
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(arg) if arg == SUPERVISE => return supervise(args.next().as_deref().map(Path::new)),
        Some(arg) if arg == HOLD => return ExitCode::from(foreman_machine::terminal::hold(args)),
        #[cfg(windows)]
        Some(arg) if arg == foreman_agent::SERVE => return said(service::serve(served)),
        _ => {}
    }
    said(run(Options::parse()))
}

/// To the person who typed the command.
fn said(ran: anyhow::Result<ExitCode>) -> ExitCode {
    match ran {
        Ok(code) => code,
        Err(error) => {
            let text = format!("{error:#}");
            let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
            eprintln!("{text}{end}");
            ExitCode::FAILURE
        }
    }
}

fn supervise(folder: Option<&Path>) -> ExitCode {
    match foreman_machine::run::supervise(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The agent as a service: `run`, with its log in the state directory.
#[cfg(windows)]
fn served() -> bool {
    let mut args: Vec<_> = std::env::args_os().collect();
    args[1] = "run".into();
    let begin = || {
        let options = Options::try_parse_from(args)?;
        let state = options.state()?;
        state.prepare()?;
        log_to(service::log_file(state.dir())?, false, options.log.as_deref().unwrap_or("info"))?;
        anyhow::Ok((options, state))
    };
    let ended = begin().and_then(|(options, state)| perform(options, &state));
    if let Err(error) = &ended {
        tracing::error!("{error:#}");
    }
    ended.is_ok()
}

fn run(options: Options) -> anyhow::Result<ExitCode> {
    // `connect` talks to a person: what it does is in its own lines.
    let usual = if matches!(options.command, Command::Run(_)) { "info" } else { "warn" };
    let colours = std::io::stderr().is_terminal();
    log_to(std::io::stderr, colours, options.log.as_deref().unwrap_or(usual))?;
    let state = options.state()?;
    perform(options, &state)
}

fn perform(options: Options, state: &State) -> anyhow::Result<ExitCode> {
    // One thread does: the agent mostly waits, and must stay small.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // A keystroke is looked for between any two pieces of a download, not only when those pause.
        .event_interval(1)
        .build()
        .context("Cannot start the runtime")?;
    runtime.block_on(async {
        match options.command {
            Command::Connect(options) => {
                let ended = connect::connect(state, options.connect(), options.running.settings()).await?;
                Ok(farewell(ended))
            }
            Command::Run(options) => {
                if options.end_with_input {
                    foreman_services::when_input_ends(ending::ask);
                }
                state.prepare()?;
                let Some((mut identity, lock)) = agent::wait_for_turn(state).await? else {
                    return Ok(ExitCode::SUCCESS);
                };
                if let Some(server) = &options.server {
                    identity.move_to(address::normalise(server)?, &state.identity())?;
                }
                let ended = agent::run(state, lock, &identity, options.running.settings(), None).await?;
                Ok(farewell(ended))
            }
            Command::Status { json } => Ok(exit_code(status::print(state, json)?)),
            Command::Disconnect { force } => {
                disconnect::disconnect(state, force).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Doctor { server, json } => examine(state, server, json).await,
            Command::Trust { what } => {
                say_all(&trusting::change(state, what.into())?);
                Ok(ExitCode::SUCCESS)
            }
            Command::RotateKey => {
                say_all(&trusting::rotate_key(state)?);
                Ok(ExitCode::SUCCESS)
            }
            Command::InstallService(which) => {
                state.prepare()?;
                say_all(&foreman_services::install(&service::describe(which, state.dir())?)?);
                Ok(ExitCode::SUCCESS)
            }
            Command::UninstallService(which) => {
                say_all(&foreman_services::uninstall(&service::describe(which, state.dir())?)?);
                println!("What the agent keeps in {} stays", state.dir().display());
                Ok(ExitCode::SUCCESS)
            }
            Command::ServiceStatus { which, json } => {
                let look = foreman_services::look(&service::describe(which, state.dir())?)?;
                println!("{}", if json { serde_json::to_string(&look)? } else { look.to_string() });
                Ok(exit_code(look.state == Installed::Running))
            }
            Command::Supervise { folder } => Ok(supervise(folder.as_deref())),
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

async fn examine(state: &State, server: Option<String>, json: bool) -> anyhow::Result<ExitCode> {
    // A damaged identity is one of the findings.
    let identity = Identity::load(&state.identity()).ok().flatten();
    let server = server.or_else(|| identity.as_ref().map(|identity| identity.server.clone()));
    let subject = doctor::Subject {
        state_dir: state.dir(),
        identity: &state.identity(),
        lock: &state.lock_file(),
        server: server.as_deref(),
    };
    let prove = async || {
        let identity = identity.as_ref().context("this machine is not connected")?;
        let client = foreman_link::http::client()?;
        let uplink = Uplink::new(client, &identity.server, identity.device_id, identity.key.clone());
        Ok(uplink.authenticate().await?)
    };
    let report = doctor::examine(subject, prove).await;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(exit_code(!report.is_bad()))
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say_all(lines: &[String]) {
    for line in lines {
        println!("{line}");
    }
}

fn log_to(
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
    colours: bool,
    filter: &str,
) -> anyhow::Result<()> {
    let quiet = foreman_link::QUIET_LOG_TARGETS;
    let filter = EnvFilter::try_new(format!("{filter},{quiet}"))
        .with_context(|| format!("`{filter}` is not a log filter; try --log info"))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours).with_target(false);
    tracing_subscriber::registry().with(filter).with(layer).init();
    Ok(())
}
