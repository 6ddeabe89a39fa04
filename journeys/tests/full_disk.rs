//! No space left: on the server, then on the device.

use std::path::{Path, PathBuf};

use foreman_protocol::{ProblemCode, TaskState};
use journeys::{
    database::Database,
    eventually,
    models::Models,
    numbered, processes, program,
    stack::{Agent, Folder, Server, Setting},
};
use serde_json::{Value, json};

const MEGABYTE: usize = 1024 * 1024;

/// A file system of a few megabytes; unmounted at the end.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `None` where this account may not mount.
    fn mount(folder: &Folder, name: &str, megabytes: usize) -> Option<Self> {
        let path = folder.join(name);
        std::fs::create_dir(&path).expect("our folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0700"), "tmpfs"])
            .arg(&path)
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self { path })
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }

    /// Leaves this many bytes free.
    fn fill(&self, free: usize) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.ballast()).expect("our disk");
        while file.write_all(&[0; 4096]).is_ok() {}
        let size = file.metadata().expect("our file").len();
        file.set_len(size.saturating_sub(free as u64)).expect("our file");
    }

    fn relieve(&self) {
        std::fs::remove_file(self.ballast()).expect("our file");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        processes::end_all_of(&self.path);
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

macro_rules! or_skip {
    ($disk:expr) => {
        match $disk {
            Some(disk) => disk,
            None => {
                journeys::skipped::skipped("this account may not mount a small disk");
                return;
            }
        }
    };
}

/// Prints lines that add up to about this many megabytes, then a last word.
fn printing(megabytes: usize) -> foreman_protocol::TaskSpec {
    numbered::shell(format!(
        "yes 0123456789abcdef0123456789abcde | head -c {}; echo the end",
        megabytes * MEGABYTE
    ))
}

fn assert_whole(heard: &numbered::Heard, megabytes: usize) {
    assert_eq!(heard.bytes.len(), megabytes * MEGABYTE + 8);
    let (lines, end) = heard.bytes.split_at(megabytes * MEGABYTE);
    assert!(lines.chunks(32).all(|line| line == b"0123456789abcdef0123456789abcde\n"), "every line is whole");
    assert_eq!(end, b"the end\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_says_so_and_loses_nothing() {
    let folder = Folder::new();
    let disk = or_skip!(SmallDisk::mount(&folder, "disk", 64));
    let data: &Path = &disk.path;
    let setting = Setting::on(Database::Sqlite).env("FOREMAN_HEARTBEAT_S", 1);
    let mut server = Server::start(data.join("server"), setting).await;
    let (foreman, _) = server.client("owner").await;
    let agent = Agent::join(&foreman, &server.url, folder.join("agent"), &[]).await;

    let task = foreman.start_task(agent.device, &printing(20)).await.expect("taken").id;
    disk.fill(MEGABYTE);
    // Full is said, to whoever wants to change something; reading goes on.
    let refused = eventually("the server says that it is full", || async {
        foreman.start_task(agent.device, &printing(1)).await.err()
    })
    .await;
    assert_eq!(refused.code(), Some(ProblemCode::StorageUnavailable), "{refused:?}");
    assert_eq!(refused.status(), Some(503));
    assert!(foreman.task(task).await.is_ok() && foreman.device(agent.device).await.is_ok());
    assert!(server.program.runs(), "it does not end");

    disk.relieve();
    let (heard, task) = numbered::follow(&foreman, task).await;
    assert_eq!(task.state, TaskState::Succeeded);
    assert_whole(&heard, 20);
    assert!(foreman.verify_audit().await.expect("checkable").intact);
    let (_, task) = numbered::run(&foreman, agent.device, &printing(1)).await;
    assert_eq!(task.state, TaskState::Succeeded, "all is well again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_device_says_so_and_goes_on() {
    let folder = Folder::new();
    let disk = or_skip!(SmallDisk::mount(&folder, "disk", 24));
    let setting = Setting::on(Database::Sqlite).env("FOREMAN_HEARTBEAT_S", 1);
    let server = Server::start(folder.join("server"), setting).await;
    let (foreman, _) = server.client("owner").await;
    let mut agent = Agent::join(&foreman, &server.url, disk.path.join("agent"), &[]).await;
    disk.fill(256 * 1024);

    // The task waits for space; whoever looks on the device is told why.
    let task = foreman.start_task(agent.device, &printing(10)).await.expect("taken").id;
    let doctor = eventually("the doctor says that the disk is full", || async {
        let mut doctor = program::command("foreman-agent");
        let output = doctor.arg("doctor").arg("--state").arg(&agent.state).output().await.expect("it runs");
        (!output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    })
    .await;
    assert!(doctor.contains("✗") && doctor.contains("room on the disk"), "{doctor}");
    // What the server has is let go, so a task may even get through in small steps; it is never given up.
    let state = foreman.task(task).await.expect("it is there").state;
    assert!(!state.is_final() || state == TaskState::Succeeded, "{state:?}");
    assert!(agent.program.runs(), "it does not end");

    disk.relieve();
    let (heard, task) = numbered::follow(&foreman, task).await;
    assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
    assert_whole(&heard, 10);
    let (heard, task) = numbered::run(&foreman, agent.device, &printing(4)).await;
    assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
    assert_whole(&heard, 4);
}

/// What cannot be counted is not asked: no provider hears of a request whose use cannot be written down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_asks_no_model_that_it_could_not_count() {
    let folder = Folder::new();
    let disk = or_skip!(SmallDisk::mount(&folder, "disk", 32));
    let models = Models::start(&["talker"]).await;
    let server = Server::start(disk.path.join("server"), Setting::on(Database::Sqlite)).await;
    let (_, owner) = server.client("owner").await;
    let client = foreman_link::http::client().expect("a client");
    let post = async |path: &str, secret: &str, body: &Value| {
        let request = client.post(format!("{}{path}", server.url)).bearer_auth(secret).json(body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap_or_default())
    };
    let provider = json!({ "kind": "openai_compatible", "name": "talk", "base_url": models.base() });
    assert_eq!(post("/api/v1/providers", &owner, &provider).await.0, 201);
    let (_, key) = post("/api/v1/model-keys", &owner, &json!({ "name": "agent" })).await;
    let key = key["secret"].as_str().expect("a secret");
    let question = json!({ "model": "talk/talker", "messages": [{ "role": "user", "content": "hello" }] });
    let ask = async || post("/v1/chat/completions", key, &question).await;
    assert_eq!(ask().await.0, 200);

    disk.fill(0);
    // What is left of the last block takes a line or two.
    let refused = eventually("it says that it is full", || async {
        let (status, answer) = ask().await;
        (status == 503).then_some(answer)
    })
    .await;
    assert_eq!(refused["error"]["code"], "storage_unavailable", "{refused}");
    let asked = models.count();
    assert_eq!((ask().await.0, models.count()), (503, asked), "nothing was sent");
    disk.relieve();
    assert_eq!(ask().await.0, 200, "all is well again");
}
