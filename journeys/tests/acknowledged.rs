//! What the server has acknowledged survives `kill -9` of it, whoever it told: a device about output, a user about
//! devices.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use foreman_client::{AuditFilter, Error, Foreman};
use foreman_link::http;
use foreman_protocol::{CreateDevice, DeviceId, DeviceType, Event, OutputAccepted, TaskId};
use futures_util::TryStreamExt;
use journeys::{
    database::Database,
    device::BareDevice,
    eventually, long, numbered,
    stack::{Folder, Server, Setting, new_device},
};
use rand::RngExt;
use reqwest::Method;

/// The byte at each place of the output, so that any part of it can be checked.
fn byte_at(place: u64) -> u8 {
    // Lossless: below 251.
    (place % 251) as u8
}

fn bytes_of(range: std::ops::Range<u64>) -> Vec<u8> {
    range.map(byte_at).collect()
}

/// Sends output in pieces of any size, some of it again, until told to stop; `acknowledged` is the server's word.
async fn send_output(
    mut device: BareDevice,
    task: TaskId,
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(SeqCst) {
        let known = acknowledged.load(SeqCst);
        let (from, size) = {
            let mut random = rand::rng();
            let back = if random.random_ratio(1, 3) { random.random_range(0..5000) } else { 0 };
            (known.saturating_sub(back), random.random_range(1..20_000))
        };
        let request = device.request(Method::PUT, &format!("tasks/{task}/output?offset={from}"));
        match http::json::<OutputAccepted>(request.body(bytes_of(from..from + size))).await {
            Ok(OutputAccepted { acknowledged: now }) => {
                assert!(now >= known, "acknowledged {known}, then only {now}");
                acknowledged.store(now, SeqCst);
            }
            Err(error) if error.status() == Some(401) => drop(device.try_renew().await),
            Err(error) => expect_absence(&error),
        }
    }
}

fn expect_absence(error: &Error) {
    let lost = matches!(error, Error::Unreachable { .. }) || error.is_transient();
    assert!(lost, "a server that is there says: {error:?}");
}

async fn make_devices(foreman: Foreman, made: Arc<Mutex<Vec<DeviceId>>>, stop: Arc<AtomicBool>) {
    let device = CreateDevice { name: "one of many".to_owned(), device_type: DeviceType::Inference };
    while !stop.load(SeqCst) {
        match foreman.create_device(&device).await {
            Ok(token) => made.lock().expect("nobody panics").push(token.device.id),
            Err(error) => expect_absence(&error),
        }
        tokio::task::yield_now().await;
    }
}

async fn check_output(foreman: &Foreman, task: TaskId, acknowledged: u64) {
    let state = foreman.task(task).await.expect("it is there");
    assert!(state.output_bytes >= acknowledged, "acknowledged {acknowledged}: {state:?}");
    let kept = numbered::read(foreman, task).await;
    assert!(kept.len() as u64 >= acknowledged);
    let wrong = kept.iter().zip(0..).find(|(byte, place)| **byte != byte_at(*place));
    assert_eq!(wrong, None, "the byte at this place is not the one that was sent");
}

async fn survives_kills_of_the_server(database: Database) {
    let folder = Folder::new();
    let mut server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (foreman, _) = server.client("owner").await;
    let client = http::client().expect("a client");
    let device = BareDevice::join(&client, &server.url, &new_device(&foreman, "bare").await.token).await;
    let task = foreman.start_task(device.id, &numbered::shell("true")).await.expect("taken").id;
    let (acknowledged, made) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
    let stop = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn(send_output(device, task, acknowledged.clone(), stop.clone()));
    let makers: Vec<_> =
        (0..2).map(|_| tokio::spawn(make_devices(foreman.clone(), made.clone(), stop.clone()))).collect();
    for _ in 0..if long() { 60 } else { 5 } {
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(50..800))).await;
        server.program.kill().await;
        let before = acknowledged.load(SeqCst);
        server.start_again().await;
        check_output(&foreman, task, before).await;
    }
    // However little a slow machine got done between the kills.
    eventually("output flows and devices are made", || async {
        let made = made.lock().expect("nobody panics").len();
        (acknowledged.load(SeqCst) > 100_000 && made > 10).then_some(())
    })
    .await;
    stop.store(true, SeqCst);
    sender.await.expect("the device was never told less than before");
    for maker in makers {
        maker.await.expect("the server never failed in another way");
    }
    check_output(&foreman, task, acknowledged.load(SeqCst)).await;

    // Who was told that a device is made finds it, with exactly one event about it.
    let devices: Vec<_> =
        foreman.devices(&Default::default()).map_ok(|device| device.id).try_collect().await.expect("a list");
    let filter = AuditFilter { event_type: Some("device.created".to_owned()), ..Default::default() };
    let created: Vec<_> = foreman.audit(&filter).try_collect().await.expect("the log");
    let made = made.lock().expect("nobody panics").clone();
    for id in made {
        assert!(devices.contains(&id), "{id} was acknowledged and is gone");
        let about = created
            .iter()
            .filter(|record| matches!(&record.event, Event::DeviceCreated { device } if device.id == id));
        assert_eq!(about.count(), 1);
    }
    assert_eq!(created.len(), devices.len(), "rows and events are written together");
    assert!(foreman.verify_audit().await.expect("checkable").intact);
}

super::on_both_databases!(survives_kills_of_the_server);
