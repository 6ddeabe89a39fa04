//! Grants and revocations: carried as they were signed, and checked as far as the server can.

use foreman_link::grant::{Issuer, LinkSecret, sign_grant, sign_revocation};
use foreman_protocol::{Level, LinkReport, LinkReportId, LinkUse, Reports, Revocation, Revoked};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{device::TestDevice, on_both};
use crate::running::{Running, json, problem};

fn add(server: &Running, device: &TestDevice, bearer: &str, grant: &str) -> reqwest::RequestBuilder {
    server.post(&device.path("grants"), json!({ "grant": grant })).bearer_auth(bearer)
}

fn revoke(server: &Running, device: &TestDevice, bearer: &str, text: &str) -> reqwest::RequestBuilder {
    server.post(&device.path("revocations"), json!({ "revocation": text })).bearer_auth(bearer)
}

/// The device says that it holds.
async fn taken_back(device: &TestDevice, revoked: Revoked) {
    let what = LinkUse::TakenBack { revoked, by: "server".to_owned() };
    let links = vec![LinkReport { id: LinkReportId::fresh(), at: 7, what }];
    let reports = Reports { links, ..Reports::default() };
    let told = device.request(Method::POST, "reports").json(&reports).send().await.unwrap();
    assert_eq!(told.status(), StatusCode::NO_CONTENT);
}

async fn last_event(server: &Running, bearer: &str) -> Value {
    let audit = json(server.get("/api/v1/audit?limit=1").bearer_auth(bearer)).await;
    audit["items"][0].clone()
}

#[tokio::test]
async fn grants_are_kept_paged_announced_and_taken_back() {
    on_both(&[], async |server| {
        let admin = server.token("admin");
        let device = TestDevice::join(server, &admin).await;
        let owner = Issuer::generate();
        let phone = LinkSecret::generate().public();
        let mut signed = Vec::new();
        for client in [phone.clone(), phone.clone(), LinkSecret::generate().public()] {
            let (grant, text) = device.grant(&owner, &client, Level::Operate);
            let added = add(server, &device, &admin, &text).send().await.unwrap();
            assert_eq!(added.status(), StatusCode::CREATED);
            let event = last_event(server, &admin).await;
            assert_eq!(
                (event["type"].as_str(), &event["data"]["grant"]["id"]),
                (Some("device.grant.added"), &json!(grant.id))
            );
            signed.push((grant, text));
        }
        // Again is no second one.
        let again = add(server, &device, &admin, &signed[2].1).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::CREATED);
        let viewer = server.token("viewer");
        let page = json(server.get(&device.path("grants?limit=2")).bearer_auth(&viewer)).await;
        assert_eq!(page["items"].as_array().unwrap().len(), 2);
        assert_eq!(page["items"][0]["signed"], json!(signed[0].1));
        let next = page["next"].as_str().unwrap();
        let rest =
            json(server.get(&device.path(&format!("grants?cursor={next}"))).bearer_auth(&viewer)).await;
        assert_eq!(rest["items"].as_array().unwrap().len(), 1);

        // Taking back goes to the device and is announced; it is done when the device says so.
        let mut commands = device.listen().await;
        let revokes = |revokes: Revoked| Revocation {
            device: device.identity.public(),
            revokes,
            at: 5,
            issuer: owner.public(),
        };
        let text = sign_revocation(&revokes(Revoked::Grant(signed[2].0.id)), &owner);
        assert_eq!(
            revoke(server, &device, &admin, &text).send().await.unwrap().status(),
            StatusCode::ACCEPTED
        );
        let (name, command) = commands.next().await;
        assert_eq!(
            (name.as_str(), &command["action"], &command["revocation"]),
            ("command", &json!("revoke"), &json!(text))
        );
        let event = last_event(server, &admin).await;
        assert_eq!(
            (event["type"].as_str(), &event["data"]["revoked"]["grant"]),
            (Some("device.grant.revocation_asked"), &json!(signed[2].0.id))
        );
        let marks = async || {
            let page = json(server.get(&device.path("grants")).bearer_auth(&viewer)).await;
            let is = |carried: &Value, what: &str| carried[what].is_i64();
            let items = page["items"].as_array().unwrap().iter();
            items.map(|one| (is(one, "revoke_asked_at"), is(one, "revoked_at"))).collect::<Vec<_>>()
        };
        assert_eq!(marks().await, [(false, false), (false, false), (true, false)]);
        taken_back(&device, Revoked::Grant(signed[2].0.id)).await;
        assert_eq!(marks().await, [(false, false), (false, false), (true, true)]);
        assert_eq!(last_event(server, &admin).await["type"], "device.grant.revoked");
        assert_eq!(problem(add(server, &device, &admin, &signed[2].1)).await.1, "conflict");

        let all = sign_revocation(&revokes(Revoked::Client(phone.clone())), &owner);
        assert_eq!(
            revoke(server, &device, &admin, &all).send().await.unwrap().status(),
            StatusCode::ACCEPTED
        );
        assert_eq!(marks().await, [(true, false), (true, false), (true, true)]);
        taken_back(&device, Revoked::Client(phone)).await;
        assert_eq!(marks().await, [(true, true); 3]);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_signed_right_or_not_for_this_device_is_refused() {
    on_both(&[], async |server| {
        let admin = server.token("admin");
        let device = TestDevice::join(server, &admin).await;
        let other = TestDevice::join(server, &admin).await;
        let owner = Issuer::generate();
        let client = LinkSecret::generate().public();
        let (grant, good) = device.grant(&owner, &client, Level::View);
        let mut forged = grant.clone();
        forged.level = Level::Admin;
        let mut expired = grant.clone();
        expired.expires_at = 2;
        let mut nameless = grant.clone();
        nameless.name = String::new();
        let cases = [
            sign_grant(&forged, &Issuer::generate()),
            sign_grant(&expired, &owner),
            sign_grant(&nameless, &owner),
            other.grant(&owner, &client, Level::View).1,
            device.grant(&owner, "not a key", Level::View).1,
            good.replace('.', ""),
            format!("{}A", good),
            String::new(),
            "A".repeat(10_000),
        ];
        for text in cases {
            assert_eq!(problem(add(server, &device, &admin, &text)).await.1, "invalid_request", "{text}");
        }
        let revocation = |device: &TestDevice| Revocation {
            device: device.identity.public(),
            revokes: Revoked::Grant(grant.id),
            at: 5,
            issuer: owner.public(),
        };
        for text in [
            sign_revocation(&revocation(&device), &Issuer::generate()),
            sign_revocation(&revocation(&other), &owner),
            // A grant is no revocation.
            good.clone(),
        ] {
            assert_eq!(problem(revoke(server, &device, &admin, &text)).await.1, "invalid_request", "{text}");
        }
        for role in ["viewer", "operator"] {
            let bearer = server.token(role);
            assert_eq!(problem(add(server, &device, &bearer, &good)).await.1, "forbidden");
            let text = sign_revocation(&revocation(&device), &owner);
            assert_eq!(problem(revoke(server, &device, &bearer, &text)).await.1, "forbidden");
        }
        let page = json(server.get(&device.path("grants")).bearer_auth(&admin)).await;
        assert_eq!(page["items"], json!([]));
    })
    .await;
}
