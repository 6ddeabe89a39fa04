//! A stream of Anthropic's events as OpenAI's chunks.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{answer, finish_reason};
use crate::router::sse;

/// What was said of the stream so far.
#[derive(Debug, Default)]
pub struct ToOpenAi {
    id: Value,
    model: Value,
    created: i64,
    usage_asked: bool,
    usage: Value,
    /// Tool calls begun.
    calls: i64,
}

impl ToOpenAi {
    /// `created` in seconds; with `usage_asked` the last chunk says what was used.
    #[must_use]
    pub fn new(created: i64, usage_asked: bool) -> Self {
        Self { created, usage_asked, usage: json!({}), ..Self::default() }
    }

    /// One event of Anthropic's, as none or more of OpenAI's.
    pub fn event(&mut self, data: &[u8], out: &mut Vec<Bytes>) {
        let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                self.id = event["message"]["id"].clone();
                self.model = event["message"]["model"].clone();
                self.note_usage(&event["message"]["usage"]);
                out.push(self.chunk(&json!({ "role": "assistant", "content": "" }), None));
            }
            "content_block_start" if event["content_block"]["type"] == "tool_use" => {
                self.calls += 1;
                let block = &event["content_block"];
                let call = json!({
                    "index": self.calls - 1,
                    "id": block["id"],
                    "type": "function",
                    "function": { "name": block["name"], "arguments": "" },
                });
                out.push(self.chunk(&json!({ "tool_calls": [call] }), None));
            }
            "content_block_delta" => out.extend(self.delta(&event["delta"])),
            "message_delta" => {
                self.note_usage(&event["usage"]);
                let stop = event["delta"]["stop_reason"].as_str().unwrap_or_default();
                out.push(self.chunk(&json!({}), Some(finish_reason(stop))));
            }
            "message_stop" => {
                if self.usage_asked {
                    let mut last = self.frame(json!([]));
                    last["usage"] = answer::usage_to_openai(&self.usage);
                    out.push(sse::plain(&last));
                }
                out.push(sse::DONE);
            }
            // Keeps the connection alive; clients skip comments.
            "ping" => out.push(Bytes::from_static(b": ping\n\n")),
            _ => {}
        }
    }

    fn delta(&self, delta: &Value) -> Option<Bytes> {
        Some(match delta["type"].as_str()? {
            "text_delta" => self.chunk(&json!({ "content": delta["text"] }), None),
            "thinking_delta" => self.chunk(&json!({ "reasoning_content": delta["thinking"] }), None),
            "input_json_delta" if self.calls > 0 => {
                let call =
                    json!({ "index": self.calls - 1, "function": { "arguments": delta["partial_json"] } });
                self.chunk(&json!({ "tool_calls": [call] }), None)
            }
            _ => return None,
        })
    }

    fn note_usage(&mut self, usage: &Value) {
        for (name, value) in usage.as_object().into_iter().flatten() {
            if value.is_number() {
                self.usage[name] = value.clone();
            }
        }
    }

    fn chunk(&self, delta: &Value, finish: Option<&str>) -> Bytes {
        sse::plain(&self.frame(json!([{ "index": 0, "delta": delta, "finish_reason": finish }])))
    }

    fn frame(&self, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }
}
