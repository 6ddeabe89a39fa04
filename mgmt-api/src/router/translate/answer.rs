//! Whole answers, both ways.

use serde_json::{Value, json};

use super::{finish_reason, list, stop_reason};

/// Anthropic's message as an OpenAI chat completion. `created` in seconds.
#[must_use]
pub fn to_openai(message: &Value, created: i64) -> Value {
    let blocks = list(&message["content"]);
    let joined = |kind: &str, field: &str| -> String {
        blocks
            .iter()
            .filter(|block| block["type"] == kind)
            .filter_map(|block| block[field].as_str())
            .collect()
    };
    let calls: Vec<Value> = blocks
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| {
            json!({
                "id": block["id"],
                "type": "function",
                "function": { "name": block["name"], "arguments": block["input"].to_string() },
            })
        })
        .collect();
    let text = joined("text", "text");
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { json!(text) };
    let mut said = json!({ "role": "assistant", "content": content, "refusal": null });
    if !calls.is_empty() {
        said["tool_calls"] = json!(calls);
    }
    let thought = joined("thinking", "thinking");
    if !thought.is_empty() {
        said["reasoning_content"] = json!(thought);
    }
    json!({
        "id": message["id"],
        "object": "chat.completion",
        "created": created,
        "model": message["model"],
        "choices": [{
            "index": 0,
            "message": said,
            "logprobs": null,
            "finish_reason": finish_reason(message["stop_reason"].as_str().unwrap_or_default()),
        }],
        "usage": usage_to_openai(&message["usage"]),
    })
}

/// Anthropic counts what was cached beside the input, OpenAI within it.
#[must_use]
pub fn usage_to_openai(usage: &Value) -> Value {
    let number = |name: &str| usage[name].as_i64().unwrap_or(0);
    let cached = number("cache_read_input_tokens");
    let prompt = number("input_tokens") + cached + number("cache_creation_input_tokens");
    let output = number("output_tokens");
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": { "cached_tokens": cached },
    })
}

/// The other way round.
#[must_use]
pub fn usage_to_anthropic(usage: &Value) -> Value {
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let cached = number(&usage["prompt_tokens_details"]["cached_tokens"]);
    json!({
        "input_tokens": (number(&usage["prompt_tokens"]) - cached).max(0),
        "output_tokens": number(&usage["completion_tokens"]),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
    })
}

/// An OpenAI chat completion as Anthropic's message.
#[must_use]
pub fn to_anthropic(completion: &Value) -> Value {
    let choice = &completion["choices"][0];
    let said = &choice["message"];
    let mut blocks = Vec::new();
    if let Some(thought) = said["reasoning_content"].as_str().or(said["reasoning"].as_str())
        && !thought.is_empty()
    {
        blocks.push(json!({ "type": "thinking", "thinking": thought, "signature": "" }));
    }
    let text = said["content"].as_str().or(said["refusal"].as_str()).unwrap_or_default();
    if !text.is_empty() {
        blocks.push(json!({ "type": "text", "text": text }));
    }
    for call in list(&said["tool_calls"]) {
        blocks.push(json!({
            "type": "tool_use",
            "id": call["id"],
            "name": call["function"]["name"],
            "input": input(call["function"]["arguments"].as_str().unwrap_or_default()),
        }));
    }
    let mut stop = stop_reason(choice["finish_reason"].as_str().unwrap_or_default());
    // Some servers say "stop" where a tool is called.
    if stop == "end_turn" && !list(&said["tool_calls"]).is_empty() {
        stop = "tool_use";
    }
    json!({
        "id": format!("msg_{}", completion["id"].as_str().unwrap_or("0")),
        "type": "message",
        "role": "assistant",
        "model": completion["model"],
        "content": blocks,
        "stop_reason": stop,
        "stop_sequence": null,
        "usage": usage_to_anthropic(&completion["usage"]),
    })
}

/// A tool's arguments; what is not JSON stays readable for whoever runs the tool.
fn input(arguments: &str) -> Value {
    match arguments.trim() {
        "" => json!({}),
        text => match serde_json::from_str::<Value>(text) {
            Ok(value) if value.is_object() => value,
            _ => json!({ "arguments": text }),
        },
    }
}
