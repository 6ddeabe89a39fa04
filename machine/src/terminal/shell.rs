//! What runs in a terminal when nothing is said, and what it finds in its environment.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

#[cfg(unix)]
pub(super) use unix::environment;
#[cfg(unix)]
use unix::login_shell;
#[cfg(windows)]
pub(super) use windows::environment;
#[cfg(windows)]
use windows::login_shell;

/// A program as it is started.
pub(super) struct Program {
    /// A login shell begins with `-` here.
    pub(super) arg0: OsString,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
}

impl Program {
    /// The command, or the login shell when there is none.
    pub(super) fn new(command: &[String]) -> Self {
        if let Some((program, args)) = command.split_first() {
            return Self {
                arg0: program.into(),
                program: program.into(),
                args: args.iter().map(Into::into).collect(),
            };
        }
        let shell = login_shell();
        let mut arg0 = OsString::from("-");
        arg0.push(shell.file_name().unwrap_or_else(|| OsStr::new("sh")));
        Self { arg0, program: shell.into(), args: Vec::new() }
    }

    pub(super) fn command(&self) -> Vec<String> {
        let text = |part: &OsString| part.to_string_lossy().into_owned();
        std::iter::once(&self.program).chain(&self.args).map(text).collect()
    }

    /// For people: `bash`.
    pub(super) fn name(&self) -> String {
        let name = Path::new(&self.program).file_name().unwrap_or(&self.program);
        name.to_string_lossy().chars().take(super::registry::MOST_NAME).collect()
    }
}
