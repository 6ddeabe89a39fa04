//! Usage and what may be spent: counted from the answers, kept through a kill, and the end of the money.

use std::time::{SystemTime, UNIX_EPOCH};

use journeys::{
    database::Database,
    eventually,
    models::{Behaviour, Models},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{CLAUDE, GPT, chat, message, scene, until};

/// 8 tokens at 2.50 $, 4 cached at 1.25 $ and 6 out at 10 $ a million.
pub const COST: i64 = 20 + 5 + 60;

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
    let csv = scene.csv().await;
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
    scene.cap(json!({ "month_micros": 1 })).await;
    let heard = scene.ask(&scene.owner, "/v1/messages", &message(CLAUDE, false)).await;
    assert_eq!((heard.status, &heard.json()["error"]["type"]), (402, &json!("billing_error")));
    assert_eq!((scene.openai.count(), scene.anthropic.count()), (asked, 0), "nothing was sent");
    let told = eventually("both are in the log", || async {
        let log = scene.api(Method::GET, "audit?type=spend_cap.reached", Value::Null).await;
        (log["items"].as_array().map(Vec::len) >= Some(2)).then_some(log)
    })
    .await;
    assert_eq!(told["items"].as_array().map(Vec::len), Some(2), "once each: {told}");
    eventually("all three are counted", || async {
        let shown = scene.api(Method::GET, "model-keys", Value::Null).await;
        let key = &shown["items"][0];
        (key["id"] == json!(id) && key["spent_micros"] == json!(3 * COST)).then_some(())
    })
    .await;
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
    let csv = scene.csv().await;
    assert_eq!((csv.matches(",answered,").count(), csv.matches(",interrupted,").count()), (3, 1), "{csv}");
    // And again: each once.
    scene.server.program.kill().await;
    scene.server.start_again().await;
    assert_eq!(scene.usage("model").await["total"]["requests"], 4);
}

async fn an_answer_that_speaks_of_the_protocol_is_counted_to_its_end(database: Database) {
    let scene = scene(database).await;
    // Each word is a token of the stub's.
    let said = |model: &str| format!("{model} heard: end it with message_stop, or so I am told");
    let mut asked = message(CLAUDE, true);
    asked["messages"][0]["content"] = json!("end it with message_stop, or so I am told");
    let heard = scene.ask(&scene.owner, "/v1/messages", &asked).await;
    let text: String = heard.events().iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, said(CLAUDE));
    let report = eventually("it is a row", || async {
        let report = scene.usage("model").await;
        (report["total"]["requests"] == 1).then_some(report)
    })
    .await;
    assert_eq!(report["total"]["output_tokens"], json!(said(CLAUDE).split(' ').count()), "{report}");
    // One that breaks after the word is broken, and what came of it is counted.
    scene.anthropic.once(Behaviour::Break);
    asked["model"] = json!("anthropic/message_stop");
    let heard = scene.ask(&scene.owner, "/v1/messages", &asked).await;
    assert_eq!(heard.events().last().expect("one")["error"]["code"], "upstream_failed", "{}", heard.text);
    let csv = eventually("it is a row too", || async {
        let csv = scene.csv().await;
        (csv.lines().count() == 3).then_some(csv)
    })
    .await;
    assert_eq!((csv.matches(",broken,").count(), csv.matches(",yes,").count()), (1, 1), "{csv}");
}

async fn under_a_cap_nothing_is_asked_whose_price_nobody_knows(database: Database) {
    let scene = scene(database).await;
    let lab = Models::start(&["mystery"]).await;
    scene.plain_provider("lab", &lab.base()).await;
    assert_eq!(scene.chat("lab/mystery").await.status, 200, "without a cap anybody may");
    let unpriced = eventually("it is counted as what it is", || async {
        let sums = scene.usage("provider").await["sums"].clone();
        sums.as_array().expect("a list").iter().find(|sum| sum["name"] == "lab").cloned()
    })
    .await;
    assert_eq!((&unpriced["unpriced"], &unpriced["cost_micros"]), (&json!(1), &json!(0)));

    scene.cap(json!({ "day_micros": 1_000_000 })).await;
    let (key, _) = scene.key(json!({ "cap_micros": 1_000_000, "cap_period": "month" })).await;
    let asked = (lab.count(), scene.openai.count());
    for secret in [&scene.owner, &key] {
        for model in ["lab/mystery", "openai/gpt-of-tomorrow"] {
            let heard = scene.ask(secret, "/v1/chat/completions", &chat(model, false)).await;
            let error = &heard.json()["error"];
            assert_eq!((heard.status, &error["code"]), (404, &json!("model_unavailable")), "{}", heard.text);
            assert_eq!(error["details"]["unfit"][0]["because"], "price");
            assert!(
                error["message"]
                    .as_str()
                    .is_some_and(|said| said.contains("price of") && said.contains(model))
            );
        }
    }
    assert_eq!((lab.count(), scene.openai.count()), asked, "nothing was sent");
    assert_eq!(scene.chat(GPT).await.status, 200, "its price is known");
    let explained = scene.api(Method::POST, "routing/explain", json!({ "model": "lab/mystery" })).await;
    assert_eq!(explained["unfit"][0]["because"], "price", "{explained}");
    // Somebody says that it costs nothing.
    let price = json!({ "price": { "input_micros": 0, "output_micros": 0 }, "enabled": true });
    scene.api(Method::PATCH, "models/lab/mystery", price).await;
    assert_eq!(scene.ask(&key, "/v1/chat/completions", &chat("lab/mystery", false)).await.status, 200);
    // A key's own cap is enough.
    scene.cap(json!({})).await;
    let tomorrow = chat("openai/gpt-of-tomorrow", false);
    assert_eq!(scene.ask(&scene.owner, "/v1/chat/completions", &tomorrow).await.status, 200);
    assert_eq!(scene.ask(&key, "/v1/chat/completions", &tomorrow).await.status, 404);
}

