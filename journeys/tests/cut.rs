//! The network between agent and server is gone for longer than the offline limit.

use foreman_client::{Events, LiveUpdate};
use foreman_protocol::{DeviceId, Event, TaskState};
use journeys::{
    database::Database,
    numbered, soon,
    stack::{Agent, Folder, Server, Setting},
    wire::Wire,
};

/// The next change of a device's status.
async fn next_status(events: &mut Events, device: DeviceId) -> &'static str {
    let wait = async {
        loop {
            let LiveUpdate::Event(record) = events.next().await else { continue };
            if matches!(record.event, Event::DeviceOnline { .. } | Event::DeviceOffline { .. })
                && record.event.device_id() == Some(device)
            {
                return record.event.name();
            }
        }
    };
    soon("a change of the device's status", wait).await
}

async fn survives(database: Database, interrupt: fn(&Wire)) {
    let folder = Folder::new();
    let setting = Setting::on(database).env("FOREMAN_HEARTBEAT_S", 1).env("FOREMAN_OFFLINE_AFTER_S", 5);
    let server = Server::start(folder.join("server"), setting).await;
    let (foreman, _) = server.client("owner").await;
    let wire = Wire::to(&server.url).await;
    let mut events = foreman.events(Some(0));
    let mut agent = Agent::join(&foreman, &wire.url(), folder.join("agent"), &[]).await;
    // It prints for longer than the network is away.
    const LINES: u32 = 1_200;
    let spec = numbered::counting(LINES, &folder.join("marks"));
    let task = foreman.start_task(agent.device, &spec).await.expect("a task is taken").id;
    let follower = foreman.clone();
    let followed = tokio::spawn(async move { numbered::follow(&follower, task).await });
    for _ in 0..2 {
        interrupt(&wire);
        assert_eq!(next_status(&mut events, agent.device).await, "device.offline");
        // Work given now waits for the device.
        let waiting =
            foreman.start_task(agent.device, &numbered::shell("echo back")).await.expect("taken").id;
        assert_eq!(foreman.task(waiting).await.expect("it is there").state, TaskState::Queued);
        wire.mend();
        assert_eq!(next_status(&mut events, agent.device).await, "device.online");
        let (heard, task) = numbered::follow(&foreman, waiting).await;
        assert_eq!((heard.bytes.as_slice(), task.state), (&b"back\n"[..], TaskState::Succeeded));
    }
    let (heard, task) = followed.await.expect("following does not fail");
    assert_eq!(task.state, TaskState::Succeeded);
    assert_eq!(String::from_utf8_lossy(&heard.bytes), numbered::lines(LINES));
    assert!(agent.program.runs());
}

async fn a_cut_is_told_in_order_and_output_catches_up(database: Database) {
    survives(database, Wire::cut).await;
}

async fn a_network_that_swallows_everything_is_noticed(database: Database) {
    survives(database, Wire::mute).await;
}

super::on_both_databases!(
    a_cut_is_told_in_order_and_output_catches_up,
    a_network_that_swallows_everything_is_noticed,
);
