//! `foreman`, the program, against the real server and a real device.

mod copies;
mod grants;
mod keys;
mod shells;
mod tasks;

use std::{
    path::PathBuf,
    process::{Output, Stdio},
};

use foreman_client::Store;
use journeys::{
    database::Database,
    eventually,
    program::command,
    soon,
    stack::{Agent, Folder, Server, Setting},
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
};

const POLICY: &str = "ALLOW_BASH=true\nALLOW_FILE_READ=true\nALLOW_FILE_WRITE=true\nALLOW_LOGS=true\n";

/// A signed-in user beside a device named `journey` that trusts them.
pub struct Scene {
    agent: Agent,
    server: Server,
    pub folder: Folder,
}

impl Scene {
    pub async fn new() -> Self {
        let folder = Folder::new();
        let store = Store::at(folder.join("config/foreman"), folder.join("data/foreman"));
        let server = Server::start(folder.join("server"), Setting::on(Database::Sqlite)).await;
        let (foreman, secret) = server.client("owner").await;
        let owner = store.owner_key().expect("a key").public();
        let env = [("FOREMAN_OWNER", owner), ("FOREMAN_LINK_LISTEN", "127.0.0.1:0".to_owned())];
        let agent = Agent::join(&foreman, &server.url, folder.join("agent"), &env).await;
        std::fs::write(agent.state.join("policy.env"), POLICY).expect("the policy is written");
        let scene = Self { agent, server, folder };
        let said = scene.fed(&["login", &scene.server.url, "--token", "-"], &secret).await;
        assert!(said.contains("Signed in to"), "{said}");
        eventually("the device tells how it is reached", || async {
            let device = foreman.device(scene.agent.device).await.expect("it is there");
            device.link.filter(|link| !link.addresses.is_empty())
        })
        .await;
        scene
    }

    fn foreman(&self, args: &[&str]) -> Command {
        let mut foreman = command("foreman");
        foreman
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .env("XDG_DATA_HOME", self.folder.join("data"));
        foreman.env("FOREMAN_NO_MDNS", "true").args(args).kill_on_drop(true);
        foreman.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        foreman
    }

    async fn output(&self, args: &[&str], input: &str) -> Output {
        Self::run(self.foreman(args), args, input).await
    }

    async fn run(mut foreman: Command, args: &[&str], input: &str) -> Output {
        let mut child = foreman.spawn().expect("foreman runs");
        let mut stdin = child.stdin.take().expect("it is piped");
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        soon(&format!("foreman {args:?}"), child.wait_with_output()).await.expect("it ends")
    }

