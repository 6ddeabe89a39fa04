//! Falling back: on each cause, before the first token and never after; patience and the circuit.

use std::time::{Duration, SystemTime};

use journeys::{
    database::Database,
    eventually,
    models::{Behaviour, Models},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{CLAUDE, GPT, PASSWORD, Patience, Scene, chat, message, scene, scene_with};

/// `auto` tries OpenAI and then Anthropic.
async fn in_order(scene: &Scene) {
    let mut routing = scene.api(Method::GET, "routing", Value::Null).await;
    routing["profiles"][0]["models"] = json!([format!("openai/{GPT}"), format!("anthropic/{CLAUDE}")]);
    routing["profiles"][0]["order"] = json!("as_listed");
    routing["profiles"][0]["by_request"] = json!(false);
    let saved = scene.api(Method::PUT, "routing", routing.clone()).await;
    assert_eq!(saved["revision"], 1);
    let stale = scene
        .request(Method::PUT, "/api/v1/routing", &scene.owner)
        .json(&routing)
        .send()
        .await
        .expect("an answer");
    assert_eq!(stale.status().as_u16(), 412, "made from an older one");
}

async fn another_model_answers_for_each_cause(database: Database) {
    let scene = scene(database).await;
    in_order(&scene).await;
    for (behaviour, said) in [
        (Behaviour::Missing, "no such model (404)"),
        (Behaviour::Fail(408, None), "failed (408)"),
        (Behaviour::Fail(429, None), "rate limited (429)"),
        (Behaviour::Fail(500, None), "failed (500)"),
        (Behaviour::Fail(529, None), "failed (529)"),
        (Behaviour::BreakFirst, "failed"),
        (Behaviour::Break, "failed"),
    ] {
        for stream in [false, true] {
            // Who has heard something of a stream hears nothing else; of a whole answer nobody has.
            if behaviour == if stream { Behaviour::Break } else { Behaviour::BreakFirst } {
                continue;
            }
            scene.openai.once(behaviour.clone());
            let heard = scene.ask(&scene.owner, "/v1/chat/completions", &chat("auto", stream)).await;
            assert_eq!(
                (heard.status, heard.header("x-foreman-provider")),
                (200, "anthropic"),
                "{behaviour:?} {}",
                heard.text
            );
            assert_eq!(
                heard.header("x-foreman-instead-of"),
                format!("openai/{GPT}: {said}"),
                "{behaviour:?}"
            );
            assert!(heard.header("x-foreman-reason").ends_with("those before it failed"));
            // A success between keeps the circuit closed.
            assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "openai");
        }
    }
    // Nobody listens there.
    let gone = Models::start(&[]).await.base().replace("127.0.0.1", "127.0.0.2");
    let all = scene.api(Method::GET, "providers", Value::Null).await;
    let id = all["items"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|provider| provider["name"] == "openai")
        .expect("there")["id"]
        .clone();
    let path = format!("providers/{}", id.as_str().expect("text"));
    scene.api(Method::PATCH, &path, json!({ "base_url": gone, "key": super::OPENAI_KEY })).await;
    let heard = scene.chat("auto").await;
    assert_eq!(heard.header("x-foreman-instead-of"), format!("openai/{GPT}: unreachable"), "{}", heard.text);
    // The usage tells of each, by cause and how often, and the file of the request that it was.
    let missed = eventually("all of them are rows", || async {
        let missed = scene.usage("model").await["missed"].as_array().expect("a list").clone();
        (missed.len() == 7).then_some(missed)
    })
    .await;
    let times = |cause: &str, status: Option<u16>| {
        let of = |one: &&Value| one["miss"]["cause"] == cause && one["miss"]["status"] == json!(status);
        let one = missed.iter().find(of).unwrap_or_else(|| panic!("{cause} {status:?} in {missed:?}"));
        assert_eq!((&one["miss"]["provider"], &one["miss"]["model"]), (&json!("openai"), &json!(GPT)));
        assert!(one["last_at"].is_i64());
        one["requests"].as_i64()
    };
    for (cause, status, requests) in [
        ("model_missing", Some(404), 2),
        ("failed", Some(408), 2),
        ("rate_limited", Some(429), 2),
        ("failed", Some(500), 2),
        ("failed", Some(529), 2),
        ("failed", None, 2),
        ("unreachable", None, 1),
    ] {
        assert_eq!(times(cause, status), Some(requests), "{cause} {status:?}");
    }
    let csv = scene.csv().await;
    let said = format!(",answered,openai/{GPT}: rate limited (429)\r\n");
    assert_eq!(csv.matches(&said).count(), 2, "{csv}");
}

