//! Rights that one person gives another: by the server and without one, no more than was given, and taken back one by one.

use foreman_client::{KnownDevice, Store};
use journeys::{eventually, soon};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::Scene;

/// Somebody else's `foreman`, with keys of their own.
struct Other<'a> {
    scene: &'a Scene,
    home: &'static str,
}

impl Other<'_> {
    fn foreman(&self, args: &[&str]) -> tokio::process::Command {
        let mut foreman = self.scene.foreman(args);
        foreman
            .env("XDG_CONFIG_HOME", self.scene.folder.join(&format!("{}/config", self.home)))
            .env("XDG_DATA_HOME", self.scene.folder.join(&format!("{}/data", self.home)));
        foreman
    }

    /// What it printed and what it noted, and whether it did well.
    async fn tries(&self, args: &[&str], input: &str) -> (bool, String, String) {
        let output = Scene::run(self.foreman(args), args, input).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    }

    async fn says(&self, args: &[&str]) -> String {
        let (well, said, noted) = self.tries(args, "").await;
        assert!(well, "foreman {args:?}: {noted}");
        said
    }

    async fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(args).await).expect("JSON")
    }

    /// Over which path, and as what.
    async fn stands(&self) -> (String, String) {
        let status = self.json(&["status", "journey", "--json"]).await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&status["path"]), text(&status["hello"]["level"]))
    }
}

fn stood(path: &str, level: &str) -> (String, String) {
    (path.to_owned(), level.to_owned())
}

