//! A copy taken while the server is at work, put back later.

use foreman_client::Foreman;
use foreman_protocol::UpdateDevice;
use futures_util::TryStreamExt;
use journeys::{
    database::Database,
    stack::{Folder, Server, Setting, new_device},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_whole_and_comes_back() {
    let folder = Folder::new();
    let mut server = Server::start(folder.join("server"), Setting::on(Database::Sqlite)).await;
    let (foreman, secret) = server.client("owner").await;
    let device = new_device(&foreman, "before").await.device.id;
    let load = {
        let foreman = foreman.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let change = UpdateDevice { name: Some(format!("name {number}")), device_type: None };
                if foreman.update_device(device, &change).await.is_err() {
                    return;
                }
            }
        })
    };
    let copy = folder.join("copy.db");
    server.host(&["backup", &copy.display().to_string()]).await;
    let after = new_device(&foreman, "after").await.device.id;
    server.program.stop().await;
    load.await.expect("it ends with the server");

    server.host(&["restore", &copy.display().to_string()]).await;
    server.start_again().await;
    let foreman = Foreman::new(&server.url, &secret).expect("an address");
    let devices: Vec<_> =
        foreman.devices(&Default::default()).map_ok(|device| device.id).try_collect().await.expect("a list");
    assert!(devices.contains(&device), "what was there before the copy is back");
    assert!(!devices.contains(&after), "what came after the copy is not");
    let verified = foreman.verify_audit().await.expect("checkable");
    assert!(verified.intact && verified.checked >= 2, "{verified:?}");
    new_device(&foreman, "life goes on").await;
}