async fn nothing_is_tried_twice_once_a_token_was_sent(database: Database) {
    let scene = scene(database).await;
    in_order(&scene).await;
    scene.openai.once(Behaviour::Break);
    let heard = scene.ask(&scene.owner, "/v1/chat/completions", &chat("auto", true)).await;
    assert_eq!(
        (heard.status, heard.said().as_str()),
        (200, "gpt-4o heard: good "),
        "what arrived is kept: {}",
        heard.text
    );
    let error = heard.events().pop().expect("one")["error"].clone();
    assert_eq!(
        (&error["code"], &error["details"]),
        (&json!("upstream_failed"), &Value::Null),
        "nothing was late"
    );
    // The same for who speaks the other format.
    scene.openai.once(Behaviour::Break);
    let heard = scene.ask(&scene.owner, "/v1/messages", &message("auto", true)).await;
    assert!(heard.text.contains("good "), "{}", heard.text);
    let last = heard.events().pop().expect("one");
    assert_eq!(
        (&last["type"], &last["error"]["code"]),
        (&json!("error"), &json!("upstream_failed")),
        "{}",
        heard.text
    );
    assert_eq!(scene.anthropic.count(), 0);
    assert_eq!(scene.ended(2, "broken").await, 2);
}

async fn patience_is_respected_and_the_circuit_opens_and_closes(database: Database) {
    let scene = scene_with(database, Patience::LONG).await;
    in_order(&scene).await;
    scene.openai.once(Behaviour::Fail(429, Some(6)));
    assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "anthropic");
    let asked = scene.openai.count();
    let heard = scene.chat("auto").await;
    assert_eq!(heard.header("x-foreman-instead-of"), format!("openai/{GPT}: rate limited"));
    assert_eq!(scene.openai.count(), asked, "left alone until then");
    eventually("its time has come", || async {
        (scene.chat("auto").await.header("x-foreman-provider") == "openai").then_some(())
    })
    .await;

    scene.openai.behave(Behaviour::Fail(500, None));
    for _ in 0..3 {
        assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "anthropic");
    }
    let asked = scene.openai.count();
    let heard = scene.chat("auto").await;
    assert_eq!(heard.header("x-foreman-instead-of"), format!("openai/{GPT}: paused after failures"));
    assert_eq!(scene.openai.count(), asked);
    let state = || async {
        let all = scene.api(Method::GET, "providers", Value::Null).await;
        all["items"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|provider| provider["name"] == "openai")
            .expect("there")["health"]["state"]
            .clone()
    };
    eventually("it is shown", || async { (state().await == "paused").then_some(()) }).await;
    let explained = scene.api(Method::POST, "routing/explain", json!({ "model": "auto" })).await;
    assert_eq!(explained["routes"][0]["provider"], "anthropic");
    assert_eq!(explained["passed_over"][0]["cause"], "paused");
    let now = scene.api(Method::GET, "routing/now", Value::Null).await;
    let auto = &now["profiles"][0];
    assert_eq!((&auto["profile"], &auto["route"]["model"]), (&json!("auto"), &json!(CLAUDE)), "{now}");
    assert_eq!(auto["route"]["because"], json!(["listed", "fallback"]));
    let missed = &auto["route"]["instead_of"];
    assert_eq!((&missed[0]["model"], &missed[0]["cause"]), (&json!(GPT), &json!("paused")), "{now}");
    assert_eq!(now["away"].as_array().expect("a list").len(), 1);
    assert_eq!((&now["away"][0]["provider"], &now["away"][0]["cause"]), (&json!("openai"), &json!("paused")));
    // Half open: one tries, and nobody else until it is known how it went.
    scene.openai.behave(Behaviour::Hang);
    let tries = eventually("one tries", || async {
        let asking = scene.request(Method::POST, "/v1/chat/completions", &scene.owner);
        let asking = tokio::spawn(asking.json(&chat("auto", false)).send());
        eventually("it is asked or not", || async {
            (asking.is_finished() || scene.openai.count() > asked).then_some(())
        })
        .await;
        (scene.openai.count() > asked).then_some(asking)
    })
    .await;
    let heard = scene.chat("auto").await;
    assert_eq!(heard.header("x-foreman-instead-of"), format!("openai/{GPT}: paused after failures"));
    assert_eq!(scene.openai.count(), asked + 1);
    scene.openai.release();
    let tried = tries.await.expect("it ends").expect("an answer");
    assert_eq!(tried.headers()["x-foreman-provider"], "openai");
    assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "openai", "it is closed");
    eventually("that is shown too", || async { (state().await == "up").then_some(()) }).await;
    eventually("the log has both", || async {
        let log = scene.api(Method::GET, "audit?type=provider.state_changed", Value::Null).await.to_string();
        (log.contains("\"paused\"") && log.contains("\"up\"")).then_some(())
    })
    .await;
}

