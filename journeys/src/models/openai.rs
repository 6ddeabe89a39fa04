//! OpenAI's shapes, as documented.

use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{CACHED_TOKENS, PROMPT_TOKENS, words};

pub fn list(models: &[String]) -> Value {
    let data: Vec<Value> = models
        .iter()
        .map(|id| json!({ "id": id, "object": "model", "created": 1_700_000_000, "owned_by": "stub" }))
        .collect();
    json!({ "object": "list", "data": data })
}

pub fn error(status: StatusCode) -> Value {
    let (kind, code) = match status.as_u16() {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        429 => ("requests", json!("rate_limit_exceeded")),
        _ => ("server_error", Value::Null),
    };
    json!({ "error": { "message": format!("The stub answers {status}."), "type": kind, "param": null, "code": code } })
}

pub fn missing(model: &str) -> Value {
    json!({ "error": {
        "message": format!("The model `{model}` does not exist or you do not have access to it."),
        "type": "invalid_request_error", "param": null, "code": "model_not_found",
    }})
}

fn usage(output: usize) -> Value {
    let output = i64::try_from(output).unwrap_or(0);
    json!({
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": output,
        "total_tokens": PROMPT_TOKENS + output,
        "prompt_tokens_details": { "cached_tokens": CACHED_TOKENS, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 0 },
    })
}

/// The tool that is called: the first, unless its result is there already.
fn call(body: &Value) -> Option<(&str, &'static str)> {
    let answered = body["messages"].as_array()?.last()?["role"] == "tool";
    let name = body["tools"][0]["function"]["name"].as_str()?;
    (!answered && body["tool_choice"] != "none").then_some((name, r#"{"city":"Paris","days":2}"#))
}

pub fn whole(body: &Value) -> Value {
    let words = words(body);
    let (message, finish) = match call(body) {
        Some((name, arguments)) => (
            json!({ "role": "assistant", "content": null, "refusal": null, "tool_calls": [
                { "id": "call_stub_1", "type": "function", "function": { "name": name, "arguments": arguments } }
            ]}),
            "tool_calls",
        ),
        None => (json!({ "role": "assistant", "content": words.concat(), "refusal": null }), "stop"),
    };
    json!({
        "id": "chatcmpl-stub", "object": "chat.completion", "created": 1_700_000_000, "model": body["model"],
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish }],
        "usage": usage(words.len()), "system_fingerprint": "fp_stub",
    })
}

pub fn events(body: &Value, counts: bool) -> Vec<Bytes> {
    sent(&chunks(body, counts))
}

/// The same where what was used stands in the last event that says something.
pub fn events_used_at_the_end(body: &Value) -> Vec<Bytes> {
    let mut chunks = chunks(body, false);
    if let Some(last) = chunks.last_mut() {
        last["usage"] = usage(words(body).len());
    }
    sent(&chunks)
}

fn sent(chunks: &[Value]) -> Vec<Bytes> {
    let events = chunks.iter().map(|chunk| Bytes::from(format!("data: {chunk}\n\n")));
    events.chain([Bytes::from_static(b"data: [DONE]\n\n")]).collect()
}

fn chunks(body: &Value, counts: bool) -> Vec<Value> {
    let chunk = |choices: Value| {
        let mut chunk = json!({
            "id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": body["model"], "system_fingerprint": "fp_stub", "choices": choices,
        });
        if body["stream_options"]["include_usage"] == true {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let delta = |delta: Value, finish: Value| {
        chunk(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]))
    };
    let mut events = vec![delta(json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null)];
    let words = words(body);
    match call(body) {
        Some((name, arguments)) => {
            let begun = json!({ "index": 0, "id": "call_stub_1", "type": "function",
                "function": { "name": name, "arguments": "" } });
            events.push(delta(json!({ "tool_calls": [begun] }), Value::Null));
            let (first, second) = arguments.split_at(9);
            for piece in [first, second] {
                let more = json!({ "index": 0, "function": { "arguments": piece } });
                events.push(delta(json!({ "tool_calls": [more] }), Value::Null));
            }
            events.push(delta(json!({}), json!("tool_calls")));
        }
        None => {
            events.extend(words.iter().map(|word| delta(json!({ "content": word }), Value::Null)));
            events.push(delta(json!({}), json!("stop")));
        }
    }
    if counts && body["stream_options"]["include_usage"] == true {
        let mut last = chunk(json!([]));
        last["usage"] = usage(words.len());
        events.push(last);
    }
    events
}

pub fn embeddings(body: &Value) -> Value {
    let inputs = body["input"].as_array().map_or(1, Vec::len);
    let data: Vec<Value> = (0..inputs)
        .map(|index| json!({ "object": "embedding", "index": index, "embedding": [0.25, -0.5, 0.125] }))
        .collect();
    json!({
        "object": "list", "data": data, "model": body["model"],
        "usage": { "prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS },
    })
}
