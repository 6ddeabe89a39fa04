//! An Anthropic request as OpenAI's API takes it.

use serde_json::{Value, json};

use super::{copy, list, text_of};
use crate::problem::{ApiError, ApiResult};

/// `model` replaces the request's. OpenAI itself wants another name for the answer's length than the others.
///
/// # Errors
/// `invalid_request` for what only Anthropic can do: files that lie there, tools that only its models know and nothing else.
pub fn request(asked: &Value, model: &str, new_length: bool) -> ApiResult<Value> {
    let mut messages = Vec::new();
    let system = text_of(&asked["system"]);
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": system }));
    }
    for message in list(&asked["messages"]) {
        match message["role"].as_str() {
            Some("assistant") => messages.push(assistant(&message["content"])),
            _ => user(&message["content"], &mut messages)?,
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
    tools(asked, &mut out)?;
    Ok(out)
}

/// Results of tools are messages of their own, before what the person says.
fn user(content: &Value, messages: &mut Vec<Value>) -> ApiResult<()> {
    if let Value::String(text) = content {
        messages.push(json!({ "role": "user", "content": text }));
        return Ok(());
    }
    let mut parts = Vec::new();
    for block in list(content) {
        if block["type"] == "tool_result" {
            let (text, rest) = result(block)?;
            messages.push(json!({ "role": "tool", "tool_call_id": block["tool_use_id"], "content": text }));
            parts.extend(rest);
        } else {
            parts.push(part(block)?);
        }
    }
    let only_text = parts.iter().all(|part| part["type"] == "text");
    match parts.as_slice() {
        [] => {}
        // Not every server that speaks this format takes parts.
        [one] if only_text => messages.push(json!({ "role": "user", "content": one["text"] })),
        _ => messages.push(json!({ "role": "user", "content": parts })),
    }
    Ok(())
}

/// A tool's result: its text, and pictures, which go into the person's message because a tool's takes text only.
fn result(block: &Value) -> ApiResult<(String, Vec<Value>)> {
    let mut text = text_of(&block["content"]);
    if block["is_error"] == true {
        text = format!("Error: {text}");
    }
    let pictures = list(&block["content"]).iter().filter(|part| part["type"] != "text").map(part);
    Ok((text, pictures.collect::<ApiResult<_>>()?))
}

fn part(block: &Value) -> ApiResult<Value> {
    let source = &block["source"];
    let text = |text: &Value| json!({ "type": "text", "text": text });
    Ok(match (block["type"].as_str().unwrap_or_default(), source["type"].as_str()) {
        ("text", _) => text(&block["text"]),
        ("image", _) => json!({ "type": "image_url", "image_url": { "url": url(source)? } }),
        ("document", Some("text")) => text(&source["data"]),
        ("document", Some("content")) if is_text(&source["content"]) => {
            text(&json!(text_of(&source["content"])))
        }
        ("search_result", _) if is_text(&block["content"]) => {
            let said = [text_of(&block["title"]), text_of(source), text_of(&block["content"])];
            text(&json!(said.join("\n\n")))
        }
        ("document", _) => {
            let name = block["title"].as_str().unwrap_or("document.pdf");
            json!({ "type": "file", "file": { "filename": name, "file_data": url(source)? } })
        }
        (other, _) => {
            return Err(ApiError::invalid(
                "messages",
                format!("This provider does not take {other:?}. Ask a model that does."),
            ));
        }
    })
}

fn is_text(content: &Value) -> bool {
    list(content).iter().all(|block| block["type"] == "text")
}

/// Where the content is, or the content itself.
fn url(source: &Value) -> ApiResult<String> {
    match (source["type"].as_str(), source["data"].as_str(), source["url"].as_str()) {
        (Some("base64"), Some(data), _) => {
            Ok(format!("data:{};base64,{data}", source["media_type"].as_str().unwrap_or_default()))
        }
        (_, _, Some(url)) => Ok(url.to_owned()),
        _ => Err(ApiError::invalid(
            "messages",
            "This provider takes a file's content, not its id at another provider.",
        )),
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

fn tools(asked: &Value, out: &mut Value) -> ApiResult<()> {
    // Anthropic's own tools have no schema, and no other model knows them. Beside others they can be done without.
    let all = list(&asked["tools"]);
    let tools: Vec<Value> = all
        .iter()
        .filter(|tool| tool["input_schema"].is_object())
        .map(|tool| {
            let mut function = json!({ "name": tool["name"], "parameters": tool["input_schema"] });
            copy(tool, "description", &mut function, "description");
            json!({ "type": "function", "function": function })
        })
        .collect();
    let choice = &asked["tool_choice"];
    let is_left_out = |tool: &Value| !tool["input_schema"].is_object() && tool["name"] == choice["name"];
    let none_is_called = choice["type"] == "none";
    if tools.is_empty() && !all.is_empty() && !none_is_called
        || choice["type"] == "tool" && all.iter().any(is_left_out)
    {
        return Err(ApiError::invalid(
            "tools",
            "Only Anthropic's models know these tools, and this one is of another provider. Ask one of Anthropic's.",
        ));
    }
    if tools.is_empty() {
        return Ok(());
    }
    out["tools"] = json!(tools);
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
    Ok(())
}
