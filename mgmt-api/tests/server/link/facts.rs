//! What a device says of its link is believed only as far as it is signed.

use foreman_link::grant::{Issuer, LinkSecret, sign_link_key};
use foreman_protocol::Level;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{device::TestDevice, on_both};
use crate::running::{Running, json};

async fn seen(server: &Running, device: &TestDevice, bearer: &str) -> Value {
    json(server.get(&format!("/api/v1/devices/{}", device.id)).bearer_auth(bearer)).await
}

async fn head(server: &Running, bearer: &str) -> i64 {
    let audit = json(server.get("/api/v1/audit?limit=1").bearer_auth(bearer)).await;
    audit["items"][0]["cursor"].as_i64().unwrap()
}

#[tokio::test]
async fn a_signed_link_is_shown_and_a_change_is_an_event() {
    on_both(&[], async |server| {
        let admin = server.token("admin");
        let device = TestDevice::join(server, &admin).await;
        assert_eq!(seen(server, &device, &admin).await["link"], Value::Null);
        let link = device.link(1, Some(Level::Operate));
        assert_eq!(device.tell(Some(link.clone())).await.status(), StatusCode::NO_CONTENT);
        let shown = seen(server, &device, &admin).await;
        assert_eq!(shown["link"], serde_json::to_value(&link.link).unwrap());
        assert_eq!(shown["link"].get("server_grant"), None, "the grant is the server's own");

        let before = head(server, &admin).await;
        device.tell(Some(link)).await;
        assert_eq!(head(server, &admin).await, before, "the same again is no event");
        device.tell(Some(device.link(2, Some(Level::Operate)))).await;
        assert_eq!(head(server, &admin).await, before + 1);
        assert_eq!(seen(server, &device, &admin).await["link"]["key"]["serial"], 2);
        // No grant: what it says it lets the server do is not believed.
        let mut none = device.link(3, None);
        none.link.server_level = Some(Level::Admin);
        device.tell(Some(none)).await;
        assert_eq!(seen(server, &device, &admin).await["link"]["server_level"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn what_the_device_did_not_sign_is_refused_and_nothing_changes() {
    on_both(&[], async |server| {
        let admin = server.token("admin");
        let device = TestDevice::join(server, &admin).await;
        let good = device.link(5, Some(Level::View));
        device.tell(Some(good.clone())).await;
        let before = seen(server, &device, &admin).await;

        let stranger = Issuer::generate();
        let mut cases = vec![good.clone(); 7];
        cases[0].link.key = sign_link_key(LinkSecret::generate().public(), 6, &stranger);
        cases[1].link.identity = stranger.public();
        cases[2].link.key = sign_link_key(device.secret.public(), 4, &device.identity);
        cases[3].link.key = sign_link_key(LinkSecret::generate().public(), 5, &device.identity);
        cases[4].link.addresses = vec!["192.0.2.1:1\nx".to_owned()];
        cases[5].link.addresses = vec!["192.0.2.1:1".to_owned(); 33];
        cases[6].server_grant = Some(device.grant(&stranger, &device.server_key, Level::Admin).1);
        for (number, facts) in cases.into_iter().enumerate() {
            let answer = device.tell(Some(facts)).await;
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "case {number}");
            let said: Value = answer.json().await.unwrap();
            assert_eq!(said["code"], "invalid_request", "case {number}");
        }
        assert_eq!(seen(server, &device, &admin).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_grant_for_another_server_key_does_not_count_and_the_rest_does() {
    let server = Running::fresh();
    let admin = server.token("admin");
    let device = TestDevice::join(&server, &admin).await;
    let mut link = device.link(1, Some(Level::Operate));
    link.server_grant =
        Some(device.grant(&device.identity, &LinkSecret::generate().public(), Level::Operate).1);
    assert_eq!(device.tell(Some(link)).await.status(), StatusCode::NO_CONTENT);
    let shown = seen(&server, &device, &admin).await;
    assert_eq!((&shown["link"]["key"]["serial"], &shown["link"]["server_level"]), (&json!(1), &Value::Null));
}

#[tokio::test]
async fn with_another_identity_nothing_of_before_counts() {
    on_both(&[], async |server| {
        let admin = server.token("admin");
        let device = TestDevice::join(server, &admin).await;
        device.tell(Some(device.link(9, Some(Level::Admin)))).await;
        let owner = Issuer::generate();
        let (_, grant) = device.grant(&owner, &LinkSecret::generate().public(), Level::Admin);
        let add = server.post(&device.path("grants"), json!({ "grant": grant })).bearer_auth(&admin);
        assert_eq!(add.send().await.unwrap().status(), StatusCode::CREATED);

        let left = device.request(Method::POST, "disconnect").send().await.unwrap();
        assert_eq!(left.status(), StatusCode::NO_CONTENT);
        assert_eq!(seen(server, &device, &admin).await["link"], Value::Null);
        let token = json(server.post(&device.path("token"), json!({})).bearer_auth(&admin)).await;
        let back = TestDevice::connect(server, token["token"].as_str().unwrap()).await;
        assert_eq!(back.server_key, device.server_key, "the server keeps its own key");
        // Serials begin again, and the old grants are gone.
        assert_eq!(back.tell(Some(back.link(1, None))).await.status(), StatusCode::NO_CONTENT);
        let grants = json(server.get(&back.path("grants")).bearer_auth(&admin)).await;
        assert_eq!(grants["items"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn the_servers_key_outlives_it() {
    let first = Running::fresh();
    let admin = first.token("admin");
    let key = TestDevice::join(&first, &admin).await.server_key;
    let data = first.data.clone();
    let kept = first.stop();
    let second = Running::over(data, &[]);
    let device = TestDevice::join(&second, &admin).await;
    assert_eq!(device.server_key, key);
    drop(kept);
}
