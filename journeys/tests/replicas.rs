//! Two servers on one PostgreSQL are one Foreman.

use foreman_client::{Foreman, LiveUpdate};
use foreman_protocol::{DeviceStatus, TaskState};
use journeys::{
    database::Database,
    eventually, numbered, soon,
    stack::{Agent, Folder, Server, Setting, new_device},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sees_what_the_other_does() {
    let folder = Folder::new();
    let seal = folder.join("seal.key");
    let setting = Setting::on(Database::postgresql()).env("FOREMAN_HEARTBEAT_S", 1);
    let setting = setting.env("FOREMAN_SEAL_KEY_FILE", seal.display());
    let one = Server::start(folder.join("one"), setting.clone()).await;
    let two = Server::start(folder.join("two"), setting).await;
    let (on_one, secret) = one.client("owner").await;
    let on_two = Foreman::new(&two.url, &secret).expect("an address");

    // An event made at one is heard at the other, live.
    let mut heard = on_two.events(None);
    let wait = async { while !matches!(heard.next().await, LiveUpdate::Ready(_)) {} };
    soon("the stream opens", wait).await;
    let made = new_device(&on_one, "shared").await;
    let wait = async {
        loop {
            if let LiveUpdate::Event(record) = heard.next().await {
                return record;
            }
        }
    };
    let record = soon("the other server's event", wait).await;
    assert_eq!(record.event.device_id(), Some(made.device.id));

    // The agent speaks to one; a task given at two reaches it, and its output is followed at two.
    let agent = Agent::join(&on_one, &one.url, folder.join("agent"), &[]).await;
    eventually("the device is online at two", || async {
        let device = on_two.device(agent.device).await.ok()?;
        (device.status == DeviceStatus::Online).then_some(())
    })
    .await;
    let (heard, task) =
        numbered::run(&on_two, agent.device, &numbered::counting(200, &folder.join("marks"))).await;
    assert_eq!(task.state, TaskState::Succeeded);
    assert_eq!(String::from_utf8_lossy(&heard.bytes), numbered::lines(200));

    // A stop given at two is heard by the agent at one.
    let endless = on_two.start_task(agent.device, &numbered::shell("sleep 1000")).await.expect("taken").id;
    eventually("it runs", || async {
        let task = on_two.task(endless).await.ok()?;
        (task.state == TaskState::Running).then_some(())
    })
    .await;
    on_two.stop_task(endless).await.expect("it can be stopped");
    let (_, task) = numbered::follow(&on_one, endless).await;
    assert_eq!(task.state, TaskState::Stopped);
    assert!(on_two.verify_audit().await.expect("it can be checked").intact);
}
