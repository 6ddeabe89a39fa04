//! Tasks that begin at the device while its server is down, and changes that are asked for twice.

use std::collections::BTreeMap;

use foreman_client::{PathKind, RawAsk};
use foreman_protocol::{
    Actor, CreateDevice, DeviceType, Event, StartTask, TaskCommand, TaskId, TaskModels, TaskSpec, TaskState,
};
use futures_util::TryStreamExt;
use journeys::{database::Database, eventually};
use reqwest::Method;

use super::{Scene, only, quick, reached};

fn asked(line: &str) -> StartTask {
    let command = TaskCommand::Shell { shell: line.to_owned() };
    let spec = TaskSpec { command, cwd: Some("/".to_owned()), env: BTreeMap::new(), timeout_s: None };
    StartTask { id: Some(TaskId::fresh()), spec, models: None }
}

async fn a_task_begun_with_the_server_down_is_in_its_list_once_when_it_is_back(database: Database) {
    let mut scene = Scene::new(database).await;
    let met = scene.open(only(PathKind::Lan)).await;
    met.hello().await.expect("it answers");
    drop(met);
    scene.server.program.kill().await;

    let device = scene.open(quick()).await;
    reached(&device, PathKind::Lan).await;
    let (runs, gate) = (scene.folder.join("runs"), scene.folder.join("gate"));
    let line = format!(
        "echo ran >> '{}'; echo begun; until [ -e '{}' ]; do sleep 0.05; done; echo over",
        runs.display(),
        gate.display()
    );
    let models = Some(TaskModels { models: vec!["auto".to_owned()], cap_micros: None });
    let keyed = device.start_task(&StartTask { models, ..asked("true") }).await.expect_err("no server");
    assert!(keyed.to_string().contains("makes no keys"), "{keyed}");
    let start = asked(&line);
    let id = start.id.expect("just made");
    let task = device.start_task(&start).await.expect("it is taken");
    assert_eq!(task.id, id);
    eventually("it runs", || async {
        device.task(id).await.ok().filter(|task| task.state == TaskState::Running && task.output_bytes == 6)
    })
    .await;
    // Asked for once more, as by somebody who did not hear the answer.
    assert_eq!(device.start_task(&start).await.expect("the same").id, id);
    assert_eq!(device.tasks().await.expect("a list").len(), 1);
    std::fs::write(&gate, "").expect("written");
    eventually("it ended", || async {
        device.task(id).await.ok().filter(|task| task.state == TaskState::Succeeded)
    })
    .await;

    scene.server.start_again().await;
    // Whoever could not know asks the server for the same.
    let again = eventually("the server is back", || async {
        scene.foreman.start_task_once(scene.agent.device, &start).await.ok()
    })
    .await;
    assert_eq!(again.id, id);
    let told = eventually("the server has it", || async {
        let task = scene.foreman.task(id).await.ok()?;
        (task.state == TaskState::Succeeded && task.output_total == Some(task.output_bytes)).then_some(task)
    })
    .await;
    assert_eq!((told.exit_code, told.output_bytes), (Some(0), 11));
    let output = scene.foreman.output(id, 0, None).await.expect("there").bytes;
    assert_eq!(&output[..], b"begun\nover\n");
    let all: Vec<_> = scene.foreman.tasks(&Default::default()).try_collect().await.expect("a list");
    assert_eq!(all.iter().map(|task| task.id).collect::<Vec<_>>(), [id]);
    assert_eq!(std::fs::read_to_string(&runs).expect("it ran"), "ran\n");
    let log: Vec<_> = scene.foreman.audit(&Default::default()).try_collect().await.expect("the log");
    let queued = log.iter().filter(|record| matches!(record.event, Event::TaskQueued { .. })).count();
    assert_eq!(queued, 1, "however many told of it");
    eventually("the device has let it go", || async { device.tasks().await.ok().filter(Vec::is_empty) })
        .await;
    assert!(scene.foreman.verify_audit().await.expect("checkable").intact);
}

async fn a_task_of_the_device_is_told_with_who_asked_for_it(database: Database) {
    let scene = Scene::new(database).await;
    let device = scene.open(only(PathKind::Lan)).await;
    let start = asked("echo heard");
    let id = start.id.expect("just made");
    device.start_task(&start).await.expect("it is taken");
    let told = eventually("the server has it", || async {
        scene.foreman.task(id).await.ok().filter(|task| task.state == TaskState::Succeeded)
    })
    .await;
    assert!(
        matches!(&told.requested_by, Actor::Link { name } if !name.is_empty()),
        "{:?}",
        told.requested_by
    );
    // The same id for another device is nobody's.
    let other = CreateDevice { name: "other".to_owned(), device_type: DeviceType::Inference };
    let other = scene.foreman.create_device(&other).await.expect("made").device.id;
    assert!(scene.foreman.start_task_once(other, &start).await.is_err());
}

async fn a_change_with_a_key_is_made_once(database: Database) {
    let scene = Scene::new(database).await;
    let path = format!("/api/v1/devices/{}", scene.agent.device);
    let rename = async |name: &str, key: &'static str| {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("idempotency-key", key.parse().expect("a header"));
        headers.insert("content-type", "application/json".parse().expect("a header"));
        let body = Some(serde_json::json!({ "name": name }).to_string().into());
        let ask = RawAsk { method: Method::PATCH, path: path.clone(), headers, body };
        scene.foreman.exchange(ask).await.expect("an answer").status
    };
    let name = async || scene.foreman.device(scene.agent.device).await.expect("there").name;
    // What is refused has spent no key.
    assert_eq!(rename("", "0123456789abcdef").await, 422);
    assert_eq!(rename("first", "0123456789abcdef").await, 200);
    assert_eq!(rename("second", "fedcba9876543210").await, 200);
    assert_eq!(rename("first", "0123456789abcdef").await, 200);
    assert_eq!(name().await, "second");
    assert_eq!(rename("third", "short").await, 422);
    assert_eq!(name().await, "second");
}

crate::on_both_databases!(
    a_task_begun_with_the_server_down_is_in_its_list_once_when_it_is_back,
    a_task_of_the_device_is_told_with_who_asked_for_it,
    a_change_with_a_key_is_made_once,
);
