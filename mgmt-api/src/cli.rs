//! The command line of `foreman-server`.

mod ending;
#[cfg(unix)]
mod installed;

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

use clap::{Parser, Subcommand, ValueEnum};
use foreman_protocol::Role;
#[cfg(unix)]
use foreman_services::{Installed, Which};

use crate::{
    backup,
    config::{DataOptions, LogFormat, PROXIES, ServeOptions},
    host, server,
};

/// Foreman's control plane: the dashboard, the device registry, the event log.
#[derive(Debug, Parser)]
#[command(name = "foreman-server", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the control plane.
    #[command(after_help = PROXIES)]
    Serve {
        #[command(flatten)]
        options: Box<ServeOptions>,
        /// End in order when standard input does: for a program that starts this one.
        #[arg(long, env = "FOREMAN_END_WITH_INPUT")]
        end_with_input: bool,
    },
    /// Print a one-use link that signs the owner in; makes the owner when there is none. Valid for 10 minutes.
    LoginLink {
        #[command(flatten)]
        data: DataOptions,
        /// Where the server is reached; what the running server said last when absent.
        #[arg(long, env = "FOREMAN_PUBLIC_URL")]
        public_url: Option<String>,
    },
    /// Bearer tokens for scripts.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Copy the SQLite database to a file, while the server runs.
    Backup {
        #[command(flatten)]
        data: DataOptions,
        file: PathBuf,
    },
    /// Put a copy made by `backup` in the database's place. The server must be stopped; what was there is kept.
    Restore {
        #[command(flatten)]
        data: DataOptions,
        file: PathBuf,
    },
    /// Begin with a new key for sealed values when seal.key is lost: tasks that wait with an environment are ended. The
    /// server must be stopped.
    ForgetSealed {
        #[command(flatten)]
        data: DataOptions,
    },
    /// The event log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Install and start the server as a system service, which serves with the options given here and has the proxies that
    /// are set here.
    #[cfg(unix)]
    InstallService {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        options: Box<ServeOptions>,
    },
    /// Stop and remove the system service; the data stays.
    #[cfg(unix)]
    UninstallService {
        #[command(flatten)]
        which: Which,
    },
    /// Say whether the system service is there and runs. Ends with 1 when it does not.
    #[cfg(unix)]
    ServiceStatus {
        #[command(flatten)]
        which: Which,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the API description.
    Openapi,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print its secret, which is shown only once.
    Create {
        #[command(flatten)]
        data: DataOptions,
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum, default_value_t = RoleName::Operator)]
        role: RoleName,
    },
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Check the chain of hashes. Ends with 1 when the log was changed.
    Verify {
        #[command(flatten)]
        data: DataOptions,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Viewer,
    Operator,
    Admin,
    Owner,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Role::Viewer,
            RoleName::Operator => Role::Operator,
            RoleName::Admin => Role::Admin,
            RoleName::Owner => Role::Owner,
        }
    }
}

/// Runs one command; the exit code.
///
/// # Errors
/// One sentence for the terminal.
pub async fn run(cli: Cli) -> anyhow::Result<u8> {
    match cli.command {
        Command::Serve { options, end_with_input } => {
            init_log(&options)?;
            let asked = ending::asked();
            let stop = async move {
                tokio::select! {
                    () = asked => {}
                    () = ending::input_ended(), if end_with_input => {}
                }
            };
            server::serve(*options, stop).await?;
        }
        Command::LoginLink { data, public_url } => {
            let url = public_url.unwrap_or_else(|| host::last_address(&data));
            say(host::login_link(&data, &url).await?);
        }
        Command::Token(TokenCommand::Create { data, name, role }) => {
            say(host::create_token(&data, &name, role.into()).await?);
        }
        Command::Backup { data, file } => {
            backup::backup(&data, &file).await?;
            say(format!("The database was copied to {}.", file.display()));
            say(format!(
                "The keys are not in it: keep link.key and seal.key of {} somewhere else.",
                data.data.display()
            ));
        }
        Command::Restore { data, file } => match backup::restore(&data, &file).await? {
            Some(kept) => say(format!("Restored. What was there before is kept at {}.", kept.display())),
            None => say("Restored."),
        },
        Command::ForgetSealed { data } => {
            let ended = host::forget_sealed(&data).await?;
            say(format!(
                "{ended} tasks that waited were ended. The next start seals with the key it finds or makes."
            ));
        }
        Command::Audit(AuditCommand::Verify { data }) => {
            let verdict = host::verify_log(&data).await?;
            match verdict.broken_at {
                None => say(format!("The log is intact: {} events.", verdict.checked)),
                Some(cursor) => {
                    say(format!("The log was changed: event {cursor} does not follow the one before it."));
                    return Ok(1);
                }
            }
        }
        #[cfg(unix)]
        Command::InstallService { which, options } => {
            let service = installed::described(which, &options)?;
            host::prepare_folder(&options.data.data)?;
            foreman_services::install(&service)?.iter().for_each(say);
        }
        #[cfg(unix)]
        Command::UninstallService { which } => {
            foreman_services::uninstall(&installed::named(which)?)?.iter().for_each(say);
            say("The data stays.");
        }
        #[cfg(unix)]
        Command::ServiceStatus { which, json } => {
            let look = foreman_services::look(&installed::named(which)?)?;
            say(if json { serde_json::to_string(&look)? } else { look.to_string() });
            return Ok(u8::from(look.state != Installed::Running));
        }
        Command::Openapi => say(server::description().to_pretty_json()?),
    }
    Ok(0)
}

/// A line on standard output; whoever closed it has read enough.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn init_log(options: &ServeOptions) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&options.log)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
