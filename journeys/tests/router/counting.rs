//! Usage and what may be spent: counted from the answers, kept through a kill, and the end of the money.

use journeys::{database::Database, eventually, models::Behaviour};
use reqwest::Method;
use serde_json::{Value, json};

use super::{CLAUDE, GPT, chat, message, scene, until};

/// 8 tokens at 2.50 $, 4 cached at 1.25 $ and 6 out at 10 $ a million.
const COST: i64 = 20 + 5 + 60;

async fn usage_is_what_the_answers_say(database: Database) {
    let scene = scene(database).await;
    let (key, _) = scene.key(json!({ "name": "ci", "project": "site" })).await;
    for stream in [false, true] {
        assert_eq!(scene.ask(&key, "/v1/chat/completions", &chat(GPT, stream)).await.status, 200);
        assert_eq!(scene.ask(&key, "/v1/messages", &message(CLAUDE, stream)).await.status, 200);
    }
    scene.openai.once(Behaviour::NoUsage);
    assert_eq!(scene.ask(&scene.owner, "/v1/chat/completions", &chat(GPT, true)).await.status, 200);
    let report = eventually("five are rows", || async {
        let report = scene.usage("model").await;
        (report["total"]["requests"] == 5).then_some(report)
    })
    .await;
    let of = |report: &Value, name: &str| {
        let sums = report["sums"].as_array().expect("a list").clone();
        sums.into_iter().find(|sum| sum["name"] == name).unwrap_or_else(|| panic!("{name} in {report}"))
    };
    let claude = of(&report, "anthropic/claude-haiku-4-5");
    assert_eq!((&claude["input_tokens"], &claude["cached_tokens"]), (&json!(24), &json!(8)));
    assert!(claude["latency_ms"].is_number() && claude["first_token_ms"].is_number());
    let by_key = of(&scene.usage("key").await, "ci");
    assert_eq!(by_key["requests"], 4);
    assert_eq!(of(&scene.usage("project").await, "site")["requests"], 4);
    assert!(scene.usage("day").await["sums"][0]["name"].as_str().expect("a day").starts_with("20"));
    let csv = scene.request(Method::GET, "/api/v1/usage.csv", &scene.owner).send().await.expect("an answer");
    let csv = csv.text().await.expect("text");
    assert_eq!((csv.lines().count(), csv.matches(",yes,").count()), (6, 1), "one is estimated: {csv}");
    assert_eq!(report["today_micros"], report["total"]["cost_micros"]);
}

async fn a_cap_ends_spending_with_the_numbers(database: Database) {
    let scene = scene(database).await;
    let (key, id) = scene.key(json!({ "cap_micros": 2 * COST, "cap_period": "day" })).await;
    // The second is on its way when the cap is not yet reached; nothing of it is cut.
    assert_eq!(scene.ask(&key, "/v1/chat/completions", &chat(GPT, false)).await.status, 200);
    scene.openai.once(Behaviour::Hang);
    let answer = scene.stream(&key, "/v1/chat/completions", &chat(GPT, true)).await;
    let mut events = Box::pin(answer.bytes_stream());
    until(&mut events, "good").await;
    assert_eq!(scene.ask(&key, "/v1/chat/completions", &chat(GPT, false)).await.status, 200);
    let heard = scene.ask(&key, "/v1/chat/completions", &chat(GPT, false)).await;
    let error = &heard.json()["error"];
    assert_eq!((heard.status, &error["code"]), (402, &json!("spend_cap_reached")));
    assert_eq!(
        (&error["details"]["cap"], &error["details"]["cap_micros"]),
        (&json!("key_day"), &json!(2 * COST))
    );
    assert_eq!(error["details"]["spent_micros"], json!(2 * COST));
    assert!(error["details"]["resets_at"].is_number());
    scene.openai.release();
    until(&mut events, "[DONE]").await;
    let asked = scene.openai.count();
    // Everybody's cap stops the owner too, in the shape of the client.
    let mut routing = scene.api(Method::GET, "routing", Value::Null).await;
    routing["caps"] = json!({ "month_micros": 1 });
    scene.api(Method::PUT, "routing", routing).await;
    let heard = scene.ask(&scene.owner, "/v1/messages", &message(CLAUDE, false)).await;
    assert_eq!((heard.status, &heard.json()["error"]["type"]), (402, &json!("billing_error")));
    assert_eq!((scene.openai.count(), scene.anthropic.count()), (asked, 0), "nothing was sent");
    let told = eventually("both are in the log", || async {
        let log = scene.api(Method::GET, "audit?type=spend_cap.reached", Value::Null).await;
        (log["items"].as_array().map(Vec::len) >= Some(2)).then_some(log)
    })
    .await;
    assert_eq!(told["items"].as_array().map(Vec::len), Some(2), "once each: {told}");
    let shown = scene.api(Method::GET, "model-keys", Value::Null).await;
    assert_eq!(
        (&shown["items"][0]["id"], &shown["items"][0]["spent_micros"]),
        (&json!(id), &json!(3 * COST))
    );
}

async fn a_kill_loses_no_usage(database: Database) {
    let mut scene = scene(database).await;
    for _ in 0..3 {
        assert_eq!(scene.chat(GPT).await.status, 200);
    }
    scene.openai.behave(Behaviour::Hang);
    let answer = scene.stream(&scene.owner, "/v1/chat/completions", &chat(GPT, true)).await;
    let mut events = Box::pin(answer.bytes_stream());
    until(&mut events, "good").await;
    // At once: what ended is in the journal and may not be a row yet.
    scene.server.program.kill().await;
    scene.openai.cancelled(1).await;
    scene.server.start_again().await;
    let report = scene.usage("model").await;
    assert_eq!(report["total"]["requests"], 4, "there before the first request is: {report}");
    let csv = scene.request(Method::GET, "/api/v1/usage.csv", &scene.owner).send().await.expect("an answer");
    let csv = csv.text().await.expect("text");
    assert_eq!(
        (csv.matches(",answered\r\n").count(), csv.matches(",interrupted\r\n").count()),
        (3, 1),
        "{csv}"
    );
    // And again: each once.
    scene.server.program.kill().await;
    scene.server.start_again().await;
    assert_eq!(scene.usage("model").await["total"]["requests"], 4);
}

crate::on_both_databases!(
    usage_is_what_the_answers_say,
    a_cap_ends_spending_with_the_numbers,
    a_kill_loses_no_usage,
);
