//! The systemd unit. Tasks must outlive the agent, so stopping it ends its main process only; it may make
//! cgroups of its own for them; and nothing is locked down that a task might need, because what tasks may
//! do is decided by the device's policy and not by the unit.

use std::path::Path;

use anyhow::bail;

use super::RESTART_S;

/// The unit's text for the whole system or for one user.
pub(super) fn render(program: &Path, state_dir: &Path, user: bool) -> anyhow::Result<String> {
    // Variables stand for something in what a program is given, and not in its own name.
    let (program, state_dir) = (quote(program)?, quote(state_dir)?.replace('$', "$$"));
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

/// A path as one word of a command line in a unit: quoted, with systemd's own `%` doubled.
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
            '%' => quoted.extend([c, c]),
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
    fn it_is_what_was_looked_at() {
        assert_eq!(unit(false), include_str!("golden/foreman-agent.service"));
    }

    /// systemd understands it, with a program whose path has all that it would otherwise expand.
    #[cfg(target_os = "linux")]
    #[test]
    fn systemd_finds_nothing_wrong_with_it() {
        use std::process::Command;
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a b, 100% $HOME");
        std::fs::create_dir(&odd).unwrap();
        let program = odd.join("agent");
        std::os::unix::fs::symlink("/bin/true", &program).unwrap();
        for user in [false, true] {
            let file = folder.path().join("foreman-agent.service");
            std::fs::write(&file, render(&program, &odd, user).unwrap()).unwrap();
            match Command::new("systemd-analyze").args(["--man=no", "verify"]).arg(&file).output() {
                Ok(said) => assert!(said.status.success() && said.stderr.is_empty(), "{said:?}"),
                Err(_) => return eprintln!("SKIPPED: systemd-analyze is not installed"),
            }
        }
    }

    #[test]
    fn tasks_outlive_the_agent_and_may_raise_their_rights() {
        let text = unit(false);
        for line in [
            "ExecStart=\"/usr/local/bin/foreman-agent\" run --state \"/var/lib/foreman-agent\"",
            "Restart=always",
            "KillMode=process",
            "Delegate=yes",
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
        let odd = Path::new("/a b/100%/$x\"\\");
        let text = render(odd, odd, false).unwrap();
        let line = text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        let wanted = r#"ExecStart="/a b/100%%/$x\"\\" run --state "/a b/100%%/$$x\"\\""#;
        assert_eq!(line, wanted);
        assert!(quote(Path::new("/a\nExecStartPre=/bin/false")).is_err());
    }
}
