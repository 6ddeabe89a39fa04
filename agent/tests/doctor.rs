//! What `doctor` says of the service that runs an agent, whatever the service is called and whoever's it is. The system
//! that is asked is a stand-in: a user's systemd that has been asked how its services are.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use serde_json::{Value, json};

const SYSTEMCTL: &str = r#"#!/bin/sh
[ "$1" = --user ] && shift
case "$1:$2" in
show:*) echo Version=252 ;;
status:foreman-agent-lab) exit 0 ;;
*) exit 3 ;;
esac
"#;

const LOGINCTL: &str = r#"#!/bin/sh
[ -e "${0%/*}/lingers" ] && echo yes || echo no
"#;

struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for made in ["bin", "config/systemd/user", "agent s"] {
            fs::create_dir_all(folder.path().join(made)).unwrap();
        }
        for (name, text) in [("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL)] {
            let program = folder.path().join("bin").join(name);
            fs::write(&program, text).unwrap();
            fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    fn state(&self) -> String {
        self.0.path().join("agent s").to_str().unwrap().to_owned()
    }

    fn unit(&self, name: &str, state: &str) {
        let unit = format!("[Service]\nExecStart=\"/opt/foreman-agent\" run --state \"{state}\"\n");
        fs::write(self.0.path().join("config/systemd/user").join(format!("{name}.service")), unit).unwrap();
    }

    /// What it found of services.
    fn examined(&self) -> Vec<Value> {
        let said = Command::new(Path::new(env!("CARGO_BIN_EXE_foreman-agent")))
            .args(["doctor", "--json", "--state", &self.state()])
            .env("PATH", self.0.path().join("bin"))
            .env("XDG_CONFIG_HOME", self.0.path().join("config"))
            .output()
            .unwrap();
        let all: Vec<Value> = serde_json::from_slice(&said.stdout).unwrap();
        all.into_iter().filter(|finding| finding["check"] == "service").collect()
    }
}

// One test: while a process begins, a file that another thread writes cannot be run.
#[test]
fn a_service_with_a_name_of_its_own_is_found_by_what_it_runs() {
    let scene = Scene::new();
    scene.unit("foreman-agent", "/var/lib/another");
    let none = scene.examined();
    assert_eq!((none.len(), &none[0]["outcome"]), (1, &json!("doubtful")), "{none:?}");
    assert_eq!(none[0]["remedy"], "foreman-agent install-service");

    scene.unit("foreman-agent-lab", &scene.state());
    assert_eq!(
        scene.examined(),
        [json!({
            "check": "service", "outcome": "doubtful",
            "found": "The agent is installed as the systemd user service foreman-agent-lab, which runs until this \
                      user logs out",
            "remedy": "sudo loginctl enable-linger $USER",
        })]
    );
    fs::write(scene.0.path().join("bin/lingers"), "").unwrap();
    assert_eq!(
        scene.examined(),
        [json!({
            "check": "service", "outcome": "good",
            "found": "The agent is installed as the systemd user service foreman-agent-lab, which runs",
        })]
    );

    scene.unit("foreman-agent-spare", &scene.state());
    assert_eq!(
        scene.examined()[1..],
        [json!({
            "check": "service", "outcome": "doubtful",
            "found": "The agent is installed as the systemd user service foreman-agent-spare, which is stopped",
            "remedy": "foreman-agent install-service --user --instance spare starts it; \
                       `journalctl --user -u foreman-agent-spare` says why it stopped",
        })]
    );
}
