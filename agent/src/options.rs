//! The command line. Every option is also an environment variable.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::BoolishValueParser};
use foreman_machine::run::Limits;
use foreman_protocol::Policy;
use foreman_services::Which;

use crate::{
    agent::Settings,
    connect::Connect,
    link::{self, Listen, trust::Dashboard},
    state::State,
    trusting::Trusting,
};

/// The agent of a Foreman device: joins a server, reports how this machine is, runs tasks as its policy allows.
#[derive(Debug, Parser)]
#[command(name = "foreman-agent", version)]
pub struct Options {
    /// Where the agent keeps its identity, policy and journal. Default: /var/lib/foreman-agent for root, else
    /// foreman-agent in the user's data directory.
    #[arg(long, global = true, env = "FOREMAN_AGENT_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// What is logged to standard error, as a filter such as `info` or `foreman_agent=debug`. Default: `info` for
    /// `run`, else `warn`.
    #[arg(long, global = true, env = "FOREMAN_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Connect this machine to a server with a token from its dashboard, and run as its agent.
    Connect(Box<ConnectOptions>),
    /// Run the agent of a connected machine; waits when it is not connected yet.
    Run(RunOptions),
    /// Show the server, the connection, the running tasks and what this device allows.
    Status {
        /// Print JSON.
        #[arg(long, env = "FOREMAN_JSON")]
        json: bool,
    },
    /// Sign this machine off its server for good, and stop its tasks.
    Disconnect {
        /// Also when the server cannot be reached.
        #[arg(long, env = "FOREMAN_FORCE")]
        force: bool,
    },
    /// Check everything that can be wrong, and say what to do about it.
    Doctor {
        /// The server to try; the one this machine is connected to when absent.
        #[arg(long, env = "FOREMAN_SERVER", value_name = "URL")]
        server: Option<String>,
        /// Print JSON.
        #[arg(long, env = "FOREMAN_JSON")]
        json: bool,
    },
    /// Say who may reach this device over the link: owners, and the server's dashboard.
    Trust {
        #[command(subcommand)]
        what: TrustCommand,
    },
    /// Make a new key for the device link; the old one is dead at once.
    RotateKey,
    /// Install and start the agent as a system service, with the proxies and `OLLAMA_HOST` that are set here.
    InstallService(Which),
    /// Stop and remove the system service; identity and policy stay.
    UninstallService(Which),
    /// Say whether the system service is there and runs. Ends with 1 when it does not.
    ServiceStatus {
        #[command(flatten)]
        which: Which,
        /// Print JSON.
        #[arg(long, env = "FOREMAN_JSON")]
        json: bool,
    },
    /// Run one task; the agent starts this by itself.
    #[command(hide = true)]
    Supervise { folder: Option<PathBuf> },
}

#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// Show whom this device trusts.
    List,
    /// Let this owner's grants count here.
    Add {
        /// The owner's public key.
        key: String,
        /// A name for people, such as "Mia".
        #[arg(long, env = "FOREMAN_OWNER_NAME")]
        name: Option<String>,
    },
    /// Let an owner's grants count no more; open links by them are closed.
    Remove {
        /// The owner's key or name.
        owner: String,
    },
    /// Say what the server and its dashboard may do here.
    Dashboard {
        /// How far.
        level: Dashboard,
    },
}

