//! The install script that the real server hands out, run by a real shell that is told it is on 64-bit ARM.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::running::Running;

/// Stands in for the agent of a machine: says its version, and which one it is.
fn agent(machine: &str) -> String {
    format!("#!/bin/sh\n# {machine}\necho foreman-agent 1.2.3\n")
}

/// A server with agents for both processors, and a user's home to install into.
struct Place {
    server: Running,
    home: TempDir,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let binaries = home.path().join("binaries");
        for made in ["binaries", "tools"] {
            std::fs::create_dir(home.path().join(made)).unwrap();
        }
        for machine in ["x86_64", "aarch64"] {
            std::fs::write(binaries.join(format!("foreman-agent-{machine}-linux")), agent(machine)).unwrap();
        }
        let options = ["--agent-binaries", binaries.to_str().unwrap()];
        Self { server: Running::over(home.path().join("data"), &options), home }
    }

    fn tools(&self) -> PathBuf {
        self.home.path().join("tools")
    }

    /// Written by a shell, so that this process never holds a program open that another thread is about to run.
    fn tool(&self, name: &str, script: &str) {
        let write = "printf '%s' \"$2\" >\"$1\" && chmod 755 \"$1\"";
        let made =
            Command::new("sh").args(["-c", write, "sh"]).arg(self.tools().join(name)).arg(script).status();
        assert!(made.unwrap().success());
    }

    /// A machine of this name, as its `uname` has it.
    fn machine(&self, name: &str) {
        self.tool("uname", &format!("#!/bin/sh\ncase $1 in -m) echo {name} ;; *) echo Linux ;; esac\n"));
    }

    /// Pipes the script into a shell: whether it went well, and what it said.
    async fn install(&self) -> (bool, String) {
        let script = self.server.get("/install-agent.sh").send().await.unwrap().text().await.unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut child = Command::new("sh")
            .env_clear()
            .env("PATH", format!("{}:{path}", self.tools().display()))
            .env("REAL_PATH", path)
            .env("HOME", self.home.path())
            .env("FOREMAN_BIN_DIR", self.bin())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn bin(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    fn installed(&self) -> Option<String> {
        std::fs::read_to_string(self.bin().join("foreman-agent")).ok()
    }
}

#[tokio::test]
async fn a_machine_with_64_bit_arm_gets_its_own_agent() {
    let place = Place::new();
    // What Linux and macOS call it.
    for name in ["aarch64", "arm64"] {
        place.machine(name);
        let (went_well, said) = place.install().await;
        assert!(went_well && said.contains("Downloading foreman-agent-aarch64-linux"), "{said}");
        assert_eq!(place.installed(), Some(agent("aarch64")));
        std::fs::remove_dir_all(place.bin()).unwrap();
    }
    place.machine("x86_64");
    let (went_well, said) = place.install().await;
    assert!(went_well, "{said}");
    assert_eq!(place.installed(), Some(agent("x86_64")), "and others get theirs");
}

#[tokio::test]
async fn an_agent_that_was_changed_on_its_way_is_refused() {
    let place = Place::new();
    place.machine("aarch64");
    let changing = "#!/bin/sh\n\
        PATH=$REAL_PATH curl \"$@\" || exit\n\
        for word; do\n\
            if [ \"${before:-}\" = -o ]; then file=$word; fi\n\
            before=$word\n\
        done\n\
        case $word in *.sha256) ;; *) echo 'echo changed' >>\"$file\" ;; esac\n";
    place.tool("curl", changing);
    let refused = |(went_well, said): (bool, String)| {
        assert!(!went_well && said.contains("does not match its checksum"), "{said}");
    };
    refused(place.install().await);
    assert_eq!(place.installed(), None);

    // An agent that is there stays, and nothing lies about.
    std::fs::write(place.bin().join("foreman-agent"), "the one before").unwrap();
    refused(place.install().await);
    assert_eq!(place.installed().as_deref(), Some("the one before"));
    assert_eq!(names(&place.bin()), ["foreman-agent"]);

    std::fs::remove_file(place.tools().join("curl")).unwrap();
    let (went_well, said) = place.install().await;
    assert!(went_well, "{said}");
    assert_eq!(place.installed(), Some(agent("aarch64")));
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}