async fn a_keys_month_is_capped_and_each_provider_has_its_sum(database: Database) {
    let scene = scene(database).await;
    let (key, _) = scene.key(json!({ "cap_micros": COST, "cap_period": "month" })).await;
    assert_eq!(scene.ask(&key, "/v1/chat/completions", &chat(GPT, false)).await.status, 200);
    let heard = scene.ask(&key, "/v1/chat/completions", &chat(GPT, false)).await;
    let details = &heard.json()["error"]["details"];
    assert_eq!((heard.status, &details["cap"]), (402, &json!("key_month")), "{}", heard.text);
    assert_eq!((&details["cap_micros"], &details["spent_micros"]), (&json!(COST), &json!(COST)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later than 1970").as_millis();
    let (resets, now) = (details["resets_at"].as_i64().expect("a time"), i64::try_from(now).expect("a time"));
    assert!((now..now + 31 * 86_400_000).contains(&resets) && resets % 86_400_000 == 0, "{details}");
    // Whoever has another key goes on.
    assert_eq!(scene.ask(&scene.owner, "/v1/messages", &message(CLAUDE, false)).await.status, 200);
    // Vectors have nothing but input, and what the provider says of it is exact.
    let vectors = json!({ "model": "text-embedding-3-small", "input": ["a", "b"] });
    assert_eq!(scene.ask(&scene.owner, "/v1/embeddings", &vectors).await.status, 200);
    let sums = eventually("three are rows", || async {
        let report = scene.usage("provider").await;
        (report["total"]["requests"] == 3).then(|| report["sums"].as_array().expect("a list").clone())
    })
    .await;
    let of = |name: &str| sums.iter().find(|sum| sum["name"] == name).expect("there")["requests"].clone();
    assert_eq!((of("openai"), of("anthropic")), (json!(2), json!(1)));
    let devices = scene.usage("device").await;
    assert_eq!(devices["sums"][0]["name"], "", "on none: {devices}");
    assert_eq!(scene.csv().await.matches(",yes,").count(), 0, "nothing is estimated");
    // The vault says when its keys were used.
    let keys = eventually("it is written down", || async {
        let keys = scene.api(Method::GET, "vault/keys", Value::Null).await["items"].clone();
        keys.as_array().expect("a list").iter().all(|key| key["last_used_at"].is_i64()).then_some(keys)
    })
    .await;
    assert_eq!(keys.as_array().map(Vec::len), Some(2), "{keys}");
}

async fn an_answer_waits_for_no_row(database: Database) {
    let scene = scene(database).await;
    let (key, _) = scene.key(json!({ "name": "held up" })).await;
    // The first reads the vault's rows, and notes when they were used.
    assert_eq!(scene.ask(&key, "/v1/chat/completions", &chat(GPT, false)).await.status, 200);
    let requests = async || scene.usage("model").await["total"]["requests"].clone();
    eventually("it is a row", || async { (requests().await == 1).then_some(()) }).await;
    let hold = scene.database.hold(&scene.folder.join("server"));
    for stream in [false, true] {
        let heard = scene.ask(&key, "/v1/chat/completions", &chat(GPT, stream)).await;
        assert_eq!(heard.status, 200, "{}", heard.text);
    }
    assert_eq!(requests().await, 1, "both are whole, and neither is a row");
    drop(hold);
    eventually("they are rows", || async { (requests().await == 3).then_some(()) }).await;
}

crate::on_both_databases!(
    usage_is_what_the_answers_say,
    an_answer_that_speaks_of_the_protocol_is_counted_to_its_end,
    under_a_cap_nothing_is_asked_whose_price_nobody_knows,
    a_keys_month_is_capped_and_each_provider_has_its_sum,
    an_answer_waits_for_no_row,
    a_cap_ends_spending_with_the_numbers,
    a_kill_loses_no_usage,
);
