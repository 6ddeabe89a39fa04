//! Clocks that are wrong, and clocks that jump.

use std::time::{SystemTime, UNIX_EPOCH};

use foreman_client::{AuditFilter, LiveUpdate};
use foreman_protocol::{DeviceStatus, TaskState};
use futures_util::TryStreamExt;
use journeys::{
    clock::Clock,
    database::Database,
    numbered, soon,
    stack::{Agent, Folder, Server, Setting},
};

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later than 1970");
    i64::try_from(now.as_millis()).expect("not that late")
}

/// A board without a battery starts in 1970 and learns the time much later.
async fn a_device_with_a_wrong_clock_works(database: Database) {
    let folder = Folder::new();
    let clock = Clock::new(&folder, "agents-clock");
    let Some(environment) = clock.environment() else { return };
    clock.set("-20000d");
    let server =
        Server::start(folder.join("server"), Setting::on(database).env("FOREMAN_HEARTBEAT_S", 1)).await;
    let (foreman, _) = server.client("owner").await;
    let mut agent = Agent::join(&foreman, &server.url, folder.join("agent"), &environment).await;
    for offset in ["+0d", "+400d", "-20000d"] {
        let spec = numbered::counting(100, &folder.join("marks"));
        let task = foreman.start_task(agent.device, &spec).await.expect("taken").id;
        clock.set(offset);
        let (heard, task) = numbered::follow(&foreman, task).await;
        assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
        assert_eq!(String::from_utf8_lossy(&heard.bytes), numbered::lines(100));
        // Times are the server's, whatever the device believes.
        for time in [task.started_at, task.ended_at] {
            let away = (now() - time.expect("it ran and ended")).abs();
            assert!(away < 60_000, "{away} ms away at {offset}: {task:?}");
        }
    }
    assert!(agent.program.runs());
    let device = foreman.device(agent.device).await.expect("it is there");
    assert_eq!(device.status, DeviceStatus::Online);
}

/// The server's clock jumps a day ahead and back: nobody is called offline who is not, and time-outs do not fire.
async fn the_servers_clock_may_jump(database: Database) {
    let folder = Folder::new();
    let clock = Clock::new(&folder, "servers-clock");
    let mut setting = Setting::on(database).env("FOREMAN_HEARTBEAT_S", 1).env("FOREMAN_OFFLINE_AFTER_S", 60);
    let Some(environment) = clock.environment() else { return };
    for (name, value) in environment {
        setting = setting.env(name, value);
    }
    let mut server = Server::start(folder.join("server"), setting).await;
    let (foreman, _) = server.client("owner").await;
    let agent = Agent::join(&foreman, &server.url, folder.join("agent"), &[]).await;
    let mut spec = numbered::counting(600, &folder.join("marks"));
    spec.timeout_s = Some(600);
    let task = foreman.start_task(agent.device, &spec).await.expect("taken").id;
    let follower = foreman.clone();
    let followed = tokio::spawn(async move { numbered::follow(&follower, task).await });
    let mut events = foreman.events(None);
    for offset in ["+1d", "-1d", "+0d"] {
        clock.set(offset);
        // Heartbeats by the new clock: the first may have been under way.
        let wait = async {
            let mut heartbeats = 0;
            while heartbeats < 3 {
                heartbeats += usize::from(matches!(events.next().await, LiveUpdate::Sample(_)));
            }
        };
        soon("heartbeats after the jump", wait).await;
    }
    let (heard, task) = followed.await.expect("following does not fail");
    assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
    assert_eq!(String::from_utf8_lossy(&heard.bytes), numbered::lines(600));
    let device = foreman.device(agent.device).await.expect("it is there");
    assert_eq!(device.status, DeviceStatus::Online, "in the end it is known to be there");
    let away = (now() - device.last_seen_at.expect("it was heard")).abs();
    assert!(away < 60_000, "last seen {away} ms away: {device:?}");
    let turned: Vec<_> = foreman
        .audit(&AuditFilter { event_type: Some("device.offline".to_owned()), ..Default::default() })
        .try_collect()
        .await
        .expect("the log");
    assert!(turned.is_empty(), "nobody was away: {turned:?}");
    assert!(foreman.verify_audit().await.expect("checkable").intact);
    assert!(server.program.runs());
}

super::on_both_databases!(a_device_with_a_wrong_clock_works, the_servers_clock_may_jump);
