//! An OpenAI request as Anthropic's API takes it.

use serde_json::{Value, json};

use super::{copy, list, text_of};
use crate::problem::{ApiError, ApiResult};

/// How long an answer may get when the request does not say: Anthropic wants a number.
const MOST_TOKENS: u32 = 4_096;

/// `model` replaces the request's; `most` is how much the model can answer, tokens, where known.
///
/// # Errors
/// `invalid_request` for what Anthropic's models cannot do: several answers, sound, OpenAI's own search of the web.
pub fn request(asked: &Value, model: &str, most: Option<u32>) -> ApiResult<Value> {
    if asked["n"].as_u64().is_some_and(|n| n > 1) {
        return Err(ApiError::invalid("n", "This model gives one answer to a request."));
    }
    if !asked["web_search_options"].is_null() {
        return Err(ApiError::invalid("web_search_options", "Only OpenAI's models search the web so."));
    }
    let mut system = Vec::new();
    let mut messages: Vec<Value> = Vec::new();
    for message in list(&asked["messages"]) {
        match message["role"].as_str().unwrap_or_default() {
            "system" | "developer" => system.push(text_of(&message["content"])),
            "assistant" => say(&mut messages, "assistant", assistant(message)?),
            "tool" | "function" => say(&mut messages, "user", vec![tool_result(message)?]),
            _ => say(&mut messages, "user", parts(&message["content"])?),
        }
    }
    if let Some(wish) = answer_format(&asked["response_format"]) {
        system.push(wish);
    }
    let length = ["max_completion_tokens", "max_tokens"].iter().find_map(|name| asked[*name].as_u64());
    let mut out = json!({
        "model": model,
        "max_tokens": length.unwrap_or_else(|| u64::from(most.unwrap_or(MOST_TOKENS))),
        "messages": messages,
    });
    if !system.is_empty() {
        out["system"] = json!(system.join("\n\n"));
    }
    if let Some(heat) = asked["temperature"].as_f64() {
        out["temperature"] = json!(heat.clamp(0.0, 1.0));
    }
    for name in ["top_p", "stream"] {
        copy(asked, name, &mut out, name);
    }
    match &asked["stop"] {
        Value::String(stop) => out["stop_sequences"] = json!([stop]),
        Value::Array(stops) => out["stop_sequences"] = json!(stops),
        _ => {}
    }
    if let Some(user) = asked["user"].as_str() {
        out["metadata"] = json!({ "user_id": user });
    }
    tools(asked, &mut out);
    Ok(out)
}

/// Adds to the last message when it has the same role: Anthropic wants all results of tools in one.
fn say(messages: &mut Vec<Value>, role: &str, blocks: Vec<Value>) {
    if blocks.is_empty() {
        return;
    }
    if let Some(last) = messages.last_mut().filter(|last| last["role"] == role)
        && let Some(content) = last["content"].as_array_mut()
    {
        content.extend(blocks);
        return;
    }
    messages.push(json!({ "role": role, "content": blocks }));
}

fn parts(content: &Value) -> ApiResult<Vec<Value>> {
    match content {
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => Ok(vec![json!({ "type": "text", "text": text })]),
        Value::Array(parts) => parts.iter().map(part).filter_map(Result::transpose).collect(),
        _ => Ok(Vec::new()),
    }
}

fn part(part: &Value) -> ApiResult<Option<Value>> {
    Ok(Some(match part["type"].as_str().unwrap_or("text") {
        "text" | "input_text" | "refusal" => {
            let text = part["text"].as_str().or(part["refusal"].as_str()).unwrap_or_default();
            if text.is_empty() {
                return Ok(None);
            }
            let mut block = json!({ "type": "text", "text": text });
            // Anthropic's own word, which clients of OpenAI's format send through gateways.
            copy(part, "cache_control", &mut block, "cache_control");
            block
        }
        "image_url" => {
            let url = part["image_url"]["url"].as_str().or(part["image_url"].as_str()).unwrap_or_default();
            json!({ "type": "image", "source": source(url) })
        }
        "file" => {
            let file = &part["file"];
            let data = file["file_data"].as_str().ok_or_else(|| {
                ApiError::invalid(
                    "messages",
                    "This provider takes a file's content, not its id at another provider.",
                )
            })?;
            let mut block = json!({ "type": "document", "source": source(data) });
            copy(file, "filename", &mut block, "title");
            block
        }
        other => {
            return Err(ApiError::invalid(
                "messages",
                format!("This provider does not take {other:?}. Ask a model that does."),
            ));
        }
    }))
}

