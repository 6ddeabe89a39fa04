//! New keys, with devices that hear of it and devices that do not.

use foreman_client::{DeviceConnection, DeviceOptions, KnownDevice, Store};
use foreman_protocol::ProblemCode;
use journeys::{eventually, program::command, soon};
use nix::sys::signal::Signal;

use super::Scene;

fn store(scene: &Scene) -> Store {
    Store::at(scene.folder.join("config/foreman"), scene.folder.join("data/foreman"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_did_not_hear_of_a_new_client_key_is_named_and_told_later() {
    let mut scene = Scene::new().await;
    let store = store(&scene);
    scene.says(&["status", "journey"]).await;
    let (old, known) = (store.client_key().expect("a key"), store.device(scene.agent.device));
    let known = known.expect("readable").expect("it was met");
    scene.server.program.kill().await;
    scene.agent.program.signal(Signal::SIGSTOP);
    let rotated = scene.output(&["keys", "rotate"], "").await;
    let said = String::from_utf8_lossy(&rotated.stdout).into_owned();
    assert!(rotated.status.success() && said.contains("Not told yet: journey."), "{said}");
    assert_ne!(store.client_key().expect("a key").public(), old.public());
    assert_eq!(store.untold(known.id).expect("readable").len(), 1);
    scene.agent.program.signal(Signal::SIGCONT);

    let status = scene.json(&["status", "journey", "--json"]).await;
    assert_eq!(status["path"], "lan", "the new key is let in: {status}");
    eventually("the old key is dead", || async {
        scene.says(&["status", "journey"]).await;
        let options = DeviceOptions { mdns: false, through_server: false, ..DeviceOptions::default() };
        let device = DeviceConnection::new(known.clone(), old.clone(), None, None, options);
        let answer = device.expect("a connection").hello().await;
        (answer.err().and_then(|error| error.code()) == Some(ProblemCode::GrantNotEnough)).then_some(())
    })
    .await;
    assert!(store.untold(known.id).expect("readable").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_owner_key_counts_where_the_device_was_told_and_nowhere_else() {
    let scene = Scene::new().await;
    let store = store(&scene);
    scene.says(&["status", "journey"]).await;
    let old = store.owner_key().expect("a key").public();
    let rotated = scene.says(&["keys", "rotate", "owner"]).await;
    let fresh = store.owner_key().expect("a key").public();
    assert_ne!(old, fresh);
    for line in [format!("trust add {fresh}"), format!("trust remove {old}")] {
        assert!(rotated.contains(&line), "{rotated}");
    }
    // What the old key signed counts until it is removed on the device.
    let status = scene.json(&["status", "journey", "--json"]).await;
    assert_eq!(status["path"], "lan", "{status}");
    let trust = |what: &'static str, key: String| {
        let mut agent = command("foreman-agent");
        agent.arg("--state").arg(&scene.agent.state).args(["trust", what]).arg(key);
        async move { soon("foreman-agent trust", agent.output()).await.expect("it runs").status }
    };
    assert!(trust("remove", old).await.success());
    // Nobody told the device of the new one: it is a stranger's, and only the server may speak.
    let status = scene.json(&["status", "journey", "--json"]).await;
    assert_eq!(status["path"], "server", "{status}");
    assert!(trust("add", fresh).await.success());
    // A client that was refused waits a minute before it tries its own key again; this one does not.
    let known = store.device(scene.agent.device).expect("readable").expect("it was met");
    store.keep(&KnownDevice { refused_at: None, ..known }).expect("kept");
    let status = scene.json(&["status", "journey", "--json"]).await;
    assert_eq!((status["path"].as_str(), status["hello"]["level"].as_str()), (Some("lan"), Some("admin")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_first_meeting_the_identity_is_said_once_and_another_than_the_one_named_is_refused() {
    let scene = Scene::new().await;
    let status = scene.agent.says(&["status"]).await;
    let identity = status.lines().find_map(|line| line.strip_prefix("Identity")).expect("shown").trim();
    let (file, remote) = scene.place("seen");
    std::fs::write(&file, "seen\n").expect("written");
    let to = scene.folder.join("copy");
    let copy = ["cp", "--force", &remote, to.to_str().expect("text")];
    let with = |key: &str| -> Vec<String> {
        [&copy[..], &["--identity", key]].concat().into_iter().map(str::to_owned).collect()
    };
    let tries = async |args: Vec<String>| {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let output = scene.output(&args, "").await;
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let stranger = foreman_link::grant::Issuer::generate().public();
    let (well, noted) = tries(with(&stranger)).await;
    assert!(!well && noted.contains(identity) && noted.contains(&stranger), "{noted}");
    assert!(!to.exists() && store(&scene).device(scene.agent.device).expect("readable").is_none());
    // The same for a task, which a server would hand on without a word.
    let (well, noted) =
        tries(["run", "journey", "--identity", &stranger, "--", "true"].map(str::to_owned).to_vec()).await;
    assert!(!well && noted.contains("Nothing was sent"), "{noted}");

    let plain = || copy.map(str::to_owned).to_vec();
    let (well, noted) = tries(plain()).await;
    assert!(well && noted.contains("first time at journey") && noted.contains(identity), "{noted}");
    for args in [plain(), with(identity)] {
        let (well, noted) = tries(args).await;
        assert!(well && !noted.contains(identity), "{noted}");
    }
    let (well, noted) = tries(with(&stranger)).await;
    assert!(!well && noted.contains(&stranger), "what is kept is compared too: {noted}");
}
