//! Tasks from the command line while the server is down: over the link, with the right that was met before.

use journeys::eventually;

use super::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_server_down_tasks_are_started_listed_followed_and_stopped_over_the_link() {
    let mut scene = Scene::new().await;
    // Met once, with its server there.
    scene.says(&["status", "journey"]).await;
    let told = "printf '%s %s' \"$(printf %s \"$OPENAI_API_KEY\" | cut -c 1-3)\" \"$ANTHROPIC_MODEL\"";
    let keyed = ["run", "journey", "--models", "auto:code", "--max-spend", "0.50", "--shell", "--", told];
    assert_eq!(scene.says(&keyed).await, "fm- auto:code");
    scene.server.program.kill().await;

    let run = scene.output(&["run", "journey", "--shell", "--", "echo out; exit 3"], "").await;
    let noted = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!((run.status.code(), run.stdout.as_slice()), (Some(3), b"out\n".as_slice()), "{noted}");
    assert!(noted.contains("the server cannot be reached"), "{noted}");

    // A key for models comes from the server alone.
    let refused = scene.output(&["run", "journey", "--models", "auto", "--", "true"], "").await;
    let noted = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && noted.contains("Only a server makes keys"), "{noted}");

    let gate = scene.folder.join("gate");
    let line =
        format!("echo begun; until [ -e '{}' ]; do sleep 0.05; done; echo over; exit 4", gate.display());
    let waits = scene.says(&["run", "journey", "--detach", "--shell", "--", &line]).await;
    let sleeps = scene.says(&["run", "journey", "--direct", "--detach", "--", "sleep", "600"]).await;
    let (waits, sleeps) = (waits.trim(), sleeps.trim());
    let state = async |id: &str| {
        let all = scene.json(&["tasks", "journey", "--direct", "--json"]).await;
        let all = all.as_array().expect("a list").clone();
        all.into_iter().find(|task| task["id"] == id).map(|task| task["state"].clone())
    };
    eventually("both run", || async {
        (state(waits).await? == "running" && state(sleeps).await? == "running").then_some(())
    })
    .await;
    let listed = scene.says(&["tasks", "journey"]).await;
    assert!(listed.lines().any(|line| line.contains(sleeps) && line.contains("sleep 600")), "{listed}");

    scene.says(&["tasks", "journey", "--stop", sleeps]).await;
    eventually("it is stopped", || async { (state(sleeps).await? == "stopped").then_some(()) }).await;

    let followed = scene.foreman(&["tasks", "journey", "--follow", waits]).spawn().expect("it runs");
    std::fs::write(&gate, "").expect("written");
    let followed = followed.wait_with_output().await.expect("it ends");
    let said = String::from_utf8_lossy(&followed.stdout).into_owned();
    assert_eq!((followed.status.code(), said.as_str()), (Some(4), "begun\nover\n"));
    let unknown = scene.output(&["tasks", "journey", "--stop", "none"], "").await;
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no task none there"));

    // Its server hears of each of them once, and answers for them from then on.
    scene.server.start_again().await;
    let all = eventually("the server has them", || async {
        let out = scene.output(&["tasks", "journey", "--json"], "").await;
        let all: serde_json::Value = serde_json::from_slice(&out.stdout).ok()?;
        let over = all.as_array()?.iter().all(|task| task["ended_at"].is_i64());
        (all.as_array()?.len() == 4 && over).then_some(all)
    })
    .await;
    assert!(all.as_array().expect("a list").iter().any(|task| task["id"] == waits), "{all}");
    assert_eq!(scene.output(&["tasks", "journey", "--follow", waits], "").await.stdout, b"begun\nover\n");
}
