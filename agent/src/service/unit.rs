//! The systemd unit. Tasks must outlive the agent, so stopping it ends its main process only; it may make
//! cgroups of its own for them; and nothing is locked down that a task might need, because what tasks may
//! do is decided by the device's policy and not by the unit.

use std::path::Path;

use anyhow::bail;

use super::{EXIT_FOR_GOOD, RESTART_S};

/// The unit's text for the whole system or for one user.
pub(super) fn render(program: &Path, state_dir: &Path, user: bool) -> anyhow::Result<String> {
    let (program, state_dir) = (quote(program)?, quote(state_dir)?);
    let (network, wanted_by) = if user {
        ("", "default.target")
    } else {
        ("Wants=network-online.target\nAfter=network-online.target\n", "multi-user.target")
    };
    Ok(format!(
        "[Unit]\n\
         Description=Foreman agent\n\
         {network}\
         # Try for ever: a machine that was long without a network must come back by itself.\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         ExecStart={program} run --state {state_dir}\n\
         Restart=always\n\
         RestartSec={RESTART_S}\n\
         # The server let this device go: starting again would change nothing.\n\
         RestartPreventExitStatus={EXIT_FOR_GOOD}\n\
         # Tasks outlive the agent, and it gives them cgroups of their own.\n\
         KillMode=process\n\
         Delegate=yes\n\
         TimeoutStopSec=30\n\
         LimitNOFILE=65536\n\
         \n\
         [Install]\n\
         WantedBy={wanted_by}\n"
    ))
}

/// A path as one word of a command line in a unit: quoted, with what systemd would expand doubled.
fn quote(path: &Path) -> anyhow::Result<String> {
    let Some(text) = path.to_str() else {
        bail!("{} is not valid text, so no unit can name it", path.display())
    };
    if text.chars().any(char::is_control) {
        bail!("{text:?} has control characters, so no unit can name it");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' | '$' => quoted.extend([c, c]),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    Ok(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(user: bool) -> String {
        render(Path::new("/usr/local/bin/foreman-agent"), Path::new("/var/lib/foreman-agent"), user).unwrap()
    }

    #[test]
    fn tasks_outlive_the_agent_and_may_raise_their_rights() {
        let text = unit(false);
        for line in [
            "ExecStart=\"/usr/local/bin/foreman-agent\" run --state \"/var/lib/foreman-agent\"",
            "Restart=always",
            "KillMode=process",
            "Delegate=yes",
            "RestartPreventExitStatus=78",
            "WantedBy=multi-user.target",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("NoNewPrivileges"));
    }

    #[test]
    fn a_users_unit_starts_with_the_users_session() {
        let text = unit(true);
        assert!(text.contains("WantedBy=default.target"));
        assert!(!text.contains("network-online"), "a user's systemd does not know that target");
    }

    #[test]
    fn odd_paths_stay_one_word() {
        assert_eq!(quote(Path::new("/a b/100%/$x\"\\")).unwrap(), r#""/a b/100%%/$$x\"\\""#);
        assert!(quote(Path::new("/a\nExecStartPre=/bin/false")).is_err());
    }
}
