//! Tasks that begin at the device, over its link, while its server hears nothing: they are the server's tasks in all but
//! who asked, and the server is told of them once it hears again.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

#[path = "agent/awkward.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod awkward;
#[path = "link/house.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod house;

use foreman_link::h2::{Body, Client};
use foreman_protocol::{Actor, Level, Page, ProblemCode, Task, TaskId, TaskState};
use house::{House, problem, send, whole};
use http_body_util::BodyExt;
use hyper::Request;
use serde_json::{Value, json};

async fn post(client: &Client, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string().into_bytes())).unwrap();
    let response = tokio::time::timeout(house::PATIENCE, client.request(request)).await.unwrap().unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&whole(response).await).unwrap_or(Value::Null))
}

async fn get<T: serde::de::DeserializeOwned>(client: &Client, path: &str) -> T {
    let response = send(client, "GET", path, Body::empty()).await;
    assert!(response.status().is_success(), "{path}: {}", response.status());
    serde_json::from_slice(&whole(response).await).unwrap()
}

/// Follows the output to its end, or until it says this.
async fn output(client: &Client, task: TaskId, until: Option<&str>) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let request =
        Request::get(format!("/tasks/{task}/output?offset=0")).header("accept", "text/event-stream");
    let request = request.body(Body::empty()).unwrap();
    let mut body = client.request(request).await.unwrap().into_body();
    let (mut stream, mut said) = (String::new(), String::new());
    let follow = async {
        while let Some(frame) = body.frame().await {
            stream.push_str(&String::from_utf8_lossy(&frame.unwrap().into_data().unwrap_or_default()));
            while let Some((message, rest)) = stream.split_once("\n\n") {
                let data = message.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or("null");
                let data: Value = serde_json::from_str(data.trim()).unwrap();
                if message.contains("event: output") {
                    let bytes = BASE64_STANDARD.decode(data["data"].as_str().unwrap()).unwrap();
                    said.push_str(&String::from_utf8_lossy(&bytes));
                }
                let over = message.contains("event: end");
                stream = rest.to_owned();
                if over || until.is_some_and(|until| said.contains(until)) {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(house::PATIENCE, follow).await.unwrap();
    said
}

#[tokio::test]
async fn a_task_begun_here_outlives_the_agent_runs_once_and_is_told_when_the_server_hears_again() {
    let mut house = House::new(&["--allow", "bash"]).await;
    house.server.with(|inner| inner.deaf = true);
    let runs = house.state().join("runs");
    let gate = house.state().join("gate");
    let line = format!(
        "echo ran >> {}; echo begun; until [ -e {} ]; do sleep 0.05; done; echo over",
        runs.display(),
        gate.display()
    );
    let (id, env) = (TaskId::fresh(), json!({ "WORD": "secret" }));
    let asked = json!({ "id": id, "shell": line, "cwd": "/", "env": env });
    let client = house.caller(Level::Operate).await;
    let (status, task) = post(&client, "/tasks", &asked).await;
    assert_eq!((status, task["id"].as_str()), (201, Some(id.to_string().as_str())), "{task}");
    assert_eq!(output(&client, id, Some("begun")).await, "begun\n");
    let list: Page<Task> = get(&client, "/tasks").await;
    let [shown] = list.items.as_slice() else { panic!("{list:?}") };
    assert_eq!((shown.id, shown.state), (id, TaskState::Running));
    assert_eq!(shown.requested_by, Actor::Link { name: "Mia's phone".to_owned() });

    house.server.until("an attempt", |inner| inner.unheard > 0).await;
    house.end().await;
    let house = house.started_again(&[]).await;
    let client = house.caller(Level::Operate).await;
    assert_eq!(post(&client, "/tasks", &asked).await.0, 201, "the same again is no other");
    assert_eq!(output(&client, id, Some("begun")).await, "begun\n");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(output(&client, id, None).await, "begun\nover\n");
    let ended: Task = get(&client, &format!("/tasks/{id}")).await;
    assert_eq!((ended.state, ended.exit_code, ended.output_total), (TaskState::Succeeded, Some(0), Some(11)));
    assert!(
        house.server.with(|inner| inner.output.is_empty()),
        "of what it does not know it is sent nothing"
    );

    house.server.with(|inner| inner.deaf = false);
    house.server.until_state(id, TaskState::Succeeded).await;
    house.server.until_output(id, "begun\nover\n").await;
    let started = house.server.with(|inner| inner.started.clone());
    let [told] = started.as_slice() else { panic!("{started:?}") };
    assert_eq!(
        (told.id, told.by.as_str(), told.env_names.as_slice()),
        (id, "Mia's phone", &["WORD".to_owned()][..])
    );
    assert!(!format!("{told:?}").contains("secret"), "values stay here");
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "ran\n", "it ran once");
}

#[tokio::test]
async fn who_may_start_and_stop_is_for_the_grant_and_the_policy_to_say() {
    let house = House::new(&["--allow", "logs", "--dashboard", "none"]).await;
    let viewer = house.caller(Level::View).await;
    let asked = json!({ "shell": "echo heard; sleep 60", "cwd": "/" });
    assert_eq!(post(&viewer, "/tasks", &asked).await.1["code"], "grant_not_enough");
    let operator = house.caller(Level::Operate).await;
    let (status, refused) = post(&operator, "/tasks", &asked).await;
    assert_eq!((status, refused["details"]["setting"].as_str()), (403, Some("ALLOW_BASH")));

    std::fs::write(house.state().join("policy.env"), "ALLOW_BASH=true\n").unwrap();
    let nothing = post(&operator, "/tasks", &json!({ "shell": " " })).await;
    assert_eq!((nothing.0, nothing.1["details"]["field"].as_str()), (422, Some("shell")));
    let (status, task) = post(&operator, "/tasks", &asked).await;
    assert_eq!(status, 201, "{task}");
    let id: TaskId = task["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(output(&viewer, id, Some("heard")).await, "heard\n");
    let stop = format!("/tasks/{id}/stop");
    assert_eq!(problem(&viewer, "POST", &stop).await.code, ProblemCode::GrantNotEnough);
    // Somebody else's: that is for whoever decides here.
    let other = house.caller(Level::Operate).await;
    assert_eq!(problem(&other, "POST", &stop).await.code, ProblemCode::GrantNotEnough);
    assert_eq!(post(&operator, &stop, &Value::Null).await.0, 202);
    house.server.until_state(id, TaskState::Stopped).await;
    // It may look at nothing here, so it is told that there was something and not what that said.
    house.server.until("a gap", |inner| inner.gaps.iter().any(|(task, _)| *task == id)).await;
    assert!(!house.server.with(|inner| inner.text(id)).contains("heard"));
    let away = format!("/tasks/{}", TaskId::fresh());
    assert_eq!(problem(&viewer, "GET", &away).await.code, ProblemCode::NotFound);
}
