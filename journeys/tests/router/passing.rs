//! What clients send and hear, in both formats.

use journeys::{
    database::Database,
    models::{Behaviour, COUNTED_TOKENS},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ANTHROPIC_KEY, CLAUDE, GPT, Heard, OPENAI_KEY, chat, message, scene};

async fn the_same_format_is_passed_on_as_it_came(database: Database) {
    let scene = scene(database).await;
    let (key, _) = scene.key(json!({})).await;
    // Fields nobody knows yet, numbers as they were written, and a picture.
    let sent = format!(
        r#"{{ "x_new": {{"a": [1.0, 1e2]}}, "model":"openai/{GPT}",
        "messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,AAAA"}}}}]}}]}}"#
    );
    let answer = scene
        .request(Method::POST, "/v1/chat/completions", &key)
        .header("content-type", "application/json")
        .header("cookie", "a=b")
        .body(sent.clone())
        .send()
        .await
        .expect("an answer");
    let heard = Heard::whole(answer).await;
    assert_eq!(heard.status, 200, "{}", heard.text);
    assert_eq!(heard.header("x-foreman-model"), GPT);
    assert_eq!(heard.header("x-foreman-provider"), "openai");
    assert_eq!(heard.header("x-foreman-reason"), "gpt-4o at openai: asked for");
    assert_eq!(heard.header("x-request-id"), "req_of_the_stub");
    assert_eq!(heard.json()["system_fingerprint"], "fp_stub", "the vendor's own fields stay");
    let asked = scene.openai.asked();
    assert_eq!(String::from_utf8_lossy(&asked[0].raw), sent.replace("openai/gpt-4o", GPT));
    assert_eq!(asked[0].headers["authorization"], format!("Bearer {OPENAI_KEY}"));
    assert!(!asked[0].headers.contains_key("cookie"));

    // A stream, byte for byte, and without the event that the client did not ask for.
    let heard = scene.ask(&key, "/v1/chat/completions", &chat(GPT, true)).await;
    assert!(heard.header("content-type").starts_with("text/event-stream"));
    assert_eq!(heard.said(), "gpt-4o heard: good morning to all");
    assert!(heard.text.ends_with("data: [DONE]\n\n"));
    assert!(heard.events().iter().all(|event| event["choices"][0].is_object()), "{}", heard.text);
    assert_eq!(scene.openai.asked()[1].body["stream_options"]["include_usage"], true);
    let mut counted = chat(GPT, true);
    counted["stream_options"] = json!({ "include_usage": true });
    let heard = scene.ask(&key, "/v1/chat/completions", &counted).await;
    assert_eq!(heard.events().last().expect("one")["usage"]["prompt_tokens"], 12);

    // Anthropic's, with its own headers and its key where its clients put it.
    let answer = scene
        .client
        .post(format!("{}/v1/messages", scene.server.url))
        .header("x-api-key", &key)
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "some-beta")
        .json(&message(CLAUDE, true))
        .send()
        .await
        .expect("an answer");
    let heard = Heard::whole(answer).await;
    assert!(heard.text.starts_with("event: message_start\n"), "{}", heard.text);
    assert!(heard.text.trim_end().ends_with(r#"data: {"type":"message_stop"}"#), "{}", heard.text);
    let asked = scene.anthropic.asked();
    assert_eq!(asked[0].headers["x-api-key"], ANTHROPIC_KEY);
    assert_eq!(asked[0].headers["anthropic-beta"], "some-beta");
    assert_eq!(asked[0].body["max_tokens"], 100);
}

fn tool(function: bool) -> Value {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    match function {
        true => json!([{ "type": "function", "function": { "name": "weather", "parameters": schema } }]),
        false => json!([{ "name": "weather", "input_schema": schema }]),
    }
}

async fn each_format_reaches_the_other(database: Database) {
    let scene = scene(database).await;
    // OpenAI's client, Anthropic's model: an answer, a stream, a tool and its result.
    let heard = scene.chat(CLAUDE).await.json();
    assert_eq!(heard["choices"][0]["message"]["content"], "claude-haiku-4-5 heard: good morning to all");
    assert_eq!((&heard["usage"]["prompt_tokens"], &heard["object"]), (&json!(12), &json!("chat.completion")));
    let heard = scene.ask(&scene.owner, "/v1/chat/completions", &chat(CLAUDE, true)).await;
    assert_eq!(heard.said(), "claude-haiku-4-5 heard: good morning to all");
    assert!(heard.text.ends_with("data: [DONE]\n\n"));
    let mut asked = chat(CLAUDE, true);
    asked["tools"] = tool(true);
    let heard = scene.ask(&scene.owner, "/v1/chat/completions", &asked).await;
    let pieces = heard.events();
    let arguments: String = pieces
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str())
        .collect();
    assert_eq!(serde_json::from_str::<Value>(&arguments).expect("JSON")["city"], "Paris");
    let call = json!([{ "id": "toolu_stub_1", "type": "function", "function": { "name": "weather", "arguments": arguments } }]);
    asked["stream"] = json!(false);
    asked["messages"] = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": "Weather?" },
        { "role": "assistant", "content": null, "tool_calls": call },
        { "role": "tool", "tool_call_id": "toolu_stub_1", "content": "sunny" }
    ]);
    let heard = scene.ask(&scene.owner, "/v1/chat/completions", &asked).await.json();
    assert_eq!(heard["choices"][0]["message"]["content"], "claude-haiku-4-5 heard: [result sunny]");
    let last = scene.anthropic.asked().pop().expect("asked").body;
    assert_eq!(
        (&last["system"], &last["messages"][1]["content"][0]["type"]),
        (&json!("Be brief."), &json!("tool_use"))
    );

    // The other way round.
    let heard = scene.ask(&scene.owner, "/v1/messages", &message(GPT, false)).await.json();
    assert_eq!(heard["content"][0]["text"], "gpt-4o heard: good morning to all");
    assert_eq!(
        (&heard["usage"]["input_tokens"], &heard["usage"]["cache_read_input_tokens"]),
        (&json!(8), &json!(4))
    );
    let mut asked = message(GPT, true);
    asked["tools"] = tool(false);
    let heard = scene.ask(&scene.owner, "/v1/messages", &asked).await;
    let events = heard.events();
    let names: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(
        (names[0], names[1], *names.last().expect("one")),
        ("message_start", "content_block_start", "message_stop")
    );
    let json: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON")["days"], 2);
    let delta = events.iter().find(|event| event["type"] == "message_delta").expect("one");
    assert_eq!(
        (&delta["delta"]["stop_reason"], &delta["usage"]["input_tokens"]),
        (&json!("tool_use"), &json!(8))
    );
    assert_eq!(scene.openai.asked().pop().expect("asked").body["max_completion_tokens"], 100);
}

