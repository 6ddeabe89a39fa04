//! What the service control manager of Windows is told, without anything of Windows.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use super::{RESTART_S, Service};

/// The service as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Registered {
    pub name: String,
    pub display_name: String,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// Nobody: the local system. A service of one user needs that user's password.
    pub account: Option<OsString>,
    pub starts_with_the_machine: bool,
    /// After each of so many crashes it is started again, that long after.
    pub restarts: usize,
    pub restart_after: Duration,
    /// After this long without a crash the next one counts as the first.
    pub forgiven_after: Duration,
}

/// Pure: what it depends on is in the arguments.
pub(super) fn describe(service: &Service) -> Registered {
    Registered {
        name: service.name(),
        display_name: service.title(),
        program: service.program.clone(),
        arguments: service.arguments.clone(),
        account: None,
        starts_with_the_machine: true,
        restarts: 3,
        restart_after: Duration::from_secs(RESTART_S.into()),
        forgiven_after: Duration::from_secs(3600),
    }
}

impl Registered {
    /// Whether this is the command line of this service. The system has program and arguments in one line, with
    /// quotes where it wanted some.
    pub(super) fn is_started_by(&self, line: &str) -> bool {
        let arguments = self.arguments.iter().map(|part| part.to_string_lossy());
        let parts: Vec<_> = std::iter::once(self.program.to_string_lossy()).chain(arguments).collect();
        line.replace('"', "") == parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::agent;

    const PROGRAM: &str = r"C:\Program Files\Foreman\foreman-agent.exe";
    const STATE: &str = r"C:\Users\Ada L\AppData\Local\Foreman\agent";

    fn described() -> Registered {
        let arguments = ["serve".into(), "--state".into(), STATE.into()].to_vec();
        describe(&Service { arguments, ..agent(PROGRAM, STATE) })
    }

    #[test]
    fn it_is_what_was_looked_at() {
        assert_eq!(format!("{:#?}\n", described()), include_str!("golden/windows-service.txt"));
    }

    #[test]
    fn its_line_is_known_with_quotes_and_without() {
        let service = described();
        assert!(service.is_started_by(&format!(r#""{PROGRAM}" serve --state "{STATE}""#)));
        assert!(service.is_started_by(&format!("{PROGRAM} serve --state {STATE}")));
        for other in [
            format!(r#""{PROGRAM}" run --state "{STATE}""#),
            format!(r#""{PROGRAM}" serve --state "D:\else""#),
            format!(r#""{PROGRAM}" serve --state "{STATE}" --log debug"#),
        ] {
            assert!(!service.is_started_by(&other), "{other}");
        }
    }
}
