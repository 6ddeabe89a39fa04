//! The command interpreter of Windows, and what it finds.

use std::{ffi::OsString, path::PathBuf};

/// As Windows names it: `cmd` unless somebody chose another.
pub(super) fn login_shell() -> PathBuf {
    std::env::var_os("COMSPEC").map_or_else(|| PathBuf::from("cmd.exe"), PathBuf::from)
}

/// What the agent inherited, without what is the agent's own, and what a terminal needs.
pub(in super::super) fn environment(hidden: &str) -> Vec<(OsString, OsString)> {
    let own = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            name.starts_with(hidden)
                || ["TERM", "COLORTERM"].iter().any(|ours| name.eq_ignore_ascii_case(ours))
        })
    };
    let inherited = std::env::vars_os().filter(|(name, _)| !own(name));
    let ours = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")];
    inherited.chain(ours.map(|(name, value)| (name.into(), value.into()))).collect()
}
