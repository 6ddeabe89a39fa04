//! Falling back: on each cause, before the first token and never after; patience, the circuit, and going away.

use std::time::{Duration, Instant};

use journeys::{
    database::Database,
    eventually,
    models::{Behaviour, Models},
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{CLAUDE, GPT, PASSWORD, Scene, chat, message, scene, scene_with, until};

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
        (Behaviour::Silent, "no answer in time"),
        (Behaviour::BreakFirst, "failed"),
    ] {
        for stream in [false, true] {
            if behaviour == Behaviour::BreakFirst && !stream {
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
    assert_eq!(heard.events().last().expect("one")["error"]["code"], "upstream_failed");
    assert_eq!(scene.anthropic.count(), 0);
    // The same for who speaks the other format, and for an answer that goes quiet.
    scene.openai.once(Behaviour::Hang);
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
    eventually("both are counted as broken", || async {
        (scene.usage("model").await["total"]["failed"] == 2).then_some(())
    })
    .await;
}

async fn who_goes_away_ends_the_request_upstream(database: Database) {
    let scene = scene(database).await;
    scene.openai.behave(Behaviour::Hang);
    let answer = scene.stream(&scene.owner, "/v1/chat/completions", &chat(GPT, true)).await;
    let mut events = Box::pin(answer.bytes_stream());
    until(&mut events, "good").await;
    drop(events);
    scene.openai.cancelled(1).await;
    // While it waits for the first token, too.
    scene.openai.behave(Behaviour::Silent);
    let waiting = scene.request(Method::POST, "/v1/chat/completions", &scene.owner).json(&chat(GPT, true));
    let waiting = tokio::spawn(waiting.send());
    eventually("it is asked", || async { (scene.openai.count() == 2).then_some(()) }).await;
    waiting.abort();
    scene.openai.cancelled(2).await;
    eventually("both are recorded", || async {
        (scene.usage("model").await["total"]["requests"] == 2).then_some(())
    })
    .await;
    let csv = scene.request(Method::GET, "/api/v1/usage.csv", &scene.owner).send().await.expect("an answer");
    assert_eq!(csv.text().await.expect("text").matches(",cancelled\r\n").count(), 2);
}

async fn patience_is_respected_and_the_circuit_opens_and_closes(database: Database) {
    let scene = scene(database).await;
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
    scene.openai.behave(Behaviour::Answer);
    eventually("one that tries closes it", || async {
        (scene.chat("auto").await.header("x-foreman-provider") == "openai").then_some(())
    })
    .await;
    eventually("that is shown too", || async { (state().await == "up").then_some(()) }).await;
    eventually("the log has both", || async {
        let log = scene.api(Method::GET, "audit?type=provider.state_changed", Value::Null).await.to_string();
        (log.contains("\"paused\"") && log.contains("\"up\"")).then_some(())
    })
    .await;
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

/// Somebody listens there and takes nobody in: a connection is neither refused nor made.
async fn nobody_home() -> (Vec<TcpStream>, TcpListener, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(0).expect("it listens");
    let address = listener.local_addr().expect("bound");
    let mut waiting = Vec::new();
    // Until the queue is full.
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        waiting.push(stream);
    }
    (waiting, listener, format!("http://{address}/v1"))
}

async fn who_does_not_open_the_door_is_left_after_the_time_for_it(database: Database) {
    let scene = scene_with(database, 1, 120).await;
    let (_waiting, _listener, address) = nobody_home().await;
    scene.plain_provider("shut", &address).await;
    scene.auto_tries(&["shut/any", &format!("openai/{GPT}")]).await;
    let since = Instant::now();
    let heard = scene.chat("shut/any").await;
    assert_eq!(
        (heard.status, &heard.json()["error"]["details"]["tried"][0]["cause"]),
        (502, &json!("timeout"))
    );
    let took = since.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(60)).contains(&took), "{took:?}");
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
    who_goes_away_ends_the_request_upstream,
    patience_is_respected_and_the_circuit_opens_and_closes,
    an_answer_that_was_on_its_way_ends_no_patience,
    what_one_format_has_no_word_for_goes_to_the_next,
    who_does_not_open_the_door_is_left_after_the_time_for_it,
    so_many_models_are_tried_and_no_more,
    whoever_asks_too_much_of_all_hears_when_the_first_is_ready,
    a_key_that_is_refused_is_shown_until_it_is_taken,
    a_test_that_goes_well_opens_the_circuit,
    a_locked_vault_says_so_and_private_stays_at_home,
);
