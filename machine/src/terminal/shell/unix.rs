//! The login shell, and what a login sets.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use nix::unistd::{AccessFlags, Uid, User, access};

/// Of the service manager, for the agent alone.
const SERVICE: [&str; 8] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "CREDENTIALS_DIRECTORY",
];

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn user() -> Option<User> {
    User::from_uid(Uid::current()).ok().flatten()
}

/// As the user database says, else `$SHELL`, else one that is there. An account made for a service has a shell that
/// only says no; whether commands may run was decided by the policy.
pub(super) fn login_shell() -> PathBuf {
    let usable = |shell: &PathBuf| {
        let refuses = matches!(shell.file_name().and_then(OsStr::to_str), Some("nologin" | "false") | None);
        !refuses && access(shell, AccessFlags::X_OK).is_ok()
    };
    let candidates = [user().map(|user| user.shell), std::env::var_os("SHELL").map(PathBuf::from)];
    let usual = ["/bin/bash", "/usr/bin/bash"].map(PathBuf::from);
    candidates.into_iter().flatten().chain(usual).find(usable).unwrap_or_else(|| PathBuf::from("/bin/sh"))
}

/// What the agent inherited, without what is the agent's own, and what a terminal needs.
pub(in super::super) fn environment(hidden: &str) -> Vec<(OsString, OsString)> {
    let own =
        |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with(hidden) || SERVICE.contains(&name));
    let mut env: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, _)| !own(name) && name != "TERMCAP").collect();
    let mut set =
        |name: &str, value: OsString, always: bool| match env.iter_mut().find(|(have, _)| have == name) {
            Some(entry) if always => entry.1 = value,
            Some(_) => {}
            None => env.push((name.into(), value)),
        };
    if let Some(user) = user() {
        set("HOME", user.dir.into(), false);
        set("USER", OsString::from(&user.name), false);
        set("LOGNAME", user.name.into(), false);
    }
    set("PATH", PATH.into(), false);
    set("SHELL", login_shell().into(), true);
    set("TERM", "xterm-256color".into(), true);
    set("COLORTERM", "truecolor".into(), true);
    env
}
