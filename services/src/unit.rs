//! The systemd unit. Tasks must outlive the agent, so stopping it ends its main process only; it may make
//! cgroups of its own for them; and nothing is locked down that a task might need, because what tasks may
//! do is decided by the device's policy and not by the unit.

use std::ffi::OsStr;

use anyhow::{Context as _, bail};

use super::{RESTART_S, Service};

/// What what is found again needs of the unit.
const OUTLIVED: &str = "# Tasks outlive the agent, and it gives them cgroups of their own.\n\
                        KillMode=process\n\
                        Delegate=yes\n";

/// The unit's text for the whole system or for one user.
///
/// # Errors
/// When a part of the command line is nothing that a unit can hold.
pub(super) fn render(service: &Service, user: bool) -> anyhow::Result<String> {
    let (network, wanted_by) = if user {
        ("", "default.target")
    } else {
        ("Wants=network-online.target\nAfter=network-online.target\n", "multi-user.target")
    };
    let title = service.title();
    let line = command_line(service)?;
    let outlived = if service.outlived { OUTLIVED } else { "" };
    let mut environment = String::new();
    for (name, value) in &service.surroundings.carried {
        environment += &format!("Environment={}\n", quote(OsStr::new(&format!("{name}={value}")))?);
    }
    Ok(format!(
        "[Unit]\n\
         Description={title}\n\
         {network}\
         # Try for ever: a machine that was long without a network must come back by itself.\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         {environment}\
         ExecStart={line}\n\
         Restart=always\n\
         RestartSec={RESTART_S}\n\
         {outlived}\
         TimeoutStopSec=30\n\
         LimitNOFILE=65536\n\
         \n\
         [Install]\n\
         WantedBy={wanted_by}\n"
    ))
}

/// Whether a unit calls a program with the service's arguments, whatever comes after them.
pub(super) fn calls(unit: &str, service: &Service) -> bool {
    let Ok(arguments) = arguments(service) else { return false };
    let mut lines = unit.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    lines.any(|line| line.ends_with(&arguments) || line.contains(&format!("{arguments} ")))
}

fn command_line(service: &Service) -> anyhow::Result<String> {
    // Variables stand for something in what a program is given, and not in its own name.
    Ok(quote(service.program.as_os_str())? + &arguments(service)?)
}

/// With a space before each.
fn arguments(service: &Service) -> anyhow::Result<String> {
    let mut line = String::new();
    for argument in &service.arguments {
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        line.push(' ');
        match argument.to_str() {
            Some(text) if plain(text) && !text.is_empty() => line.push_str(text),
            _ => line.push_str(&quote(argument)?.replace('$', "$$")),
        }
    }
    Ok(line)
}

/// One word of a command line in a unit: quoted, with systemd's own `%` doubled.
fn quote(word: &OsStr) -> anyhow::Result<String> {
    let text = word
        .to_str()
        .with_context(|| format!("{} is not valid text, so no unit can name it", word.to_string_lossy()))?;
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
    use crate::tests::{agent, server};

    #[test]
    fn a_unit_is_known_by_what_it_calls() {
        let service = agent("/usr/local/bin/foreman-agent", "/var/lib/a b");
        let unit = render(&service, true).unwrap();
        assert!(calls(&unit, &service));
        assert!(calls(&unit, &Service { program: "/opt/other".into(), ..service.clone() }));
        assert!(calls(&unit.replace("a b\"", "a b\" --no-mdns"), &service), "somebody added an option");
        for other in ["/var/lib/a", "/var/lib/a b/c", "/lib/a b"] {
            assert!(!calls(&unit, &agent("/usr/local/bin/foreman-agent", other)), "{other}");
        }
    }

    fn unit(user: bool) -> String {
        render(&agent("/usr/local/bin/foreman-agent", "/var/lib/foreman-agent"), user).unwrap()
    }

    #[test]
    fn it_is_what_was_looked_at() {
        assert_eq!(unit(false), include_str!("golden/foreman-agent.service"));
        let kept = server(
            "/home/ada/.local/share/dev.foreman.app/this-computer/programs/0.1.0/foreman-server",
            "/home/ada/.local/share/dev.foreman.app/this-computer/server",
        );
        assert_eq!(render(&kept, true).unwrap(), include_str!("golden/foreman-server-app.service"));
    }

    #[test]
    fn it_has_what_was_set_where_it_was_installed() {
        let mut service = agent("/usr/local/bin/foreman-agent", "/var/lib/foreman-agent");
        service.surroundings.carried = vec![("HTTPS_PROXY".into(), "http://proxy:3128/100%\"".into())];
        let text = render(&service, false).unwrap();
        let line = text.lines().find(|line| line.starts_with("Environment=")).unwrap();
        assert_eq!(line, r#"Environment="HTTPS_PROXY=http://proxy:3128/100%%\"""#);
        assert!(calls(&text, &agent("/usr/local/bin/foreman-agent", "/var/lib/foreman-agent")));
        service.surroundings.carried = vec![("HTTPS_PROXY".into(), "a\nExecStart=/bin/false".into())];
        assert!(render(&service, false).is_err());
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
            for service in [agent, server] {
                let mut service = service(program.to_str().unwrap(), odd.to_str().unwrap());
                service.surroundings.carried = vec![("OLLAMA_HOST".into(), "a 100% $HOME\"".into())];
                let file = folder.path().join(format!("{}.service", service.name()));
                std::fs::write(&file, render(&service, user).unwrap()).unwrap();
                match Command::new("systemd-analyze").args(["--man=no", "verify"]).arg(&file).output() {
                    Ok(said) => assert!(said.status.success() && said.stderr.is_empty(), "{said:?}"),
                    Err(_) => return eprintln!("SKIPPED: systemd-analyze is not installed"),
                }
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

    /// What it started ends with it, as systemd does by itself.
    #[test]
    fn nothing_is_left_of_a_server() {
        let text = render(&server("/s", "/d"), false).unwrap();
        assert!(!text.contains("KillMode") && !text.contains("Delegate"), "{text}");
    }

    #[test]
    fn a_users_unit_starts_with_the_users_session() {
        let text = unit(true);
        assert!(text.contains("WantedBy=default.target"));
        assert!(!text.contains("network-online"), "a user's systemd does not know that target");
    }

    #[test]
    fn odd_paths_stay_one_word() {
        let odd = "/a b/100%/$x\"\\";
        let text = render(&agent(odd, odd), false).unwrap();
        let line = text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        let wanted = r#"ExecStart="/a b/100%%/$x\"\\" run --state "/a b/100%%/$$x\"\\""#;
        assert_eq!(line, wanted);
        assert!(quote(OsStr::new("/a\nExecStartPre=/bin/false")).is_err());
        let empty = Service { arguments: vec!["".into(), "a;".into()], ..agent("/a", "/s") };
        assert_eq!(command_line(&empty).unwrap(), r#""/a" "" "a;""#);
    }
}
