//! What all programs ask who is to be made a service.

use std::{ffi::OsString, path::Path};

use anyhow::Context as _;
use clap::Args;

use super::{Scope, Service, Surroundings};

/// Which service is meant.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// A service of this user and not of the machine; it always is one where this is not root.
    #[arg(long, env = "FOREMAN_USER_SERVICE")]
    pub user: bool,
    /// A name for another one on this machine, of letters, digits and hyphens; it is added to the service's name.
    #[arg(long, env = "FOREMAN_INSTANCE", value_name = "NAME", value_parser = instance)]
    pub instance: Option<String>,
}

impl Which {
    /// The service that calls this very program with these arguments. `what` it is, in one word; where it keeps what it
    /// knows; what people type instead; and whether what it starts outlives it.
    ///
    /// # Errors
    /// When the program's own file cannot be found.
    pub fn service(
        self,
        what: &'static str,
        arguments: Vec<OsString>,
        folder: &Path,
        by_hand: &'static str,
        outlived: bool,
    ) -> anyhow::Result<Service> {
        Ok(Service {
            what,
            instance: self.instance,
            scope: if self.user { Scope::User } else { Scope::Fitting },
            program: std::env::current_exe().context("cannot find this program's own file")?,
            arguments,
            folder: folder.to_owned(),
            by_hand,
            outlived,
            surroundings: Surroundings::of(|name| std::env::var(name).ok()),
        })
    }
}

/// It becomes part of a file's name.
fn instance(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if text.is_empty() || text.len() > 32 || !text.chars().all(fits) {
        return Err("it has to be up to 32 letters, digits and hyphens".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_cannot_lead_out_of_a_folder() {
        assert_eq!(instance("lab-2").as_deref(), Ok("lab-2"));
        for odd in ["", "a b", "../x", "a/b", "ä", "a.b", "a@b", &"x".repeat(33)] {
            assert!(instance(odd).is_err(), "{odd:?}");
        }
    }
}
