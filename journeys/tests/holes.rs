//! Output that a device lost: readers are told of the hole, and the stream still comes to its end.

use foreman_client::{AuditFilter, OutputUpdate};
use foreman_link::http;
use foreman_protocol::{Event, OutputAccepted, OutputGap, Reports, TaskReport, TaskState};
use futures_util::{StreamExt, TryStreamExt};
use journeys::{
    database::Database,
    device::BareDevice,
    numbered,
    stack::{Folder, Server, Setting, new_device},
};
use reqwest::Method;

async fn a_hole_is_told_and_the_end_is_reached(database: Database) {
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (foreman, _) = server.client("owner").await;
    let client = http::client().expect("a client");
    let device = BareDevice::join(&client, &server.url, &new_device(&foreman, "forgetful").await.token).await;
    let task = foreman.start_task(device.id, &numbered::shell("echo")).await.expect("taken").id;

    let send = |query: &str, body: &'static str| {
        let request = device.request(Method::PUT, &format!("tasks/{task}/output?{query}"));
        http::json::<OutputAccepted>(request.body(body))
    };
    assert_eq!(send("offset=0", "head").await.expect("taken").acknowledged, 4);
    let refused = send("offset=10", "tail").await.expect_err("a hole that nobody declared");
    assert_eq!(refused.status(), Some(409));
    assert_eq!(send("offset=10&gap=1", "tail").await.expect("taken").acknowledged, 14);
    assert_eq!(send("offset=20&gap=1", "").await.expect("taken").acknowledged, 20);
    let ended = TaskReport {
        task_id: task,
        state: TaskState::Succeeded,
        ago_ms: 0,
        exit_code: Some(0),
        signal: None,
        reason: None,
        output_total: Some(20),
    };
    let reports = Reports { acknowledged: vec![], tasks: vec![ended], ..Default::default() };
    http::send(device.request(Method::POST, "reports").json(&reports)).await.expect("taken");

    let mut bytes = Vec::new();
    let mut gaps = Vec::new();
    let mut live = foreman.live_output(task, 0);
    loop {
        match live.next().await.expect("it ends with its end") {
            OutputUpdate::Bytes { data, .. } => bytes.extend_from_slice(&data),
            OutputUpdate::Gap(gap) => gaps.push(gap),
            OutputUpdate::Ended(task) => break assert_eq!(task.output_bytes, 20),
            OutputUpdate::Lost { error, .. } => panic!("nothing was cut: {error}"),
        }
    }
    assert_eq!(bytes, b"headtail");
    assert_eq!(gaps, [OutputGap { from: 4, to: 10 }, OutputGap { from: 14, to: 20 }]);

    let piece = foreman.output(task, 5, None).await.expect("there is more behind the hole");
    assert_eq!((piece.start, piece.next, &piece.bytes[..]), (10, 14, &b"tail"[..]));
    let whole: Vec<u8> = foreman
        .download_output(task)
        .await
        .expect("a download")
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
        .expect("whole");
    assert_eq!(whole, b"headtail");

    // An agent that was killed between the two reports the end alone; the log has the start as well, before it.
    let log: Vec<_> = foreman.audit(&AuditFilter::default()).try_collect().await.expect("the log");
    let mut turns: Vec<_> = log
        .iter()
        .filter_map(|record| match &record.event {
            Event::TaskStarted { task: about } | Event::TaskCompleted { task: about } if about.id == task => {
                Some((record.cursor, record.event.name(), about.state))
            }
            _ => None,
        })
        .collect();
    turns.sort_by_key(|(cursor, ..)| *cursor);
    let turns: Vec<_> = turns.into_iter().map(|(_, name, state)| (name, state)).collect();
    assert_eq!(
        turns,
        [("device.task.started", TaskState::Running), ("device.task.completed", TaskState::Succeeded)]
    );
}

crate::on_both_databases!(a_hole_is_told_and_the_end_is_reached);
