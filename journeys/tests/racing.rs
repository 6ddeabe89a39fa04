//! Fifty agents with one connection token.

use std::net::IpAddr;

use foreman_link::http;
use foreman_protocol::{Connected, DeviceStatus, ProblemCode};
use futures_util::future::join_all;
use journeys::{
    database::Database,
    device::{connect_request, fresh_key},
    stack::{Folder, Server, Setting, new_device},
};

async fn one_wins_and_the_others_are_told_the_same(database: Database) {
    let folder = Folder::new();
    let server = Server::start(folder.join("server"), Setting::on(database)).await;
    let (foreman, _) = server.client("admin").await;
    let made = new_device(&foreman, "contested").await;
    let client = http::client().expect("a client");
    let address = format!("{}/api/v1/devices/connect", server.url);
    // Each from an address of its own: who shows ten bad tokens from one has to wait.
    let answers = join_all((0..50).map(|nth| {
        let from = IpAddr::from([127, 0, 1, nth]);
        let client = reqwest::Client::builder().no_proxy().local_address(from).build().expect("a client");
        let request = client.post(&address).json(&connect_request(&made.token, &fresh_key()));
        http::json::<Connected>(request)
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 49));
    let mut told: Vec<_> = lost
        .into_iter()
        .map(|answer| {
            let error = answer.expect_err("partitioned");
            assert_eq!(error.code(), Some(ProblemCode::ConnectionTokenInvalid), "{error}");
            format!("{error:?}")
        })
        .collect();
    told.dedup();
    assert_eq!(told.len(), 1, "all losers get the same answer: {told:?}");
    let device = foreman.device(made.device.id).await.expect("it is there");
    assert_ne!(device.status, DeviceStatus::Pending);
    let connected: Vec<_> = server_events(&foreman, "device.connected").await;
    assert_eq!(connected.len(), 1, "{connected:?}");

    // A renewed token makes the one before void, also while that one is still unspent.
    let first = new_device(&foreman, "renewed").await;
    let second = foreman.renew_connection_token(first.device.id).await.expect("a pending device");
    let spend = |token: &str| {
        http::json::<Connected>(client.post(&address).json(&connect_request(token, &fresh_key())))
    };
    let old = spend(&first.token).await.expect_err("void");
    assert_eq!(old.code(), Some(ProblemCode::ConnectionTokenInvalid));
    spend(&second.token).await.expect("the new one is good");
}

async fn server_events(foreman: &foreman_client::Foreman, kind: &str) -> Vec<foreman_protocol::EventRecord> {
    use futures_util::TryStreamExt;
    let filter = foreman_client::AuditFilter { event_type: Some(kind.to_owned()), ..Default::default() };
    foreman.audit(&filter).try_collect().await.expect("the log can be read")
}

super::on_both_databases!(one_wins_and_the_others_are_told_the_same);
