//! A copy made while the server runs is whole; putting it back keeps what was there.

use serde_json::json;

use crate::{
    link::device::TestDevice,
    running::{Running, host, json},
};

#[tokio::test]
async fn backup_while_running_and_restore() {
    let server = Running::fresh();
    let admin = server.token("admin");
    let add = |name: &'static str| {
        json(server.post("/api/v1/devices", json!({ "name": name, "type": "inference" })).bearer_auth(&admin))
    };
    add("before").await;
    let copy = server.data.with_file_name("copy.db");
    let path = copy.to_str().unwrap().to_owned();
    let made = server.host(&["backup", &path]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(!server.host(&["backup", &path]).status.success(), "an existing file is not overwritten");
    add("after").await;

    let busy = server.host(&["restore", &path]);
    let said = String::from_utf8_lossy(&busy.stderr).into_owned();
    assert!(!busy.status.success() && said.contains("running server"), "{said}");

    let data = server.data.clone();
    let _folder = server.stop();
    let restored = host(&data, &["restore", &path]);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let kept = std::fs::read_dir(&data).unwrap().filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("foreman.db.before-restore")
    });
    assert!(kept.count() >= 1);

    let server = Running::over(data, &[]);
    let devices = json(server.get("/api/v1/devices").bearer_auth(&admin)).await;
    let names: Vec<&str> =
        devices["items"].as_array().unwrap().iter().map(|device| device["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["before"]);
    assert_eq!(json(server.get("/api/v1/audit/verify").bearer_auth(&admin)).await["intact"], true);
}

#[tokio::test]
async fn another_key_than_the_one_it_was_sealed_with_is_refused_and_a_lost_one_is_let_go() {
    let server = Running::fresh();
    let admin = server.token("admin");
    let device = TestDevice::join(&server, &admin).await;
    let spec = json!({ "shell": "true", "env": { "API_KEY": "secret" } });
    let task = json(server.post(&device.path("tasks"), spec).bearer_auth(&admin)).await;
    let task = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    let data = server.data.clone();
    let _folder = server.stop();

    let (key, kept) = (data.join("seal.key"), data.join("kept.key"));
    std::fs::rename(&key, &kept).unwrap();
    let refused = host(&data, &["serve", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("sealed with another key"), "{said}");
    assert!(!key.exists(), "no other one is left to be taken for it");

    let server = Running::over(data.clone(), &["--seal-key-file", kept.to_str().unwrap()]);
    assert_eq!(json(server.get(&task).bearer_auth(&admin)).await["state"], "queued");
    server.stop();
    let forgotten = host(&data, &["forget-sealed"]);
    assert!(String::from_utf8_lossy(&forgotten.stdout).contains("1 tasks"), "{forgotten:?}");
    let server = Running::over(data, &[]);
    let ended = json(server.get(&task).bearer_auth(&admin)).await;
    assert_eq!(ended["state"], "stopped");
    assert!(ended["reason"].as_str().unwrap().contains("is gone"), "{ended}");
}

#[test]
fn what_is_not_a_backup_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "not a database").unwrap();
    let refused = host(&folder.path().join("data"), &["restore", file.to_str().unwrap()]);
    assert!(!refused.status.success());
}
