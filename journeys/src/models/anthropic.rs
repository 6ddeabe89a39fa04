//! Anthropic's shapes, as documented.

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{CACHED_TOKENS, PROMPT_TOKENS, words};

pub fn list(models: &[String]) -> Value {
    let data: Vec<Value> = models
        .iter()
        .map(|id| json!({ "type": "model", "id": id, "display_name": id, "created_at": "2025-01-01T00:00:00Z" }))
        .collect();
    json!({ "data": data, "has_more": false, "first_id": models.first(), "last_id": models.last() })
}

pub fn error(status: StatusCode) -> Value {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": format!("The stub answers {status}.") } })
}

pub fn missing(model: &str) -> Value {
    json!({ "type": "error", "error": { "type": "not_found_error", "message": format!("model: {model}") } })
}

fn usage(output: usize) -> Value {
    json!({
        "input_tokens": PROMPT_TOKENS - CACHED_TOKENS,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": CACHED_TOKENS,
        "output_tokens": output,
    })
}

fn call(body: &Value) -> Option<&str> {
    let last = body["messages"].as_array()?.last()?;
    let answered = last["content"]
        .as_array()
        .is_some_and(|blocks| blocks.iter().any(|block| block["type"] == "tool_result"));
    let name = body["tools"][0]["name"].as_str()?;
    (!answered && body["tool_choice"]["type"] != "none").then_some(name)
}

pub fn whole(body: &Value) -> Value {
    let words = words(body);
    let (content, stop) = match call(body) {
        Some(name) => (
            json!([{ "type": "tool_use", "id": "toolu_stub_1", "name": name, "input": { "city": "Paris", "days": 2 } }]),
            "tool_use",
        ),
        None => (json!([{ "type": "text", "text": words.concat() }]), "end_turn"),
    };
    json!({
        "id": "msg_stub", "type": "message", "role": "assistant", "model": body["model"], "content": content,
        "stop_reason": stop, "stop_sequence": null, "usage": usage(words.len()),
    })
}

pub fn events(body: &Value, counts: bool) -> Vec<Bytes> {
    let words = words(body);
    let begun = json!({
        "id": "msg_stub", "type": "message", "role": "assistant", "model": body["model"], "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": if counts { usage(1) } else { json!({}) },
    });
    let mut events = vec![("message_start", json!({ "type": "message_start", "message": begun }))];
    let delta = |delta: Value| {
        ("content_block_delta", json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
    };
    let (block, deltas, stop) = match call(body) {
        Some(name) => (
            json!({ "type": "tool_use", "id": "toolu_stub_1", "name": name, "input": {} }),
            ["", r#"{"city":"#, r#""Paris","days":2}"#]
                .iter()
                .map(|json| delta(json!({ "type": "input_json_delta", "partial_json": json })))
                .collect::<Vec<_>>(),
            "tool_use",
        ),
        None => (
            json!({ "type": "text", "text": "" }),
            words.iter().map(|word| delta(json!({ "type": "text_delta", "text": word }))).collect(),
            "end_turn",
        ),
    };
    events.push((
        "content_block_start",
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
    ));
    events.push(("ping", json!({ "type": "ping" })));
    events.extend(deltas);
    events.push(("content_block_stop", json!({ "type": "content_block_stop", "index": 0 })));
    let mut end = json!({ "type": "message_delta", "delta": { "stop_reason": stop, "stop_sequence": null } });
    end["usage"] = if counts { json!({ "output_tokens": words.len() }) } else { json!({}) };
    events.push(("message_delta", end));
    events.push(("message_stop", json!({ "type": "message_stop" })));
    events.iter().map(|(name, data)| Bytes::from(format!("event: {name}\ndata: {data}\n\n"))).collect()
}
