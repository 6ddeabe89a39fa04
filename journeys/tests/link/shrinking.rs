//! What the device's policy takes back ends what is on its way, over every path.

use foreman_client::{
    DeviceConnection, PathKind, Store,
    device::{LogFilter, LogUpdate},
};
use foreman_protocol::ProblemCode;
use futures_util::{StreamExt, stream::BoxStream};
use journeys::{database::Database, soon};

use super::{Scene, only, quick, reached};

/// What is said until the stream is over.
async fn rest(mut log: BoxStream<'static, LogUpdate>) -> Vec<LogUpdate> {
    let mut said = Vec::new();
    while let Some(update) = soon("the end of the log", log.next()).await {
        said.push(update);
    }
    said
}

async fn a_followed_log_ends_when_logs_are_not_allowed_any_more(database: Database) {
    let scene = Scene::new(database).await;
    let path = scene.folder.join("app.log");
    std::fs::write(&path, "first\n").expect("written");
    let source = format!("file:{}", path.display());
    let stranger = Store::at(scene.folder.join("stranger"), scene.folder.join("stranger-data"));
    let through = DeviceConnection::open(&stranger, Some(&scene.foreman), scene.agent.device, quick()).await;
    let devices = [
        (PathKind::Lan, scene.open(only(PathKind::Lan)).await),
        (PathKind::Relay, scene.open(only(PathKind::Relay)).await),
        (PathKind::Server, through.expect("the device is known")),
    ];
    let mut logs = Vec::new();
    for (kind, device) in &devices {
        reached(device, *kind).await;
        let filter = LogFilter { follow: true, lines: Some(10), ..LogFilter::default() };
        let mut log = device.logs(&source, &filter);
        match soon("the first line", log.next()).await {
            Some(LogUpdate::Line(line)) => assert_eq!(line.text, "first", "{kind:?}"),
            other => panic!("{kind:?}: {other:?}"),
        }
        logs.push(log);
    }
    let policy = "ALLOW_BASH=true\nALLOW_FILE_READ=true\nALLOW_LOGS=false\n";
    std::fs::write(scene.agent.state.join("policy.env"), policy).expect("the policy is written");
    for ((kind, _), log) in devices.iter().zip(logs) {
        let said = rest(log).await;
        let [LogUpdate::Ended(Some(why))] = said.as_slice() else { panic!("{kind:?}: {said:?}") };
        assert!(why.contains("ALLOW_LOGS"), "{kind:?}: {why}");
    }
    // Nor does anybody get what is there when they ask again.
    for (kind, device) in &devices {
        let again = rest(device.logs(&source, &LogFilter::default())).await;
        let [LogUpdate::Failed(refused)] = again.as_slice() else { panic!("{kind:?}: {again:?}") };
        assert_eq!(refused.code(), Some(ProblemCode::PolicyForbids), "{kind:?}: {refused}");
    }
}

crate::on_both_databases!(a_followed_log_ends_when_logs_are_not_allowed_any_more);
