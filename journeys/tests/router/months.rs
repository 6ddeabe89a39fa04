//! What may be spent in a day and in a month, by a clock that goes on when the test says so.

use std::time::{SystemTime, UNIX_EPOCH};

use journeys::{
    clock::Clock,
    database::Database,
    eventually,
    models::Behaviour,
    stack::{Folder, Setting},
};
use serde_json::{Value, json};

use super::{GPT, Heard, Patience, Scene, chat, counting::COST, scene_on, until};

const DAY: i64 = 86_400;
/// 10 January 2031, noon.
const START: i64 = 1_925_812_800;
/// 1 February 2031.
const FEBRUARY: i64 = START + 21 * DAY + DAY / 2;

/// So many days later.
fn later(clock: &Clock, days: i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later than 1970").as_secs();
    clock.set(&format!("{:+}", START + days * DAY - i64::try_from(now).expect("a time")));
}

/// Which cap ended it, until when, seconds.
fn refused(heard: &Heard, cap: &str, micros: i64, until: i64) {
    let error = &heard.json()["error"];
    assert_eq!((heard.status, &error["code"]), (402, &json!("spend_cap_reached")), "{}", heard.text);
    let numbers =
        json!({ "cap": cap, "cap_micros": micros, "spent_micros": micros, "resets_at": until * 1_000 });
    assert_eq!(error["details"], numbers);
}

async fn answered(scene: &Scene, secret: &str) {
    let heard = scene.ask(secret, "/v1/chat/completions", &chat(GPT, false)).await;
    assert_eq!(heard.status, 200, "{}", heard.text);
}

async fn what_is_capped_is_free_again_with_the_next_day_and_month(database: Database) {
    let folder = Folder::new();
    let clock = Clock::new(&folder, "servers-clock");
    let Some(environment) = clock.environment() else { return };
    later(&clock, 0);
    let setting = environment
        .into_iter()
        .fold(Setting::on(database), |setting, (name, value)| setting.env(name, value));
    let scene = scene_on(setting, Patience::LONG).await;
    scene.cap(json!({ "day_micros": COST, "month_micros": 2 * COST })).await;
    answered(&scene, &scene.owner).await;
    refused(&scene.chat(GPT).await, "day", COST, START + DAY / 2);

    later(&clock, 1);
    scene.openai.once(Behaviour::Hang);
    let begun = scene.stream(&scene.owner, "/v1/chat/completions", &chat(GPT, true)).await;
    let mut events = Box::pin(begun.bytes_stream());
    until(&mut events, "good").await;
    answered(&scene, &scene.owner).await;
    // Tomorrow would be too early.
    refused(&scene.chat(GPT).await, "month", 2 * COST, FEBRUARY);
    later(&clock, 21);
    refused(&scene.chat(GPT).await, "month", 2 * COST, FEBRUARY);
    let asked = scene.openai.count();

    later(&clock, 22);
    answered(&scene, &scene.owner).await;
    assert_eq!(scene.openai.count(), asked + 1);
    // What had begun before is finished, and paid for when it began.
    scene.openai.release();
    until(&mut events, "[DONE]").await;
    refused(&scene.chat(GPT).await, "day", COST, FEBRUARY + DAY);

    later(&clock, 23);
    let (key, _) = scene.key(json!({ "cap_micros": COST, "cap_period": "month" })).await;
    answered(&scene, &key).await;
    // All three are reached; the key's is its own, and lasts as long as the longest.
    let march = FEBRUARY + 28 * DAY;
    refused(&scene.ask(&key, "/v1/messages", &super::message(GPT, true)).await, "key_month", COST, march);
    refused(&scene.chat(GPT).await, "month", 2 * COST, march);
    let days = eventually("all are rows", || async {
        let report = scene.usage("day").await;
        (report["total"]["requests"] == 5).then(|| report["sums"].clone())
    })
    .await;
    let spent = days.as_array().expect("a list").iter().map(|day| (&day["name"], &day["cost_micros"]));
    let mut spent: Vec<(&Value, &Value)> = spent.collect();
    spent.sort_by_key(|(day, _)| day.to_string());
    let (once, twice) = (json!(COST), json!(2 * COST));
    assert_eq!(
        spent.iter().map(|(day, cost)| (day.as_str().expect("a day"), *cost)).collect::<Vec<_>>(),
        [("2031-01-10", &once), ("2031-01-11", &twice), ("2031-02-01", &once), ("2031-02-02", &once)]
    );
}

crate::on_both_databases!(what_is_capped_is_free_again_with_the_next_day_and_month);
