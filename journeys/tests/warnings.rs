//! GPU memory: a warning is raised once, taken back with room to spare, and is an event each time.

use foreman_client::AuditFilter;
use foreman_link::http;
use foreman_protocol::{GpuSample, HeartbeatAnswer, Sample};
use futures_util::TryStreamExt;
use journeys::{
    database::Database,
    device::BareDevice,
    stack::{Folder, Server, Setting, new_device},
};
use reqwest::Method;

fn sample(percent: u64) -> Sample {
    let free = GpuSample { index: 0, memory_used: Some(1), memory_total: Some(100), ..GpuSample::default() };
    let full = GpuSample { index: 1, memory_used: Some(percent), ..free.clone() };
    Sample { gpus: vec![free, full], ..Sample::default() }
}

async fn a_full_gpu_warns_once(database: Database) {
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (foreman, _) = server.client("owner").await;
    let client = http::client().expect("a client");
    let device = BareDevice::join(&client, &server.url, &new_device(&foreman, "gpu").await.token).await;

    for (percent, high) in
        [(50, false), (91, true), (99, true), (86, true), (84, false), (89, false), (90, true)]
    {
        let request = device.request(Method::POST, "heartbeat").json(&sample(percent));
        http::json::<HeartbeatAnswer>(request).await.expect("taken");
        let now = foreman.device(device.id).await.expect("it is there");
        assert_eq!(now.gpu_memory_high, high, "at {percent} %");
    }
    let filter = AuditFilter { event_type: Some("device.gpu_memory".to_owned()), ..AuditFilter::default() };
    let mut events: Vec<_> = foreman.audit(&filter).try_collect().await.expect("readable");
    events.reverse();
    let names: Vec<_> = events.iter().map(|record| record.event.name()).collect();
    assert_eq!(names, ["device.gpu_memory.high", "device.gpu_memory.normal", "device.gpu_memory.high"]);
}

crate::on_both_databases!(a_full_gpu_warns_once);
