//! The install script against a server on loopback, run by a real shell the way people run it: from a pipe.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up should stop there")]

use std::{
    collections::HashMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Path as Name, State},
    http::StatusCode,
    routing::get,
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Stands in for the agent: says its version, and notes how it was called and whether it saw the token.
const AGENT: &str = "#!/bin/sh\n\
    if [ \"$1\" = --version ]; then echo 'foreman-agent 1.2.3'; exit 0; fi\n\
    echo \"$* token=${FOREMAN_TOKEN:-none}\" >>\"${0%/*}/calls\"\n\
    env | grep -E '^FOREMAN_(OWNER|DASHBOARD|CLOUDFLARE)=' | sort >>\"${0%/*}/trusted\"\n";

type Downloads = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A server with downloads, and a directory to install into.
struct Place {
    address: String,
    downloads: Downloads,
    asked: Arc<Mutex<Vec<String>>>,
    home: TempDir,
}

struct Ran {
    success: bool,
    said: String,
}

impl Place {
    async fn new() -> Self {
        let downloads = Downloads::default();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let serve = |State((downloads, asked)): State<(Downloads, Arc<Mutex<Vec<String>>>)>,
                     Name(name): Name<String>| async move {
            let found = downloads.lock().unwrap().get(&name).cloned().ok_or(StatusCode::NOT_FOUND);
            asked.lock().unwrap().push(name);
            found
        };
        let router = Router::new()
            .route("/downloads/{name}", get(serve))
            .with_state((downloads.clone(), asked.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let place = Self { address, downloads, asked, home: tempfile::tempdir().unwrap() };
        place.publish(AGENT);
        place
    }

    fn publish(&self, agent: &str) {
        self.offer(agent, &sha256(agent));
    }

    fn offer(&self, agent: &str, checksum: &str) {
        let name = format!("foreman-agent-{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        let mut downloads = self.downloads.lock().unwrap();
        downloads.insert(format!("{name}.sha256"), format!("{checksum}  {name}\n").into());
        downloads.insert(name, agent.into());
    }

    fn bin(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    fn agent(&self) -> Option<String> {
        std::fs::read_to_string(self.bin().join("foreman-agent")).ok()
    }

    fn script(&self) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/install-agent.sh");
        std::fs::read_to_string(path).unwrap().replace("@FOREMAN_URL@", &self.address)
    }

    async fn install(&self) -> Ran {
        self.run("sh", &self.script(), &[]).await
    }

    /// Pipes a script into a shell, in an environment of its own.
    async fn run(&self, shell: &str, script: &str, environment: &[(&str, &str)]) -> Ran {
        let mut child = Command::new(shell)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("FOREMAN_BIN_DIR", self.bin())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A shell that gave up early has closed its end, which is for the test to judge.
        let _ = stdin.write_all(script.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        Ran { success: output.status.success(), said: String::from_utf8_lossy(&said).into_owned() }
    }

    /// What lies in the directory besides the agent.
    fn left_over(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.bin()) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| !["foreman-agent", "calls", "trusted"].contains(&name.as_str())).collect()
    }
}

fn sha256(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn it_installs_and_the_second_time_it_is_up_to_date() {
    let place = Place::new().await;
    let first = place.install().await;
    assert!(first.success, "{}", first.said);
    assert!(first.said.contains("Installed foreman-agent 1.2.3"), "{}", first.said);
    assert_eq!(place.agent().as_deref(), Some(AGENT));
    let mode = place.bin().join("foreman-agent").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);

    place.asked.lock().unwrap().clear();
    let second = place.install().await;
    assert!(second.success && second.said.contains("already up to date"), "{}", second.said);
    assert_eq!(place.asked.lock().unwrap().len(), 1, "only the checksum is fetched again");
    assert_eq!(place.left_over(), Vec::<String>::new());
}

#[tokio::test]
async fn bash_runs_it_too_and_a_newer_agent_replaces_the_old_one() {
    let place = Place::new().await;
    assert!(place.run("bash", &place.script(), &[]).await.success);
    let newer = AGENT.replace("1.2.3", "1.3.0");
    place.publish(&newer);
    let updated = place.run("bash", &place.script(), &[]).await;
    assert!(updated.said.contains("foreman-agent 1.3.0"), "{}", updated.said);
    assert_eq!(place.agent(), Some(newer));
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_what_was_there_stays() {
    let place = Place::new().await;
    assert!(place.install().await.success);
    place.offer("#!/bin/sh\necho something else\n", &sha256("not that"));
    let refused = place.install().await;
    assert!(!refused.success && refused.said.contains("does not match its checksum"), "{}", refused.said);
    assert_eq!(place.agent().as_deref(), Some(AGENT));
    assert_eq!(place.left_over(), Vec::<String>::new());
}

#[tokio::test]
async fn an_agent_that_does_not_start_here_is_refused() {
    let place = Place::new().await;
    assert!(place.install().await.success);
    place.publish("#!/bin/sh\nexit 1\n");
    let refused = place.install().await;
    assert!(!refused.success && refused.said.contains("does not start on this system"), "{}", refused.said);
    assert_eq!(place.agent().as_deref(), Some(AGENT));
}

#[tokio::test]
async fn a_checksum_that_is_a_page_is_refused() {
    let place = Place::new().await;
    place.offer(AGENT, "<html>Sign in</html>");
    let refused = place.install().await;
    assert!(!refused.success && refused.said.contains("cannot be read"), "{}", refused.said);
    assert_eq!(place.agent(), None);
}

#[tokio::test]
async fn a_download_that_was_cut_short_does_nothing() {
    let place = Place::new().await;
    let script = place.script();
    let last_call = script.rfind("main \"$@\"").unwrap();
    let ends = script.match_indices('\n').map(|(end, _)| end).filter(|end| *end <= last_call);
    for cut in ends.chain([last_call + 1, last_call + 3]) {
        place.run("sh", &script[..cut], &[]).await;
        assert_eq!(place.agent(), None, "cut after {cut} bytes");
        assert!(!place.bin().exists(), "cut after {cut} bytes");
    }
    assert!(place.asked.lock().unwrap().is_empty(), "nothing was downloaded");
}

#[tokio::test]
async fn a_token_connects_the_device_and_is_never_on_a_command_line() {
    let place = Place::new().await;
    let ran = place.run("sh", &place.script(), &[("FOREMAN_TOKEN", "s3cret")]).await;
    assert!(ran.success, "{}", ran.said);
    let calls = std::fs::read_to_string(place.bin().join("calls")).unwrap();
    let expected =
        format!("connect --server {} --detach token=s3cret\ninstall-service token=none\n", place.address);
    assert_eq!(calls, expected);
    assert!(!ran.said.contains("s3cret"), "{}", ran.said);
}

#[tokio::test]
async fn whom_to_trust_reaches_the_agent() {
    let place = Place::new().await;
    let variables =
        "FOREMAN_TOKEN=s3cret; FOREMAN_OWNER=KEY=; FOREMAN_DASHBOARD=view; FOREMAN_CLOUDFLARE=true\n";
    let ran = place.run("sh", &format!("{variables}{}", place.script()), &[]).await;
    assert!(ran.success, "{}", ran.said);
    let trusted = std::fs::read_to_string(place.bin().join("trusted")).unwrap();
    assert!(
        trusted.starts_with("FOREMAN_CLOUDFLARE=true\nFOREMAN_DASHBOARD=view\nFOREMAN_OWNER=KEY=\n"),
        "{trusted}"
    );
}

#[tokio::test]
async fn cloudflared_comes_from_where_it_was_said_with_its_checksum_only() {
    let place = Place::new().await;
    let program = "#!/bin/sh\necho cloudflared version 1\n";
    let file = place.home.path().join("download");
    std::fs::write(&file, program).unwrap();
    place.downloads.lock().unwrap().insert("cloudflared".to_owned(), program.into());
    let address = format!("{}/downloads/cloudflared", place.address);
    let (right, wrong) = (sha256(program), sha256("another"));
    let installed = place.bin().join("cloudflared");
    for (from, checksum, says) in [
        (address.as_str(), "", "has to be the checksum"),
        (address.as_str(), "<html>", "has to be the checksum"),
        (address.as_str(), wrong.as_str(), "does not match its checksum"),
        ("/nowhere/cloudflared", right.as_str(), "Cannot read the file"),
        ("http://127.0.0.1:9/x", right.as_str(), "Cannot download"),
    ] {
        let environment = [("FOREMAN_CLOUDFLARED", from), ("FOREMAN_CLOUDFLARED_SHA256", checksum)];
        let ran = place.run("sh", &place.script(), &environment).await;
        assert!(!ran.success && ran.said.contains(says), "{from} {checksum}: {}", ran.said);
        assert!(!installed.exists() && place.agent().is_some(), "{from} {checksum}");
    }
    for from in [address.as_str(), file.to_str().unwrap()] {
        let environment = [("FOREMAN_CLOUDFLARED", from), ("FOREMAN_CLOUDFLARED_SHA256", right.as_str())];
        let ran = place.run("sh", &place.script(), &environment).await;
        assert!(ran.success && ran.said.contains("Installed cloudflared version 1"), "{}", ran.said);
        assert_eq!(std::fs::read_to_string(&installed).unwrap(), program);
        std::fs::remove_file(&installed).unwrap();
    }
    assert_eq!(place.left_over(), Vec::<String>::new());
}

#[tokio::test]
async fn cloudflared_comes_from_the_systems_packages_where_they_have_it() {
    let place = Place::new().await;
    // A system with these tools and a package manager that has what is in `offers`.
    let make = "mkdir -p \"$HOME/tools\"; for t in sh uname mkdir mktemp rm mv cut head chmod curl sha256sum cat ln; do \
                ln -s \"$(command -v $t)\" \"$HOME/tools/$t\"; done; cd \"$HOME/tools\"; \
                printf '#!/bin/sh\\necho ${USER_ID:-0}\\n' >id; \
                printf '#!/bin/sh\\necho \"$*\" >>$HOME/asked\\n[ -e $HOME/offers ] || exit 100\\n\
                ln -s /bin/true $HOME/tools/cloudflared\\n' >apt-get; chmod +x id apt-get";
    assert!(place.run("sh", make, &[]).await.success);
    let tools = place.home.path().join("tools");
    let environment = [("PATH", tools.to_str().unwrap()), ("FOREMAN_CLOUDFLARED", "package")];
    let ran = place.run("sh", &place.script(), &environment).await;
    assert!(!ran.success && ran.said.contains("did not give cloudflared"), "{}", ran.said);
    assert!(place.agent().is_some(), "the agent is there");
    let as_user = [&environment[..], &[("USER_ID", "1000")]].concat();
    let ran = place.run("sh", &place.script(), &as_user).await;
    assert!(!ran.success && ran.said.contains("Only root installs packages"), "{}", ran.said);

    std::fs::write(place.home.path().join("offers"), "").unwrap();
    let ran = place.run("sh", &place.script(), &environment).await;
    assert!(ran.success && ran.said.contains("from this system's packages"), "{}", ran.said);
    let asked = || std::fs::read_to_string(place.home.path().join("asked")).unwrap();
    assert_eq!(asked(), "install -y cloudflared\n".repeat(2));
    let again = place.run("sh", &place.script(), &environment).await;
    assert!(again.success && again.said.contains("is installed already"), "{}", again.said);
    assert_eq!(asked().lines().count(), 2);
}

#[tokio::test]
async fn a_server_without_an_agent_for_this_system_says_so() {
    let place = Place::new().await;
    place.downloads.lock().unwrap().clear();
    let ran = place.install().await;
    assert!(!ran.success && ran.said.contains("has no agent for this system"), "{}", ran.said);
    assert_eq!(place.left_over(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_is_away_says_so() {
    let place = Place::new().await;
    let script = place.script().replace(&place.address, "http://127.0.0.1:9");
    let ran = place.run("sh", &script, &[]).await;
    assert!(!ran.success && ran.said.contains("Cannot download from"), "{}", ran.said);
}

#[tokio::test]
async fn a_script_that_no_server_filled_in_says_so() {
    let place = Place::new().await;
    let script = place.script().replace(&place.address, "@FOREMAN_URL@");
    let ran = place.run("sh", &script, &[]).await;
    assert!(!ran.success && ran.said.contains("must come from a Foreman server"), "{}", ran.said);
}

#[tokio::test]
async fn other_processors_and_missing_tools_get_one_sentence() {
    let place = Place::new().await;
    let tools = place.home.path().join("tools");
    // Made by a shell, so that this process never holds a program open that it is about to run.
    let make = "mkdir -p \"$HOME/tools\" && printf '#!/bin/sh\\necho riscv64\\n' >\"$HOME/tools/uname\" \
                && chmod +x \"$HOME/tools/uname\"";
    assert!(place.run("sh", make, &[]).await.success);
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let ran = place.run("sh", &place.script(), &[("PATH", &path)]).await;
    assert!(!ran.success && ran.said.contains("no agent for this processor (riscv64)"), "{}", ran.said);

    let make = "rm \"$HOME/tools/uname\"; for t in sh uname id mkdir mktemp rm cut head; do \
                ln -s \"$(command -v $t)\" \"$HOME/tools/$t\"; done";
    assert!(place.run("sh", make, &[]).await.success);
    let ran = place.run("sh", &place.script(), &[("PATH", tools.to_str().unwrap())]).await;
    assert!(!ran.success && ran.said.contains("Neither curl nor wget"), "{}", ran.said);
    assert_eq!(place.left_over(), Vec::<String>::new());
}

#[tokio::test]
async fn wget_serves_where_there_is_no_curl() {
    let place = Place::new().await;
    let make = "mkdir -p \"$HOME/tools\"; for t in sh uname id mkdir mktemp rm mv cut head chmod wget sha256sum; do \
                ln -s \"$(command -v $t)\" \"$HOME/tools/$t\"; done";
    assert!(place.run("sh", make, &[]).await.success);
    let tools = place.home.path().join("tools");
    let path = [("PATH", tools.to_str().unwrap())];
    let ran = place.run("sh", &place.script(), &path).await;
    assert!(ran.success, "{}", ran.said);
    assert_eq!(place.agent().as_deref(), Some(AGENT));
    place.downloads.lock().unwrap().clear();
    let ran = place.run("sh", &place.script(), &path).await;
    assert!(!ran.success && ran.said.contains("has no agent for this system"), "{}", ran.said);
}
