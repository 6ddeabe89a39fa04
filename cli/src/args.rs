//! The command line. Every option is an environment variable too.

use clap::{Args, Parser, Subcommand};
use foreman_client::PathKind;

use crate::commands::{
    cat, cp, devices, forward, grant, keys, login, logs, ls, run, shell, ssh_proxy, status, tasks, trust,
};

macro_rules! after {
    ($places:literal) => {
        concat!(
            "FOREMAN_URL and FOREMAN_TOKEN are used instead of a sign-in when both are set. Keys, the sign-in and what is \
             known of devices are in ",
            $places,
            ". A DEVICE is its name or the beginning of its id. Devices that were met once are reached on the local \
             network with the server down too."
        )
    };
}
const AFTER: &str = if cfg!(windows) {
    after!("%APPDATA%\\foreman")
} else {
    after!("$XDG_CONFIG_HOME/foreman and $XDG_DATA_HOME/foreman")
};

/// Foreman's devices from a command line: reached directly and sealed where they trust you.
#[derive(Debug, Parser)]
#[command(name = "foreman", version, propagate_version = true, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Global {
    /// Print lists and states as JSON.
    #[arg(long, env = "FOREMAN_JSON", global = true)]
    pub json: bool,
    /// Reach devices only over these ways, separated by commas.
    #[arg(long, env = "FOREMAN_VIA", global = true, value_delimiter = ',', value_parser = path_kind, value_name = "WAY")]
    pub via: Vec<PathKind>,
    /// Reach a device only when this is its identity, as `foreman-agent status` shows it there.
    #[arg(long, env = "FOREMAN_IDENTITY", global = true, value_name = "KEY")]
    pub identity: Option<String>,
    /// Do not look for devices by multicast on the local network.
    #[arg(long, env = "FOREMAN_NO_MDNS", global = true)]
    pub no_mdns: bool,
}

fn path_kind(text: &str) -> Result<PathKind, String> {
    let all = [PathKind::Lan, PathKind::Tailscale, PathKind::Cloudflare, PathKind::Relay, PathKind::Server];
    let known = || all.map(PathKind::as_str).join(", ");
    all.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| format!("one of {}", known()))
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in to a server.
    Login(login::Options),
    /// Forget the sign-in.
    Logout,
    /// The devices: list, add, show, remove.
    Devices(devices::Options),
    /// Get a device to trust you: shows your key and what to run there.
    Trust(trust::Options),
    /// Give somebody's client a right on a device.
    Grant(grant::GrantOptions),
    /// List who has rights on a device.
    Grants(grant::GrantsOptions),
    /// Take rights back.
    Revoke(grant::RevokeOptions),
    /// Run a command as a task and show its output; its exit code becomes this program's.
    Run(run::Options),
    /// List what a device was given to run; follow or stop one of them.
    Tasks(tasks::Options),
    /// Open a terminal on a device, or go back to one.
    Shell(shell::Options),
    /// List a directory.
    Ls(ls::Options),
    /// Print a file.
    Cat(cat::Options),
    /// Copy files to or from a device; an interrupted copy is gone on with.
    Cp(cp::Options),
    /// Show logs of a device, or list which there are.
    Logs(logs::Options),
    /// Listen here and connect there.
    Forward(forward::Options),
    /// Carry ssh to a device: for ssh's ProxyCommand.
    SshProxy(ssh_proxy::Options),
    /// How a device is reached, what you may do there, and what it allows.
    Status(status::Options),
    /// Your keys.
    Keys(keys::Options),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_explains_every_command_and_every_argument() {
        fn explained(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let name = (command.get_name(), argument.get_id());
                assert!(argument.get_help().is_some(), "{name:?}");
                let switch = argument.get_action().takes_values();
                for value in argument.get_possible_values().iter().filter(|_| switch) {
                    assert!(value.get_help().is_some(), "{name:?}: {}", value.get_name());
                }
            }
            command.get_subcommands().for_each(explained);
        }
        explained(&Cli::command());
    }

    #[test]
    fn every_option_is_an_environment_variable() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
                let exempt = ["help", "version"].contains(&arg.get_id().as_str());
                assert!(exempt || arg.get_env().is_some(), "{} --{}", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