/// The date that HTTP gives a moment which is so many seconds away.
fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
}

async fn patience_is_asked_for_by_seconds_and_by_date_whatever_the_status(database: Database) {
    let scene = scene_with(database, Patience::LONG).await;
    in_order(&scene).await;
    let path = format!("providers/{}", scene.provider_of("openai").await["id"].as_str().expect("text"));
    for (status, asked_for, said) in [
        (429, "60".to_owned(), "rate limited (429)"),
        (429, http_date(60), "rate limited (429)"),
        (503, http_date(60), "failed (503)"),
        (529, "60".to_owned(), "failed (529)"),
    ] {
        scene.openai.once(Behaviour::Busy(status, asked_for.clone()));
        let heard = scene.chat("auto").await;
        assert_eq!(heard.header("x-foreman-instead-of"), format!("openai/{GPT}: {said}"), "{asked_for}");
        let asked = scene.openai.count();
        let heard = scene.chat("auto").await;
        assert_eq!(
            heard.header("x-foreman-instead-of"),
            format!("openai/{GPT}: rate limited"),
            "{asked_for}"
        );
        // By name nobody else may answer.
        let heard = scene.chat(GPT).await;
        assert_eq!((heard.status, &heard.json()["error"]["code"]), (429, &json!("rate_limited")));
        let wait: u64 = heard.header("retry-after").parse().expect("seconds");
        assert!((30..=60).contains(&wait), "{asked_for}: {wait}");
        assert_eq!(scene.openai.count(), asked, "left alone: {asked_for}");
        let health = eventually("until when is shown", || async {
            let health = scene.provider_of("openai").await["health"].clone();
            health["retry_at"].is_i64().then_some(health)
        })
        .await;
        assert_eq!(health["state"], "failing", "{health}");
        // A person looks: it is asked again.
        scene.api(Method::POST, &format!("{path}/test"), Value::Null).await;
        assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "openai");
    }
    // What is over already holds nobody back.
    scene.openai.once(Behaviour::Busy(429, "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()));
    assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "anthropic");
    assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "openai");
}

async fn an_answer_that_was_on_its_way_ends_no_patience(database: Database) {
    let scene = scene(database).await;
    in_order(&scene).await;
    scene.openai.once(Behaviour::Slow(1_500));
    let slow = scene.request(Method::POST, "/v1/chat/completions", &scene.owner).json(&chat("auto", false));
    let slow = tokio::spawn(slow.send());
    eventually("it is on its way", || async { (scene.openai.count() == 1).then_some(()) }).await;
    scene.openai.once(Behaviour::Fail(429, Some(60)));
    assert_eq!(
        scene.chat("auto").await.header("x-foreman-instead-of"),
        format!("openai/{GPT}: rate limited (429)")
    );
    let answered = slow.await.expect("it ends").expect("an answer");
    assert_eq!(answered.headers()["x-foreman-provider"], "openai");
    for _ in 0..2 {
        let heard = scene.chat("auto").await;
        assert_eq!(
            heard.header("x-foreman-instead-of"),
            format!("openai/{GPT}: rate limited"),
            "{}",
            heard.text
        );
    }
    assert_eq!(scene.openai.count(), 2, "left alone for as long as it said");
    let health = scene.provider_of("openai").await["health"].clone();
    assert!(health["retry_at"].is_i64() && health["state"] == "failing", "{health}");
}

