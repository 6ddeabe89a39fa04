//! An Anthropic request as OpenAI's API takes it.

use serde_json::{Value, json};

use super::{copy, list, text_of};

/// `model` replaces the request's. OpenAI itself wants another name for the answer's length than the others.
#[must_use]
pub fn request(asked: &Value, model: &str, new_length: bool) -> Value {
    let mut messages = Vec::new();
    let system = text_of(&asked["system"]);
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": system }));
    }
    for message in list(&asked["messages"]) {
        match message["role"].as_str() {
            Some("assistant") => messages.push(assistant(&message["content"])),
            _ => user(&message["content"], &mut messages),
        }
    }
    let mut out = json!({ "model": model, "messages": messages });
    let length = if new_length { "max_completion_tokens" } else { "max_tokens" };
    copy(asked, "max_tokens", &mut out, length);
    for name in ["temperature", "top_p", "stream"] {
        copy(asked, name, &mut out, name);
    }
    if asked["stream"] == true {
        out["stream_options"] = json!({ "include_usage": true });
    }
    if let Some(stops) = asked["stop_sequences"].as_array().filter(|stops| !stops.is_empty()) {
        out["stop"] = json!(stops);
    }
    if let Some(user) = asked["metadata"]["user_id"].as_str() {
        out["user"] = json!(user);
    }
    tools(asked, &mut out);
    out
}

/// Results of tools are messages of their own, before what the person says.
fn user(content: &Value, messages: &mut Vec<Value>) {
    if let Value::String(text) = content {
        messages.push(json!({ "role": "user", "content": text }));
        return;
    }
    let mut parts = Vec::new();
    for block in list(content) {
        if block["type"] == "tool_result" {
            let (text, rest) = result(block);
            messages.push(json!({ "role": "tool", "tool_call_id": block["tool_use_id"], "content": text }));
            parts.extend(rest);
        } else {
            parts.extend(part(block));
        }
    }
    let only_text = parts.iter().all(|part| part["type"] == "text");
    match parts.as_slice() {
        [] => {}
        // Not every server that speaks this format takes parts.
        [one] if only_text => messages.push(json!({ "role": "user", "content": one["text"] })),
        _ => messages.push(json!({ "role": "user", "content": parts })),
    }
}

/// A tool's result: its text, and pictures, which go into the person's message because a tool's takes text only.
fn result(block: &Value) -> (String, Vec<Value>) {
    let mut text = text_of(&block["content"]);
    if block["is_error"] == true {
        text = format!("Error: {text}");
    }
    let pictures =
        list(&block["content"]).iter().filter(|part| part["type"] != "text").filter_map(part).collect();
    (text, pictures)
}

fn part(block: &Value) -> Option<Value> {
    let source = &block["source"];
    let url = match source["type"].as_str() {
        Some("base64") => {
            let data = source["data"].as_str().unwrap_or_default();
            format!("data:{};base64,{data}", source["media_type"].as_str().unwrap_or_default())
        }
        _ => source["url"].as_str().unwrap_or_default().to_owned(),
    };
    match block["type"].as_str()? {
        "text" => Some(json!({ "type": "text", "text": block["text"] })),
        "image" => Some(json!({ "type": "image_url", "image_url": { "url": url } })),
        "document" if source["type"] == "text" => Some(json!({ "type": "text", "text": source["data"] })),
        "document" => {
            let name = block["title"].as_str().unwrap_or("document.pdf");
            Some(json!({ "type": "file", "file": { "filename": name, "file_data": url } }))
        }
        _ => None,
    }
}

fn assistant(content: &Value) -> Value {
    let text = match content {
        Value::String(text) => text.clone(),
        blocks => list(blocks)
            .iter()
            .filter(|block| block["type"] == "text")
            .filter_map(|block| block["text"].as_str())
            .collect(),
    };
    let calls: Vec<Value> = list(content)
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| {
            let arguments = if block["input"].is_null() { json!({}) } else { block["input"].clone() };
            json!({
                "id": block["id"],
                "type": "function",
                "function": { "name": block["name"], "arguments": arguments.to_string() },
            })
        })
        .collect();
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { json!(text) };
    let mut message = json!({ "role": "assistant", "content": content });
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    message
}

fn tools(asked: &Value, out: &mut Value) {
    // Tools that run at Anthropic have no schema, and nobody else has them.
    let tools: Vec<Value> = list(&asked["tools"])
        .iter()
        .filter(|tool| tool["input_schema"].is_object())
        .map(|tool| {
            let mut function = json!({ "name": tool["name"], "parameters": tool["input_schema"] });
            copy(tool, "description", &mut function, "description");
            json!({ "type": "function", "function": function })
        })
        .collect();
    if tools.is_empty() {
        return;
    }
    out["tools"] = json!(tools);
    let choice = &asked["tool_choice"];
    match choice["type"].as_str() {
        Some("any") => out["tool_choice"] = json!("required"),
        Some("none") => out["tool_choice"] = json!("none"),
        Some("tool") => {
            out["tool_choice"] = json!({ "type": "function", "function": { "name": choice["name"] } });
        }
        _ => {}
    }
    if choice["disable_parallel_tool_use"] == true {
        out["parallel_tool_calls"] = json!(false);
    }
}