async fn tokens_are_counted_by_the_vendor_and_elsewhere_estimated(database: Database) {
    let scene = scene(database).await;
    let (key, _) = scene.key(json!({ "models": ["anthropic/*", "openai/*"] })).await;
    let path = "/v1/messages/count_tokens";
    let heard = scene.ask(&key, path, &chat("anthropic/claude-haiku-4-5", false)).await;
    assert_eq!((heard.status, heard.json()), (200, json!({ "input_tokens": COUNTED_TOKENS })));
    assert_eq!((heard.header("x-foreman-provider"), heard.header("x-foreman-estimated")), ("anthropic", ""));
    let asked = scene.anthropic.asked().pop().expect("asked");
    assert_eq!((asked.path.as_str(), &asked.body["model"]), (path, &json!(CLAUDE)));
    assert_eq!(asked.headers["x-api-key"], ANTHROPIC_KEY);
    // Nobody counts for others, and nothing is asked there.
    let mut long = chat(GPT, false);
    long["system"] = json!("word ".repeat(4_000));
    let heard = scene.ask(&key, path, &long).await;
    let estimate = heard.json()["input_tokens"].as_u64().expect("a number");
    assert!((4_900..5_200).contains(&estimate), "{estimate}");
    assert_eq!(
        (heard.header("x-foreman-estimated"), heard.header("x-foreman-model"), scene.openai.count()),
        ("true", GPT, 0)
    );
    // Nor does a vendor that cannot be asked now; what it refuses about the request is its answer.
    scene.anthropic.once(Behaviour::Fail(529, None));
    let heard = scene.ask(&key, path, &chat(CLAUDE, false)).await;
    assert_eq!((heard.status, heard.header("x-foreman-estimated")), (200, "true"));
    scene.anthropic.once(Behaviour::Fail(400, None));
    let heard = scene.ask(&key, path, &chat(CLAUDE, false)).await;
    assert_eq!((heard.status, &heard.json()["type"]), (400, &json!("error")));
    let heard = scene.ask(&key, path, &chat("nothing-like-it", false)).await;
    assert_eq!((heard.status, &heard.json()["error"]["type"]), (404, &json!("not_found_error")));
    assert_eq!(scene.ask("fm-nobody", path, &chat(CLAUDE, false)).await.status, 401);
    // It costs nothing and is no usage.
    assert_eq!(scene.usage("model").await["total"]["requests"], 0);
}

/// A question in the format of one vendor: to whom, and whether the answer is streamed.
type Ask = fn(&str, bool) -> Value;