async fn what_one_format_has_no_word_for_goes_to_the_next(database: Database) {
    let scene = scene(database).await;
    scene.auto_tries(&[&format!("anthropic/{CLAUDE}"), &format!("openai/{GPT}")]).await;
    let mut several = chat("auto", false);
    several["n"] = json!(2);
    let heard = scene.ask(&scene.owner, "/v1/chat/completions", &several).await;
    assert_eq!((heard.status, heard.header("x-foreman-provider")), (200, "openai"), "{}", heard.text);
    assert_eq!(
        heard.header("x-foreman-instead-of"),
        format!("anthropic/{CLAUDE}: cannot be asked this in its format")
    );
    assert!(heard.header("x-foreman-reason").ends_with("those before it failed"));
    assert_eq!((scene.anthropic.count(), &scene.openai.asked()[0].body["n"]), (0, &json!(2)));
    // Nobody else can do it: why is the answer.
    several["model"] = json!(CLAUDE);
    let heard = scene.ask(&scene.owner, "/v1/chat/completions", &several).await;
    assert_eq!(
        (heard.status, &heard.json()["error"]["code"]),
        (422, &json!("invalid_request")),
        "{}",
        heard.text
    );
    assert!(heard.text.contains("one answer"), "{}", heard.text);
    // The circuit knows nothing of it.
    assert_eq!(scene.chat(CLAUDE).await.status, 200);
}