#[derive(Debug, Args)]
pub struct ConnectOptions {
    /// The server's address.
    #[arg(long, env = "FOREMAN_SERVER", value_name = "URL")]
    pub server: String,
    /// The one-time token; `-` reads it from standard input. Other users can see a command line, so prefer the
    /// environment or standard input.
    #[arg(long, env = "FOREMAN_TOKEN", hide_env_values = true)]
    pub token: String,
    /// What the server may do on this device. Replaces the policy file when given; nothing is allowed by default.
    #[arg(long, env = "FOREMAN_ALLOW", value_delimiter = ',', value_name = "WHAT")]
    pub allow: Option<Vec<Allow>>,
    /// Only below these directories; everywhere when absent.
    #[arg(long, env = "FOREMAN_ALLOWED_PATHS", value_delimiter = ',', value_name = "DIR")]
    pub allowed_paths: Vec<String>,
    /// Never below these directories.
    #[arg(long, env = "FOREMAN_BLOCKED_PATHS", value_delimiter = ',', value_name = "DIR")]
    pub blocked_paths: Vec<String>,
    /// The public key of someone whose grants count on this device; can be given more than once.
    #[arg(long = "owner", env = "FOREMAN_OWNER", value_delimiter = ',', value_name = "KEY")]
    pub owners: Vec<String>,
    /// What the server and its dashboard may do here over the device link. Default: as before, or `operate`.
    #[arg(long, env = "FOREMAN_DASHBOARD", value_name = "LEVEL")]
    pub dashboard: Option<Dashboard>,
    /// End when everything is set up; a service goes on.
    #[arg(long, env = "FOREMAN_DETACH")]
    pub detach: bool,
    /// Give up an earlier connection of this machine.
    #[arg(long, env = "FOREMAN_FORCE")]
    pub force: bool,
    #[command(flatten)]
    pub running: Running,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Allow {
    /// Run programs and shell commands.
    Bash,
    /// Read files.
    Read,
    /// Write files.
    Write,
    /// Read logs: the journal, containers, tasks, and files in /var/log; any other file where files may be read too.
    Logs,
    /// Nothing.
    None,
}

#[derive(Debug, Args)]
pub struct RunOptions {
    /// The server's new address, when it has moved since this machine connected; kept from then on.
    #[arg(long, env = "FOREMAN_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// End in order when standard input does: for a program that starts this one.
    #[arg(long, env = "FOREMAN_END_WITH_INPUT")]
    pub end_with_input: bool,
    #[command(flatten)]
    pub running: Running,
}

#[derive(Debug, Clone, Args)]
pub struct Running {
    /// Tasks beyond this many wait for their turn.
    #[arg(long, env = "FOREMAN_MAX_TASKS", default_value_t = 64, value_name = "COUNT")]
    pub max_tasks: usize,
    /// Output of a task held on disk until the server has it, in bytes; the task waits when it is reached.
    #[arg(long, env = "FOREMAN_SPOOL_LIMIT", default_value_t = 64 << 20, value_name = "BYTES")]
    pub spool_limit: u64,
    /// Seconds between asking a task to end and killing it.
    #[arg(long, env = "FOREMAN_STOP_GRACE_S", default_value_t = 10.0, value_name = "SECONDS")]
    pub stop_grace_s: f64,
    /// Open files in each process of a task.
    #[arg(long, env = "FOREMAN_TASK_OPEN_FILES", default_value_t = 65_536, value_name = "COUNT")]
    pub task_open_files: u64,
    /// Where the device link listens: an address, a port, `none`, or `usual`, which is [::]:9981, IPv4 too, or the
    /// next free port. Kept from then on, as the next two are.
    #[arg(long, env = "FOREMAN_LINK_LISTEN", value_name = "ADDR|none")]
    pub link_listen: Option<Listen>,
    /// Do not tell the local network that this device is here.
    #[arg(long, env = "FOREMAN_NO_MDNS", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = BoolishValueParser::new())]
    pub no_mdns: Option<bool>,
    /// Offer the device link in this machine's tailnet by `tailscale serve`.
    #[arg(long, env = "FOREMAN_TAILSCALE", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = BoolishValueParser::new())]
    pub tailscale: Option<bool>,
    /// Run the Cloudflare Tunnel that the server makes for this device also where the server may not run commands here.
    /// It is ended as soon as it is led to anything but the device link. With `=false` it is never run. Default: it is
    /// run where the server may run commands anyway.
    #[arg(long, env = "FOREMAN_CLOUDFLARE", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = BoolishValueParser::new())]
    pub cloudflare: Option<bool>,
}

impl Options {
    /// # Errors
    /// When the user has no home directory and named none.
    pub fn state(&self) -> anyhow::Result<State> {
        let dir = match &self.state {
            // A supervisor works elsewhere, so the path must not depend on where this was started.
            Some(dir) => std::path::absolute(dir)?,
            None => State::default_dir()?,
        };
        Ok(State::at(dir))
    }
}

impl Running {
    #[must_use]
    pub fn settings(&self) -> Settings {
        let stop_grace = Duration::try_from_secs_f64(self.stop_grace_s).unwrap_or(Duration::from_secs(10));
        Settings {
            limits: Limits {
                spool: self.spool_limit.max(4096),
                stop_grace,
                open_files: self.task_open_files,
            },
            most_running: self.max_tasks,
            link: link::Wishes {
                listen: self.link_listen,
                no_mdns: self.no_mdns,
                tailscale: self.tailscale,
                cloudflare: self.cloudflare,
            },
        }
    }
}

impl From<TrustCommand> for Trusting {
    fn from(command: TrustCommand) -> Self {
        match command {
            TrustCommand::List => Self::List,
            TrustCommand::Add { key, name } => Self::Add { key, name },
            TrustCommand::Remove { owner } => Self::Remove { owner },
            TrustCommand::Dashboard { level } => Self::Dashboard(level),
        }
    }
}

impl ConnectOptions {
    #[must_use]
    pub fn connect(&self) -> Connect {
        let allowed = |what| self.allow.as_ref().is_some_and(|allow| allow.contains(&what));
        let policy = Policy {
            allow_bash: allowed(Allow::Bash),
            allow_file_read: allowed(Allow::Read),
            allow_file_write: allowed(Allow::Write),
            allow_logs: allowed(Allow::Logs),
            allow_models: true,
            allowed_paths: self.allowed_paths.clone(),
            blocked_paths: self.blocked_paths.clone(),
        };
        Connect {
            server: self.server.clone(),
            token: self.token.clone(),
            policy,
            policy_given: self.allow.is_some(),
            owners: self.owners.clone(),
            dashboard: self.dashboard,
            detach: self.detach,
            force: self.force,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_option_has_a_variable() {
        let command = Options::command();
        command.clone().debug_assert();
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            for option in command.get_opts() {
                assert!(option.get_env().is_some(), "{} of {}", option.get_id(), command.get_name());
            }
        }
    }

    #[test]
    fn help_explains_every_command_and_every_argument() {
        fn explained(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let name = (command.get_name(), argument.get_id());
                assert!(argument.get_help().is_some(), "{name:?}");
                let values = argument.get_possible_values();
                let boolean = values.iter().any(|value| value.get_name() == "true");
                for value in values.iter().filter(|_| !boolean) {
                    assert!(value.get_help().is_some(), "{name:?}: {}", value.get_name());
                }
            }
            command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(explained);
        }
        explained(&Options::command());
    }

    #[test]
    fn the_copied_command_is_understood() {
        let words =
            "foreman-agent connect --server http://127.0.0.1:3001 --token t --allow bash,read --detach";
        let options = Options::try_parse_from(words.split(' ')).unwrap();
        let Command::Connect(connect) = options.command else { panic!("not connect") };
        let connect = connect.connect();
        assert!(connect.policy.allow_bash && connect.policy.allow_file_read && !connect.policy.allow_logs);
        assert!(connect.policy_given && connect.detach);
        assert_eq!((connect.owners.len(), connect.dashboard), (0, None));

        let words = "foreman-agent connect --server s --token t --owner A= --owner B= --dashboard none";
        let options = Options::try_parse_from(words.split(' ')).unwrap();
        let Command::Connect(connect) = options.command else { panic!("not connect") };
        let connect = connect.connect();
        assert_eq!(
            (connect.owners, connect.dashboard),
            (vec!["A=".to_owned(), "B=".to_owned()], Some(Dashboard::None))
        );
    }
}
