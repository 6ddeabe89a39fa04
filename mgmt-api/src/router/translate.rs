//! Between OpenAI's chat completions and Anthropic's messages, both ways: requests, whole answers and streams.
//!
//! Sources: <https://platform.openai.com/docs/api-reference/chat> and <https://docs.anthropic.com/en/api/messages>.
//! Only for a client that speaks one format and a provider that speaks the other; where both speak the same, nothing
//! is translated. What the other format has no word for is left out where the answer stays what was asked for, and
//! refused where it would not.

pub mod answer;
pub mod ask_anthropic;
pub mod ask_openai;
#[cfg(test)]
mod tests;
pub mod to_anthropic;
pub mod to_openai;

use serde_json::Value;

/// The text of a string, or of a list of parts that have text.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n\n")
        }
        _ => String::new(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Copies a field when it is there and says something.
fn copy(from: &Value, name: &str, to: &mut Value, new_name: &str) {
    if let Some(value) = from.get(name).filter(|value| !value.is_null()) {
        to[new_name] = value.clone();
    }
}

/// Why an answer ended, in OpenAI's words.
pub fn finish_reason(stop: &str) -> &'static str {
    match stop {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        _ => "stop",
    }
}

/// Why an answer ended, in Anthropic's words.
pub fn stop_reason(finish: &str) -> &'static str {
    match finish {
        "length" => "max_tokens",
        "tool_calls" | "function_call" => "tool_use",
        "content_filter" => "refusal",
        _ => "end_turn",
    }
}