async fn so_many_models_are_tried_and_no_more(database: Database) {
    let scene = scene(database).await;
    let names: Vec<String> = (1..=9).map(|nth| format!("missing-{nth}")).collect();
    let lab = Models::start(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    scene.plain_provider("lab", &lab.base()).await;
    let listed: Vec<String> = names.iter().map(|name| format!("lab/{name}")).collect();
    scene.auto_tries(&listed.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let heard = scene.chat("auto").await;
    let error = heard.json()["error"].clone();
    assert_eq!((heard.status, &error["code"]), (404, &json!("model_unavailable")), "{}", heard.text);
    assert_eq!((lab.count(), error["details"]["tried"].as_array().map(Vec::len)), (6, Some(6)));
}

async fn whoever_asks_too_much_of_all_hears_when_the_first_is_ready(database: Database) {
    let scene = scene(database).await;
    in_order(&scene).await;
    scene.openai.once(Behaviour::Fail(429, Some(40)));
    scene.anthropic.once(Behaviour::Fail(429, Some(20)));
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let heard = scene.ask(&scene.owner, path, &message("auto", false)).await;
        let error = &heard.json()["error"];
        assert_eq!((heard.status, &error["code"]), (429, &json!("rate_limited")), "{}", heard.text);
        let wait: u64 = heard.header("retry-after").parse().expect("seconds");
        assert!((1..=20).contains(&wait), "the shorter one: {wait}");
        assert_eq!(error["details"]["retry_after_s"], wait);
        assert_eq!(error["details"]["tried"].as_array().map(Vec::len), Some(2));
    }
    assert_eq!((scene.openai.count(), scene.anthropic.count()), (1, 1), "left alone the second time");
    // One of them failed in another way: that is no 429.
    scene.anthropic.once(Behaviour::Fail(500, None));
    let id = scene.provider_of("anthropic").await["id"].as_str().expect("text").to_owned();
    scene.api(Method::POST, &format!("providers/{id}/test"), Value::Null).await;
    assert_eq!(scene.chat("auto").await.status, 502);
}

async fn a_key_that_is_refused_is_shown_until_it_is_taken(database: Database) {
    let scene = scene(database).await;
    let path = format!("providers/{}", scene.provider_of("openai").await["id"].as_str().expect("text"));
    let refused = || async {
        scene.openai.once(Behaviour::Fail(401, None));
        let heard = scene.chat(GPT).await;
        let error = heard.json()["error"].clone();
        assert_eq!((heard.status, &error["code"]), (502, &json!("upstream_failed")));
        let tried = &error["details"]["tried"][0];
        assert_eq!((&tried["cause"], &tried["status"]), (&json!("key_refused"), &json!(401)));
        eventually("it is shown", || async {
            let health = scene.provider_of("openai").await["health"].clone();
            (health["fault"] == "key_refused" && health["state"] == "failing").then_some(())
        })
        .await;
    };
    refused().await;
    let test = scene.api(Method::POST, &format!("{path}/test"), Value::Null).await;
    assert_eq!((&test["state"], &test["fault"]), (&json!("up"), &Value::Null), "{test}");
    refused().await;
    let changed = scene.api(Method::PATCH, &path, json!({ "key": super::OPENAI_KEY })).await;
    assert_eq!(changed["health"]["state"], "up", "another key, another chance: {changed}");
    refused().await;
    assert_eq!(scene.chat(GPT).await.status, 200);
    eventually("an answer says that it is taken", || async {
        (scene.provider_of("openai").await["health"]["state"] == "up").then_some(())
    })
    .await;
    let faults = eventually("the log has each time", || async {
        let log = scene.api(Method::GET, "audit?type=provider.state_changed", Value::Null).await;
        let records = log["items"].as_array().expect("a list");
        let count = records.iter().filter(|record| record["data"]["fault"] == "key_refused").count();
        (count >= 3).then_some(count)
    })
    .await;
    assert_eq!(faults, 3, "once each");
    assert!(!scene.server.said.text().contains(super::OPENAI_KEY));
}

async fn a_test_that_goes_well_opens_the_circuit(database: Database) {
    let scene = scene(database).await;
    in_order(&scene).await;
    let path = format!("providers/{}", scene.provider_of("openai").await["id"].as_str().expect("text"));
    scene.openai.behave(Behaviour::Fail(500, None));
    for _ in 0..3 {
        scene.chat("auto").await;
    }
    eventually("it is paused", || async {
        (scene.provider_of("openai").await["health"]["state"] == "paused").then_some(())
    })
    .await;
    let asked = scene.openai.count();
    scene.chat("auto").await;
    assert_eq!(scene.openai.count(), asked, "nothing is sent");
    scene.openai.behave(Behaviour::Answer);
    let test = scene.api(Method::POST, &format!("{path}/test"), Value::Null).await;
    assert_eq!(test["state"], "up", "{test}");
    assert_eq!(scene.chat("auto").await.header("x-foreman-provider"), "openai", "at once");
}

async fn a_locked_vault_says_so_and_private_stays_at_home(database: Database) {
    let scene = scene(database).await;
    let heard = scene.chat("auto:private").await;
    assert_eq!(
        (heard.status, &heard.json()["error"]["code"]),
        (404, &json!("model_unavailable")),
        "{}",
        heard.text
    );
    assert_eq!((scene.openai.count(), scene.anthropic.count()), (0, 0), "no cloud was asked");
    scene.api(Method::POST, "vault/lock", Value::Null).await;
    let explained = scene.api(Method::POST, "routing/explain", json!({ "model": GPT })).await;
    assert_eq!(explained["passed_over"][0]["cause"], "locked", "{explained}");
    let now = scene.api(Method::GET, "routing/now", Value::Null).await;
    assert_eq!(now["profiles"][0]["route"], Value::Null, "{now}");
    let away = now["away"].as_array().expect("a list");
    assert_eq!(away.iter().filter(|provider| provider["cause"] == "locked").count(), 2, "{now}");
    let heard = scene.chat(GPT).await;
    assert_eq!(
        (heard.status, &heard.json()["error"]["code"]),
        (423, &json!("vault_locked")),
        "{}",
        heard.text
    );
    scene.api(Method::POST, "vault/unlock", json!({ "password": PASSWORD })).await;
    assert_eq!(scene.chat(GPT).await.status, 200);
    for secret in [super::OPENAI_KEY, super::ANTHROPIC_KEY, PASSWORD, "good morning to all"] {
        assert!(!scene.server.said.text().contains(secret), "{secret} is in the log");
    }
}

crate::on_both_databases!(
    another_model_answers_for_each_cause,
    nothing_is_tried_twice_once_a_token_was_sent,
    patience_is_respected_and_the_circuit_opens_and_closes,
    patience_is_asked_for_by_seconds_and_by_date_whatever_the_status,
    an_answer_that_was_on_its_way_ends_no_patience,
    what_one_format_has_no_word_for_goes_to_the_next,
    so_many_models_are_tried_and_no_more,
    whoever_asks_too_much_of_all_hears_when_the_first_is_ready,
    a_key_that_is_refused_is_shown_until_it_is_taken,
    a_test_that_goes_well_opens_the_circuit,
    a_locked_vault_says_so_and_private_stays_at_home,
);