/// Two people who may only look, by the server, with keys of their own.
async fn two_others(scene: &Scene) -> [(Other<'_>, String); 2] {
    let (_, viewer) = scene.server.client("viewer").await;
    let mut others = Vec::new();
    for home in ["mia", "ben"] {
        let other = Other { scene, home };
        let login = ["login", &scene.server.url, "--token", "-"];
        assert!(other.tries(&login, &viewer).await.0);
        let keys = other.json(&["keys", "--json"]).await;
        others.push((other, keys["client"].as_str().expect("a key").to_owned()));
    }
    others.try_into().ok().expect("two")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_given_a_look_looks_and_one_right_is_taken_back_without_the_other() {
    let scene = Scene::new().await;
    let [(mia, mias), (ben, bens)] = two_others(&scene).await;
    // Without a right only the server speaks for them, and only for a look.
    assert_eq!(mia.stands().await, stood("server", "view"));
    scene.says(&["grant", "journey", "--client", &mias, "--name", "Mia's phone"]).await;
    scene.says(&["grant", "journey", "--client", &bens, "--name", "Ben", "--level", "operate"]).await;
    let listed = scene.says(&["grants", "journey"]).await;
    let words = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Mia's phone view until ") && words.contains("Ben operate until "), "{listed}");

    assert_eq!(mia.stands().await, stood("lan", "view"));
    assert_eq!(ben.stands().await, stood("lan", "operate"));
    let (file, remote) = scene.place("seen");
    std::fs::write(&file, "seen\n").expect("written");
    assert_eq!(mia.says(&["cat", &remote]).await, "seen\n");
    let sent = scene.folder.join("sent");
    std::fs::write(&sent, "sent").expect("written");
    let (arrived, there) = scene.place("arrived");
    for denied in [
        &["shell", "journey", "--", "echo", "in"][..],
        &["run", "journey", "--direct", "--", "echo", "in"],
        &["cp", sent.to_str().expect("text"), &there],
        &["forward", "journey", "0:22"],
        &["ssh-proxy", "journey", "22"],
    ] {
        let (well, said, noted) = mia.tries(denied, "").await;
        assert!(!well && said.is_empty(), "{denied:?}: {said}");
        assert!(noted.contains("look") || noted.contains("view"), "{denied:?}: {noted}");
        assert!(!noted.contains("leads to"), "nothing listens: {noted}");
    }
    assert!(!arrived.exists());
    assert!(ben.says(&["shell", "journey", "--", "echo", "in"]).await.contains("in"));

    // What she reads ends with her right; his goes on.
    let log = scene.folder.join("app.log");
    std::fs::write(&log, "one\n").expect("written");
    let source = format!("file:{}", log.display());
    let follow = ["logs", "journey", &source, "-f", "--via", "lan"];
    let mut reads = Vec::new();
    for other in [&mia, &ben] {
        let mut child = other.foreman(&follow).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = soon("a line", lines.next_line()).await.expect("readable");
        assert_eq!(first.as_deref(), Some("one"));
        reads.push((child, lines));
    }
    let grants = scene.json(&["grants", "journey", "--json"]).await;
    let hers = grants.as_array().expect("a list").iter().find(|one| one["grant"]["client"] == mias.as_str());
    let id = hers.expect("it is carried")["grant"]["id"].as_str().expect("an id").to_owned();
    let said = scene.says(&["revoke", "journey", "--grant", &id]).await;
    assert!(said.contains("it holds"), "{said}");
    let (mut hers, _) = reads.remove(0);
    assert!(!soon("the end of what she reads", hers.wait()).await.expect("ours").success());
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).expect("it is there");
    std::io::Write::write_all(&mut file, b"two\n").expect("written");
    let (_his, mut lines) = reads.remove(0);
    assert_eq!(soon("a line", lines.next_line()).await.expect("readable").as_deref(), Some("two"));
    assert_eq!(mia.stands().await, stood("server", "view"));
    assert_eq!(ben.stands().await, stood("lan", "operate"));
    eventually("the server shows it as taken back", || async {
        let listed = scene.says(&["grants", "journey"]).await;
        listed.lines().any(|line| line.contains("Mia's phone") && line.contains("taken back")).then_some(())
    })
    .await;

    // All of a client's, those of the future too.
    scene.says(&["revoke", "journey", "--client", &bens]).await;
    scene.says(&["grant", "journey", "--client", &bens, "--name", "Ben again", "--level", "admin"]).await;
    assert_eq!(ben.stands().await.0, "server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_server_down_a_right_goes_from_hand_to_hand() {
    let mut scene = Scene::new().await;
    scene.says(&["status", "journey"]).await;
    let [(mia, mias), (ben, _)] = two_others(&scene).await;
    for other in [&mia, &ben] {
        assert_eq!(other.stands().await.0, "server");
    }
    scene.server.program.kill().await;
    let given = ["grant", "journey", "--client", &mias, "--name", "Mia", "--level", "operate", "--for", "1h"];
    let output = scene.output(&given, "").await;
    let noted = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && noted.contains("no server carries it"), "{noted}");
    let line = String::from_utf8(output.stdout).expect("text").trim().to_owned();

    let [mia, ben] = ["mia", "ben"].map(|home| Other { scene: &scene, home });
    // It is worth nothing in anybody else's hands.
    let (well, _, noted) = ben.tries(&["trust", "journey", "--grant", &line], "").await;
    assert!(!well && noted.contains("for another client's key"), "{noted}");
    let (well, _, noted) = mia.tries(&["trust", "journey", "--grant", &line[1..]], "").await;
    assert!(!well && noted.contains("the whole line"), "{noted}");
    let said = mia.says(&["trust", "journey", "--grant", &line]).await;
    assert!(said.contains("your level there is operate"), "{said}");
    assert_eq!(mia.stands().await, stood("lan", "operate"));
    assert!(mia.says(&["shell", "journey", "--", "echo", "in"]).await.contains("in"));

    // Taken back with the server still down: the device is told itself.
    let said = scene.says(&["revoke", "journey", "--client", &mias]).await;
    assert!(said.contains("it holds"), "{said}");
    let (well, _, noted) = mia.tries(&["status", "journey", "--via", "lan"], "").await;
    assert!(!well && noted.contains("was reached and refused"), "{noted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_owner_is_told_that_nothing_was_taken_back_and_where_an_old_key_lives_on() {
    let scene = Scene::new().await;
    let (_, admin) = scene.server.client("admin").await;
    let mia = Other { scene: &scene, home: "mia" };
    assert!(mia.tries(&["login", &scene.server.url, "--token", "-"], &admin).await.0);
    let mias = mia.json(&["keys", "--json"]).await["client"].as_str().expect("a key").to_owned();
    scene.says(&["status", "journey"]).await;
    let client = scene.json(&["keys", "--json"]).await["client"].as_str().expect("a key").to_owned();
    // First as a stranger to the device, then as a guest there.
    for _ in 0..2 {
        let (well, said, noted) = mia.tries(&["revoke", "journey", "--client", &client], "").await;
        assert!(!well && said.is_empty(), "{said}");
        assert!(noted.contains("Only an owner of journey can do that. Nothing was taken back"), "{noted}");
        scene.says(&["grant", "journey", "--client", &mias, "--name", "Mia", "--level", "admin"]).await;
        mia.says(&["trust", "journey"]).await;
    }
    let grants = scene.json(&["grants", "journey", "--json"]).await;
    let grants = grants.as_array().expect("a list");
    assert!(
        !grants.is_empty() && grants.iter().all(|one| one.get("revoke_asked_at").is_none()),
        "{grants:?}"
    );

    // Her record knows no right, but the server carries some.
    let store = Store::at(scene.folder.join("mia/config/foreman"), scene.folder.join("mia/data/foreman"));
    let known = store.device(scene.agent.device).expect("readable").expect("it was met");
    store.keep(&KnownDevice { grant: None, ..known }).expect("kept");
    let rotated = mia.says(&["keys", "rotate"]).await;
    assert!(rotated.contains("Only an owner can take the old key back on: journey."), "{rotated}");
    let line = format!("foreman revoke DEVICE --client {mias}");
    assert!(rotated.contains(&line) && !rotated.contains("Not told yet"), "{rotated}");
}
