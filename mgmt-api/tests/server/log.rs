//! The event log: tampering shows, exports are whole, positions that are not kept are said.

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::running::{Running, host, json};

/// Makes some events, stops the server and runs `sql` on its database; what `verify` then says.
async fn verdict_after(sql: &'static str) -> (Option<i32>, String) {
    let server = Running::fresh();
    let admin = server.token("admin");
    for name in ["a", "b", "c"] {
        json(
            server.post("/api/v1/devices", json!({ "name": name, "type": "inference" })).bearer_auth(&admin),
        )
        .await;
    }
    let data = server.data.clone();
    let _folder = server.stop();
    let options = SqliteConnectOptions::new().filename(data.join("foreman.db"));
    let mut conn = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let verified = host(&data, &["audit", "verify"]);
    (verified.status.code(), String::from_utf8(verified.stdout).unwrap())
}

#[tokio::test]
async fn an_untouched_log_is_intact() {
    let (code, text) = verdict_after("SELECT 1").await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("intact: 4 events"), "{text}");
}

#[tokio::test]
async fn an_edited_a_removed_and_a_cut_off_event_show() {
    for (sql, broken) in [
        ("UPDATE events SET body = replace(body, '\"b\"', '\"x\"') WHERE cursor = 3", 3),
        ("UPDATE events SET source = '192.0.2.9' WHERE cursor = 2", 2),
        ("DELETE FROM events WHERE cursor = 2", 2),
        ("DELETE FROM events WHERE cursor = 4", 4),
    ] {
        let (code, text) = verdict_after(sql).await;
        assert_eq!(code, Some(1), "{sql}: {text}");
        assert!(text.contains(&format!("event {broken} ")), "{sql}: {text}");
    }
}

#[tokio::test]
async fn the_export_has_every_event_once_in_order() {
    let server = Running::fresh();
    let admin = server.token("admin");
    for n in 0..30 {
        json(
            server
                .post("/api/v1/devices", json!({ "name": format!("machine no. {n}."), "type": "inference" }))
                .bearer_auth(&admin),
        )
        .await;
    }
    let text = server
        .get("/api/v1/audit?format=jsonl")
        .bearer_auth(&admin)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let cursors: Vec<i64> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["cursor"].as_i64().unwrap())
        .collect();
    assert_eq!(cursors, (1..=31).collect::<Vec<_>>());

    let filtered =
        json(server.get("/api/v1/audit?type=device&q=NO.%207.&limit=10").bearer_auth(&admin)).await;
    assert_eq!(filtered["items"].as_array().unwrap().len(), 1);
    let literal = json(server.get("/api/v1/audit?q=%25").bearer_auth(&admin)).await;
    assert_eq!(literal["items"].as_array().unwrap().len(), 0, "a percent sign is looked for, not a pattern");
}

/// The first piece of a stream of events that is asked for after `after`.
async fn begins(server: &Running, bearer: &str, after: Option<&str>) -> String {
    let mut asked = server.get("/api/v1/events").bearer_auth(bearer);
    if let Some(after) = after {
        asked = asked.header("last-event-id", after);
    }
    let mut stream = asked.send().await.unwrap();
    String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_position_that_is_not_kept_is_answered_with_reset() {
    let server = Running::fresh();
    let viewer = server.token("viewer");
    for (after, word) in [("0", "ready"), ("1", "ready"), ("999", "reset"), ("-5", "reset"), ("x", "reset")] {
        let first = begins(&server, &viewer, Some(after)).await;
        assert!(first.contains(&format!("\nevent: {word}\n")), "after {after}: {first}");
    }
}

#[tokio::test]
async fn a_stream_begins_with_its_position_so_that_a_reader_who_heard_no_event_resumes_there() {
    let server = Running::fresh();
    let viewer = server.token("viewer");
    for (after, position) in [(None, 1), (Some("0"), 0), (Some("1"), 1), (Some("999"), 1)] {
        let first = begins(&server, &viewer, after).await;
        assert!(first.starts_with(&format!("id: {position}\n")), "after {after:?}: {first}");
    }
}