    /// What it printed, when it did well.
    async fn fed(&self, args: &[&str], input: &str) -> String {
        let output = self.output(args, input).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "foreman {args:?}: {:?}\n{errors}", output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    pub async fn says(&self, args: &[&str]) -> String {
        self.fed(args, "").await
    }

    async fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(args).await).expect("JSON")
    }

    fn place(&self, name: &str) -> (PathBuf, String) {
        let path = self.folder.join(name);
        let remote = format!("journey:{}", path.display());
        (path, remote)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_listed_looked_at_and_trusted() {
    let scene = Scene::new().await;
    let devices = scene.json(&["devices", "--json"]).await;
    assert_eq!(
        (devices[0]["name"].as_str(), devices[0]["status"].as_str()),
        (Some("journey"), Some("online"))
    );
    let trust = scene.json(&["trust", "journey", "--json"]).await;
    assert_eq!(trust["trusts_you"], "admin", "{trust}");
    // What is to be compared there reads the same there.
    let identity = trust["identity"].as_str().expect("a key");
    for at_the_device in [&["trust", "list"][..], &["status"]] {
        let said = scene.agent.says(at_the_device).await;
        let shown = said.lines().find_map(|line| line.strip_prefix("Identity")).map(str::trim);
        assert_eq!(shown, Some(identity), "{said}");
    }
    let status: Value = serde_json::from_str(&scene.agent.says(&["status", "--json"]).await).expect("JSON");
    assert_eq!(status["identity"], identity);
    let id = scene.agent.device.to_string();
    let status = scene.json(&["status", &id, "--json"]).await;
    assert_eq!((status["path"].as_str(), status["hello"]["level"].as_str()), (Some("lan"), Some("admin")));
    let ways: Vec<_> = status["paths"].as_array().expect("ways").iter().map(|way| &way["path"]).collect();
    assert_eq!(ways, ["lan", "relay"], "{status}");
    let relayed = scene.json(&["status", "journey", "--json", "--via", "relay"]).await;
    assert_eq!(relayed["path"], "relay", "{relayed}");
    let added = scene.says(&["devices", "add", "forge"]).await;
    let owner = trust["owner"].as_str().expect("a key");
    assert!(
        added.contains(&format!("--owner {owner}")) && added.contains(&format!("FOREMAN_OWNER={owner} "))
    );
    let unknown = scene.output(&["status", "nowhere"], "").await;
    let errors = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(errors.contains("There is no device nowhere. Known are: "), "{errors}");
    scene.says(&["devices", "remove", "forge"]).await;
    scene.says(&["logout"]).await;
    let out = scene.output(&["devices"], "").await;
    assert!(String::from_utf8_lossy(&out.stderr).contains("you are not signed in"));
    assert!(String::from_utf8_lossy(&out.stdout).contains("journey"), "what was met needs no account");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_server_down_devices_are_shown_as_last_known_and_what_is_away_is_said_soon() {
    let mut scene = Scene::new().await;
    scene.says(&["devices", "add", "forge"]).await;
    scene.says(&["status", "journey"]).await;
    assert!(!scene.says(&["devices"]).await.contains("last known"));
    scene.server.program.kill().await;
    let out = scene.output(&["devices"], "").await;
    let (said, noted) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && noted.contains("the server cannot be reached"), "{noted}");
    assert!(said.contains("online, last known ") && said.contains("pending, last known "), "{said}");
    let devices = scene.json(&["devices", "--json"]).await;
    assert!(devices[1]["last_known_at"].is_i64(), "{devices}");

    scene.agent.program.kill().await;
    let asked = std::time::Instant::now();
    let away = scene.output(&["status", "journey"], "").await;
    let errors = String::from_utf8_lossy(&away.stderr);
    assert!(!away.status.success() && errors.contains("cannot be reached"), "{errors}");
    // A request waits longer than that for a device that may yet be found.
    let request = foreman_client::DeviceOptions::default().pace.request;
    assert!(asked.elapsed() < request, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_and_shells_give_their_output_and_their_code() {
    let scene = Scene::new().await;
    let task = scene.output(&["run", "journey", "--shell", "--", "echo out; exit 3"], "").await;
    assert_eq!((task.status.code(), task.stdout.as_slice()), (Some(3), b"out\n".as_slice()));

    let command = ["shell", "journey", "--", "sh", "-c", "read a; echo got $a; exit 7"];
    let shell = scene.output(&command, "typed\n").await;
    let said = String::from_utf8_lossy(&shell.stdout).into_owned();
    assert!(said.contains("got typed"), "{said}{}", String::from_utf8_lossy(&shell.stderr));
    assert_eq!(shell.status.code(), Some(7));

    let there = scene.folder.path().canonicalize().expect("it is there");
    let there = there.to_str().expect("text");
    let told = ["run", "journey", "--env", "WORD=told", "--cwd", there, "--shell", "--", "echo $WORD; pwd"];
    assert_eq!(scene.says(&told).await, format!("told\n{there}\n"));
    assert!(scene.says(&["shell", "journey", "--cwd", there, "--", "pwd"]).await.contains(there));
    let late = scene.output(&["run", "journey", "--timeout", "1s", "--", "sleep", "600"], "").await;
    assert_eq!(late.status.code(), Some(128 + 15), "{}", String::from_utf8_lossy(&late.stderr));

    let mut running = scene.foreman(&["run", "journey", "--", "sleep", "600"]).spawn().expect("it runs");
    let tasks = eventually("the task runs", || async {
        let devices = scene.json(&["devices", "--json"]).await;
        (devices[0]["running_tasks"] == 1).then_some(())
    });
    tasks.await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.id().expect("it runs")).expect("small"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("it is ours");
    let ended = soon("the stopped task", running.wait()).await.expect("it ends");
    assert!(!ended.success());
    eventually("nothing runs any more", || async {
        let devices = scene.json(&["devices", "--json"]).await;
        (devices[0]["running_tasks"] == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_copied_listed_and_printed_also_with_the_server_down() {
    let mut scene = Scene::new().await;
    let tree = scene.folder.join("tree");
    std::fs::create_dir_all(tree.join("deep/er")).expect("made");
    let large: Vec<u8> = (0..400_000u64).flat_map(u64::to_be_bytes).collect();
    std::fs::write(tree.join("large"), &large).expect("written");
    std::fs::write(tree.join("deep/er/small"), "small\n").expect("written");
    std::fs::write(tree.join("empty"), "").expect("written");
    let (there, remote) = scene.place("there");
    scene.says(&["cp", "-r", tree.to_str().expect("text"), &remote]).await;
    assert!(std::fs::read(there.join("large")).expect("it arrived") == large);
    assert_eq!(std::fs::read_to_string(there.join("deep/er/small")).expect("it arrived"), "small\n");
    assert_eq!(scene.says(&["ls", &remote]).await, "deep/\nempty\nlarge\n");

    scene.server.program.kill().await;
    assert_eq!(scene.says(&["cat", &format!("{remote}/deep/er/small")]).await, "small\n");
    let back = scene.folder.join("back");
    let arrived = back.to_str().expect("text");
    scene.says(&["cp", "-r", &remote, arrived]).await;
    assert!(std::fs::read(back.join("large")).expect("it came") == large);
    assert!(back.join("empty").exists() && back.join("deep/er/small").exists());
    let again = scene.output(&["cp", &format!("{remote}/large"), arrived], "").await;
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
    let (changed, target) = (scene.folder.join("changed"), format!("{remote}/deep/er/small"));
    std::fs::write(&changed, "changed\n").expect("written");
    let replace = ["cp", changed.to_str().expect("text"), &target];
    assert!(!scene.output(&replace, "").await.status.success(), "nothing is written over by itself");
    assert_eq!(scene.says(&["cat", &target]).await, "small\n");
    scene.says(&[&replace[..], &["--force"]].concat()).await;
    assert_eq!(scene.says(&["cat", &target]).await, "changed\n");
    // A part that was left is gone on with: its first half is not fetched again.
    let etag = scene.json(&["ls", &format!("{remote}/large"), "--json"]).await[0]["etag"].clone();
    let version: String = etag.as_str().expect("a tag").chars().filter(char::is_ascii_alphanumeric).collect();
    let part = scene.folder.join(&format!(".part.{version}.part"));
    let mut half = large[..large.len() / 2].to_vec();
    half[0] ^= 0xff;
    std::fs::write(&part, &half).expect("written");
    let target = scene.folder.join("part");
    scene.says(&["cp", &format!("{remote}/large"), target.to_str().expect("text")]).await;
    let whole = std::fs::read(&target).expect("it came");
    assert!(whole[0] == half[0] && whole[1..] == large[1..] && !part.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_lead_through_and_logs_are_shown() {
    let scene = Scene::new().await;
    let echo = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = echo.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    let mut forward = scene.foreman(&["forward", "journey", &format!("0:{port}")]).spawn().expect("it runs");
    let mut errors = forward.stderr.take().expect("piped");
    let said = soon("the port", async {
        let mut said = Vec::new();
        // Behind what is said of the device at a first meeting.
        while !said.ends_with(b"\n") || !String::from_utf8_lossy(&said).contains(" 127.0.0.1:") {
            assert!(errors.read_buf(&mut said).await.expect("readable") > 0, "it ended");
        }
        String::from_utf8(said).expect("text")
    })
    .await;
    let local = said.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).expect("an address");
    let mut stream = TcpStream::connect(local).await.expect("it listens");
    stream.write_all(b"hello").await.expect("sent");
    let mut back = [0; 5];
    soon("the echo", stream.read_exact(&mut back)).await.expect("it comes");
    assert_eq!(&back, b"hello");

    let proxied = scene.fed(&["ssh-proxy", "journey", &port.to_string()], "through\n").await;
    assert_eq!(proxied, "through\n");

    let (log, _) = scene.place("app.log");
    std::fs::write(&log, "one\ntwo\nthree\n").expect("written");
    let source = format!("file:{}", log.display());
    assert_eq!(scene.says(&["logs", "journey", &source, "-n", "2"]).await, "two\nthree\n");

    let (levels, _) = scene.place("levels.log");
    std::fs::write(&levels, "INFO ready\nWARN warm\nERROR stuck\n").expect("written");
    let levels = format!("file:{}", levels.display());
    let only =
        async |filter: [&str; 2]| scene.says(&["logs", "journey", &levels, filter[0], filter[1]]).await;
    assert_eq!(only(["--level", "warn"]).await, "WARN warm\nERROR stuck\n");
    assert_eq!(only(["--grep", "ready|stuck"]).await, "INFO ready\nERROR stuck\n");

    let mut follows = scene.foreman(&["logs", "journey", &source, "-f", "-n", "1"]).spawn().expect("it runs");
    let mut shown = tokio::io::BufReader::new(follows.stdout.take().expect("piped")).lines();
    let mut next = async || soon("a line", shown.next_line()).await.expect("readable");
    assert_eq!(next().await.as_deref(), Some("three"));
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).expect("it is there");
    for line in ["four", "five"] {
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).expect("written");
        assert_eq!(next().await.as_deref(), Some(line));
    }
    // Rotated: the new file is gone on with.
    std::fs::rename(&log, scene.folder.join("app.log.1")).expect("moved");
    std::fs::write(&log, "six\n").expect("written");
    assert_eq!(next().await.as_deref(), Some("six"));

    // What cannot be read from the start is said, and not waited for.
    let circle = scene.folder.join("circle");
    std::os::unix::fs::symlink(&circle, &circle).expect("made");
    let unread = scene.output(&["logs", "journey", &format!("file:{}", circle.display()), "-f"], "").await;
    let noted = String::from_utf8_lossy(&unread.stderr).into_owned();
    assert!(!unread.status.success() && noted.contains("cannot be read"), "{noted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_client_key_leaves_the_old_one_dead() {
    let scene = Scene::new().await;
    let store = Store::at(scene.folder.join("config/foreman"), scene.folder.join("data/foreman"));
    scene.says(&["trust", "journey"]).await;
    let (old, known) = (store.client_key().expect("a key"), store.device(scene.agent.device));
    let known = known.expect("readable").expect("it was met");
    scene.says(&["keys", "rotate"]).await;
    let options = foreman_client::DeviceOptions { mdns: false, ..Default::default() };
    eventually("the old key is refused", || async {
        let device =
            foreman_client::DeviceConnection::new(known.clone(), old.clone(), None, None, options.clone());
        device.expect("a connection").hello().await.err().and_then(|error| error.code())
    })
    .await;
    let status = scene.json(&["status", "journey", "--json"]).await;
    assert_eq!((status["path"].as_str(), status["hello"]["level"].as_str()), (Some("lan"), Some("admin")));
}
