//! One file for each command.

pub mod cat;
pub mod cp;
pub mod devices;
pub mod forward;
pub mod grant;
pub mod keys;
pub mod login;
pub mod logout;
pub mod logs;
pub mod ls;
pub mod run;
pub mod shell;
pub mod ssh_proxy;
pub mod status;
pub mod tasks;
pub mod trust;

use anyhow::Result;

use crate::{
    args::{Cli, Command},
    context::Context,
};

/// Does what was asked; the exit code.
pub async fn run(cli: Cli) -> Result<u8> {
    let context = Context::new(&cli.global)?;
    match cli.command {
        Command::Login(options) => login::run(&context, options).await?,
        Command::Logout => logout::run(&context)?,
        Command::Devices(options) => devices::run(&context, options).await?,
        Command::Trust(options) => trust::run(&context, options).await?,
        Command::Grant(options) => grant::grant(&context, options).await?,
        Command::Grants(options) => grant::list(&context, options).await?,
        Command::Revoke(options) => grant::revoke(&context, options).await?,
        Command::Run(options) => return run::run(&context, options).await,
        Command::Tasks(options) => return tasks::run(&context, options).await,
        Command::Shell(options) => return shell::run(&context, options).await,
        Command::Ls(options) => ls::run(&context, options).await?,
        Command::Cat(options) => cat::run(&context, options).await?,
        Command::Cp(options) => cp::run(&context, options).await?,
        Command::Logs(options) => logs::run(&context, options).await?,
        Command::Forward(options) => forward::run(&context, options).await?,
        Command::SshProxy(options) => ssh_proxy::run(&context, options).await?,
        Command::Status(options) => status::run(&context, options).await?,
        Command::Keys(options) => keys::run(&context, options).await?,
    }
    Ok(0)
}