/// `data:image/png;base64,…` or an address.
fn source(url: &str) -> Value {
    match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((media_type, data)) => json!({ "type": "base64", "media_type": media_type, "data": data }),
        None => json!({ "type": "url", "url": url }),
    }
}

fn assistant(message: &Value) -> ApiResult<Vec<Value>> {
    let mut blocks = parts(&message["content"])?;
    for call in list(&message["tool_calls"]) {
        blocks.push(json!({
            "type": "tool_use",
            "id": call["id"],
            "name": call["function"]["name"],
            "input": arguments(&call["function"]["arguments"])?,
        }));
    }
    if let Some(name) = message["function_call"]["name"].as_str() {
        let input = arguments(&message["function_call"]["arguments"])?;
        blocks
            .push(json!({ "type": "tool_use", "id": format!("call_{name}"), "name": name, "input": input }));
    }
    Ok(blocks)
}

fn arguments(text: &Value) -> ApiResult<Value> {
    match text.as_str().map(str::trim) {
        None | Some("") => Ok(json!({})),
        Some(text) => serde_json::from_str(text)
            .map_err(|_| ApiError::invalid("messages", "The arguments of a tool call are not JSON.")),
    }
}

fn tool_result(message: &Value) -> ApiResult<Value> {
    // The old form names the function and has no id.
    let id = match message["tool_call_id"].as_str() {
        Some(id) => id.to_owned(),
        None => format!("call_{}", message["name"].as_str().unwrap_or_default()),
    };
    let content = match &message["content"] {
        Value::String(text) => json!(text),
        other => json!(parts(other)?),
    };
    Ok(json!({ "type": "tool_result", "tool_use_id": id, "content": content }))
}

/// Anthropic's API has no word for it that all models take, so the model is told.
fn answer_format(format: &Value) -> Option<String> {
    match format["type"].as_str()? {
        "json_object" => Some("Answer with one JSON object and nothing else.".to_owned()),
        "json_schema" => Some(format!(
            "Answer with JSON that follows this schema, and nothing else: {}",
            format["json_schema"]["schema"]
        )),
        _ => None,
    }
}

fn tools(asked: &Value, out: &mut Value) {
    let functions = list(&asked["tools"]).iter().map(|tool| &tool["function"]);
    let tools: Vec<Value> = functions
        .chain(list(&asked["functions"]))
        .filter(|function| function["name"].is_string())
        .map(|function| {
            let mut tool = json!({ "name": function["name"] });
            copy(function, "description", &mut tool, "description");
            tool["input_schema"] = match function.get("parameters").filter(|schema| schema.is_object()) {
                Some(schema) => schema.clone(),
                None => json!({ "type": "object", "properties": {} }),
            };
            tool
        })
        .collect();
    if tools.is_empty() {
        return;
    }
    out["tools"] = json!(tools);
    let choice = if asked["tool_choice"].is_null() { &asked["function_call"] } else { &asked["tool_choice"] };
    let named = choice["function"]["name"].as_str().or(choice["name"].as_str());
    let mut choice = match (choice.as_str(), named) {
        (Some("required"), _) => json!({ "type": "any" }),
        (Some("none"), _) => json!({ "type": "none" }),
        (_, Some(name)) => json!({ "type": "tool", "name": name }),
        _ => json!({ "type": "auto" }),
    };
    if asked["parallel_tool_calls"] == false && choice["type"] != "none" {
        choice["disable_parallel_tool_use"] = json!(true);
    }
    if choice != json!({ "type": "auto" }) {
        out["tool_choice"] = choice;
    }
}
