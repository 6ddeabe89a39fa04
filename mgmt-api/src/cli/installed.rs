//! The server as a service of the system: how it is called there. Its command line is spelled out from the one of
//! `install-service`, options from the environment included, because the service has neither that environment nor the
//! folder in which it was typed.

use std::{
    any::TypeId,
    ffi::OsString,
    path::{Path, PathBuf, absolute},
};

use anyhow::{Context, bail};
use clap::{ArgMatches, CommandFactory, parser::ValueSource};
use foreman_services::{Service, Which};

use super::Cli;
use crate::config::ServeOptions;

/// The service that serves as this program's own command line says.
///
/// # Errors
/// When an option would give away a secret: one sentence and what to do.
pub(super) fn described(which: Which, options: &ServeOptions) -> anyhow::Result<Service> {
    let matches = Cli::command().get_matches();
    let (_, given) = matches.subcommand().context("nothing was asked for")?;
    let folder = absolute(&options.data.data).context("cannot make the data folder absolute")?;
    service(which, spelled_out(given)?, &folder)
}

/// The service, for what only needs its name.
///
/// # Errors
/// When this program's own file cannot be found.
pub(super) fn named(which: Which) -> anyhow::Result<Service> {
    service(which, Vec::new(), Path::new(""))
}

fn service(which: Which, arguments: Vec<OsString>, folder: &Path) -> anyhow::Result<Service> {
    which.service("server", arguments, folder, "foreman-server serve", false)
}

/// `serve` with everything that was said, and with the data folder also where nobody said one.
fn spelled_out(given: &ArgMatches) -> anyhow::Result<Vec<OsString>> {
    let all = Cli::command();
    let serve = all.find_subcommand("serve").context("there is no `serve`")?;
    let mut line = vec![OsString::from("serve")];
    for option in serve.get_arguments() {
        let (Some(long), id) = (option.get_long(), option.get_id().as_str()) else { continue };
        // What only another program says to the one that it starts.
        if given.try_contains_id(id).is_err() {
            continue;
        }
        let said =
            matches!(given.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        if !said && id != "data" {
            continue;
        }
        if option.is_hide_env_values_set() {
            bail!(
                "everybody on this machine can read a service's command line, and --{long} may hold a password: \
                 install the service without it, and add {} to its environment with `systemctl edit`",
                option.get_env().unwrap_or_default().to_string_lossy()
            );
        }
        if !option.get_action().takes_values() {
            if given.get_flag(id) {
                line.push(OsString::from(format!("--{long}")));
            }
            continue;
        }
        let is_path = option.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        for value in given.get_raw(id).into_iter().flatten() {
            let value = if is_path { absolute(value)?.into_os_string() } else { value.to_owned() };
            let mut word = OsString::from(format!("--{long}="));
            word.push(value);
            line.push(word);
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> anyhow::Result<Vec<String>> {
        let words = ["foreman-server", "install-service"].iter().chain(words);
        let matches = Cli::command().try_get_matches_from(words).unwrap();
        let line = spelled_out(matches.subcommand().unwrap().1)?;
        Ok(line.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn the_service_serves_as_was_said_from_wherever_it_is_started() {
        let here = std::env::current_dir().unwrap();
        let words = ["--data", "data", "--listen", "127.0.0.1:3001", "--allowed-host", "a.example,b.example"];
        let wanted = [
            "serve".to_owned(),
            format!("--data={}", here.join("data").display()),
            "--listen=127.0.0.1:3001".to_owned(),
            "--allowed-host=a.example".to_owned(),
            "--allowed-host=b.example".to_owned(),
        ];
        assert_eq!(line(&words).unwrap(), wanted);
        let words = line(&["--data", "/d", "--vault-key-file", "vault.key"]).unwrap();
        let file = format!("--vault-key-file={}", here.join("vault.key").display());
        assert_eq!(words[1..], ["--data=/d".to_owned(), file]);
    }

    /// Where it is by itself depends on who asks, and the service is asked by somebody else.
    #[test]
    fn the_data_folder_is_always_named() {
        let words = line(&[]).unwrap();
        assert!(words.len() == 2 && words[1].starts_with("--data=/"), "{words:?}");
    }

    #[test]
    fn what_is_spelled_out_is_understood_by_serve() {
        let words =
            line(&["--data", "/d", "--relays", "7", "--vault-keychain", "--log-format", "json", "--user"])
                .unwrap();
        assert_eq!(words, ["serve", "--data=/d", "--relays=7", "--vault-keychain", "--log-format=json"]);
        let whole = std::iter::once("foreman-server").chain(words.iter().map(String::as_str));
        assert!(Cli::command().try_get_matches_from(whole).is_ok());
    }

    #[test]
    fn a_password_goes_into_no_command_line() {
        let words = ["--data", "/d", "--database-url", "postgres://a:secret@b/c"];
        let error = line(&words).unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL") && !error.contains("secret"), "{error}");
    }
}