async fn every_answer_says_which_model_and_why(database: Database) {
    let scene = scene(database).await;
    scene.auto_tries(&[&format!("openai/{GPT}")]).await;
    let vectors = "text-embedding-3-small";
    let told = async |path: &str, body: Value| {
        let heard = scene.ask(&scene.owner, path, &body).await;
        let header = |name: &str| heard.header(&format!("x-foreman-{name}")).to_owned();
        assert_eq!((heard.header("x-foreman-device"), heard.header("x-foreman-instead-of")), ("", ""));
        (heard.status, header("model"), header("provider"), header("reason"))
    };
    let of = |model: &str, provider: &str, why: &str| {
        (200, model.to_owned(), provider.to_owned(), format!("{model} at {provider}: {why}"))
    };
    for stream in [false, true] {
        let formats: [(&str, Ask); 2] = [("/v1/chat/completions", chat), ("/v1/messages", message)];
        for (path, ask) in formats {
            assert_eq!(told(path, ask(GPT, stream)).await, of(GPT, "openai", "asked for"), "{path} {stream}");
            assert_eq!(told(path, ask(CLAUDE, stream)).await, of(CLAUDE, "anthropic", "asked for"));
            assert_eq!(told(path, ask("auto", stream)).await, of(GPT, "openai", "on the profile's list"));
        }
    }
    let count = "/v1/messages/count_tokens";
    assert_eq!(told(count, message(CLAUDE, false)).await, of(CLAUDE, "anthropic", "asked for"));
    assert_eq!(told(count, message("auto", false)).await, of(GPT, "openai", "on the profile's list"));
    let embed = |model: &str| json!({ "model": model, "input": "good morning" });
    assert_eq!(told("/v1/embeddings", embed(vectors)).await, of(vectors, "openai", "asked for"));
    scene.auto_tries(&[&format!("openai/{vectors}")]).await;
    let listed = of(vectors, "openai", "on the profile's list");
    assert_eq!(told("/v1/embeddings", embed("auto")).await, listed);
    // Also whose refusal it is.
    scene.openai.once(Behaviour::Fail(400, None));
    let (status, model, provider, why) = told("/v1/chat/completions", chat(GPT, true)).await;
    assert_eq!((status, (200, model, provider, why)), (400, of(GPT, "openai", "asked for")));
}

async fn errors_models_and_embeddings_have_the_clients_shape(database: Database) {
    let scene = scene(database).await;
    let heard = scene.ask("fm-nobody", "/v1/chat/completions", &chat(GPT, false)).await;
    assert_eq!((heard.status, &heard.json()["error"]["code"]), (401, &json!("unauthenticated")));
    let heard = scene.ask("fm-nobody", "/v1/messages", &message(GPT, false)).await;
    assert_eq!(
        (&heard.json()["type"], &heard.json()["error"]["type"]),
        (&json!("error"), &json!("authentication_error"))
    );
    let heard = scene.chat("nothing-like-it").await;
    assert_eq!((heard.status, &heard.json()["error"]["code"]), (404, &json!("model_unavailable")));
    let heard = scene.ask(&scene.owner, "/v1/chat/completions", &json!({ "messages": [] })).await;
    assert_eq!((heard.status, &heard.json()["error"]["code"]), (422, &json!("invalid_request")));
    let (_, viewer) = scene.server.client("viewer").await;
    assert_eq!(scene.ask(&viewer, "/v1/chat/completions", &chat(GPT, false)).await.status, 403);

    // What a vendor refuses for a reason of the request is its answer, in the client's format.
    scene.openai.once(Behaviour::Fail(400, None));
    let heard = scene.chat(GPT).await;
    assert_eq!(
        (heard.status, &heard.json()["error"]["message"]),
        (400, &json!("The stub answers 400 Bad Request."))
    );
    scene.openai.once(Behaviour::Fail(400, None));
    let heard = scene.ask(&scene.owner, "/v1/messages", &message(GPT, false)).await;
    assert_eq!((heard.status, &heard.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    // Ours is the key that a vendor does not accept, so the client's is not blamed.
    scene.openai.once(Behaviour::Fail(401, None));
    let heard = scene.chat(GPT).await;
    assert_eq!((heard.status, &heard.json()["error"]["code"]), (502, &json!("upstream_failed")));

    let listed =
        Heard::whole(scene.request(Method::GET, "/v1/models", &scene.owner).send().await.expect("an answer"))
            .await
            .json();
    let ids: Vec<&str> =
        listed["data"].as_array().expect("a list").iter().filter_map(|model| model["id"].as_str()).collect();
    assert!(
        ids.contains(&"auto")
            && ids.contains(&"openai/gpt-4o")
            && ids.contains(&"anthropic/claude-haiku-4-5"),
        "{ids:?}"
    );
    let request = scene
        .request(Method::GET, "/v1/models?limit=2", &scene.owner)
        .header("anthropic-version", "2023-06-01");
    let page = Heard::whole(request.send().await.expect("an answer")).await.json();
    assert_eq!((page["data"].as_array().map(Vec::len), &page["has_more"]), (Some(2), &json!(true)));
    let one =
        scene.request(Method::GET, "/v1/models/openai/gpt-4o", &scene.owner).send().await.expect("an answer");
    assert_eq!(Heard::whole(one).await.json()["object"], "model");

    let asked = json!({ "model": "text-embedding-3-small", "input": ["a", "b"] });
    let heard = scene.ask(&scene.owner, "/v1/embeddings", &asked).await.json();
    assert_eq!(heard["data"].as_array().map(Vec::len), Some(2));
}

crate::on_both_databases!(
    the_same_format_is_passed_on_as_it_came,
    each_format_reaches_the_other,
    tokens_are_counted_by_the_vendor_and_elsewhere_estimated,
    every_answer_says_which_model_and_why,
    errors_models_and_embeddings_have_the_clients_shape,
);
