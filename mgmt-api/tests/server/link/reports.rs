//! What devices tell of their links becomes events, once.

use foreman_protocol::{LinkReport, LinkReportId, LinkUse, RefusedBecause, Reports, TerminalId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{device::TestDevice, on_both};
use crate::running::json;

#[tokio::test]
async fn who_was_turned_away_on_the_relay_is_called_by_name() {
    on_both(&[], async |server| {
        let admin = server.token("admin");
        let device = TestDevice::join(server, &admin).await;
        let tokens = json(server.get("/api/v1/tokens").bearer_auth(&admin)).await;
        let known = tokens["items"][0]["id"].as_str().unwrap().to_owned();
        let links: Vec<LinkReport> = [format!("relay, token {known}"), format!("relay, user {known}")]
            .into_iter()
            .map(|from| LinkUse::Refused { from, reason: RefusedBecause::Forged, count: 1 })
            .map(|what| LinkReport { id: LinkReportId::fresh(), at: 7, what })
            .collect();
        let reports = Reports { links, ..Reports::default() };
        let told = device.request(Method::POST, "reports").json(&reports).send().await.unwrap();
        assert_eq!(told.status(), StatusCode::NO_CONTENT);
        let audit = json(server.get("/api/v1/audit?limit=50").bearer_auth(&admin)).await;
        let refused = audit["items"].as_array().unwrap().iter();
        let refused = refused.filter(|event| event["type"] == "device.link.refused");
        let mut from: Vec<String> =
            refused.map(|event| event["data"]["from"].as_str().unwrap().to_owned()).collect();
        from.sort();
        assert_eq!(from, ["relay, admin".to_owned(), format!("relay, user {known}")]);
    })
    .await;
}

#[tokio::test]
async fn each_report_is_one_event_however_often_it_is_told() {
    on_both(&[], async |server| {
        let admin = server.token("admin");
        let device = TestDevice::join(server, &admin).await;
        let terminal_id = TerminalId::fresh();
        let mia = || "Mia's phone".to_owned();
        let uses = [
            LinkUse::Refused { from: "192.0.2.9".into(), reason: RefusedBecause::Expired, count: 3 },
            LinkUse::TerminalOpened { terminal_id, by: mia() },
            LinkUse::FileChanged {
                action: "write".into(),
                path: format!("/\0{}", "x".repeat(9_000)),
                by: mia(),
            },
            LinkUse::TerminalEnded { terminal_id, by: mia() },
        ];
        let links: Vec<LinkReport> =
            uses.into_iter().map(|what| LinkReport { id: LinkReportId::fresh(), at: 7, what }).collect();
        let mut reports = serde_json::to_value(Reports { links, ..Reports::default() }).unwrap();
        // From a newer agent.
        let unknown = json!({ "id": LinkReportId::fresh(), "at": 7, "what": "danced", "with": "whom" });
        reports["links"].as_array_mut().unwrap().push(unknown);
        for _ in 0..2 {
            let told = device.request(Method::POST, "reports").json(&reports).send().await.unwrap();
            assert_eq!(told.status(), StatusCode::NO_CONTENT);
        }
        let audit = json(server.get("/api/v1/audit?limit=50").bearer_auth(&admin)).await;
        let events: Vec<&Value> = audit["items"].as_array().unwrap().iter().collect();
        let of = |kind: &str| {
            let found: Vec<&&Value> = events.iter().filter(|event| event["type"] == kind).collect();
            assert_eq!(found.len(), 1, "{kind}");
            found[0]["data"].clone()
        };
        let refused = of("device.link.refused");
        assert_eq!(
            (&refused["from"], &refused["reason"], &refused["count"]),
            (&json!("192.0.2.9"), &json!("expired"), &json!(3))
        );
        assert_eq!(of("device.terminal.opened")["terminal_id"], json!(terminal_id));
        assert_eq!(of("device.terminal.ended")["by"], "Mia's phone");
        assert_eq!(of("device.file.changed")["path"].as_str().unwrap().len(), 4_096);
        assert_eq!(events[0]["actor"]["kind"], "device");

        let many: Vec<Value> =
            (0..1_001).map(|_| json!({ "id": LinkReportId::fresh(), "at": 1, "what": "x" })).collect();
        let told =
            device.request(Method::POST, "reports").json(&json!({ "links": many })).send().await.unwrap();
        assert_eq!(told.status(), StatusCode::UNPROCESSABLE_ENTITY);
    })
    .await;
}
