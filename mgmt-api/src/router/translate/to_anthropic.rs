//! A stream of OpenAI's chunks as Anthropic's events.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{answer, list, stop_reason};
use crate::router::sse;

/// What is open in Anthropic's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Thinking,
    /// The tool call of this index in OpenAI's chunks.
    Call(i64),
}

/// What was said of the stream so far.
#[derive(Debug)]
pub struct ToAnthropic {
    started: bool,
    ended: bool,
    open: Open,
    /// Blocks begun.
    blocks: i64,
    /// OpenAI's index of a tool call and its block, in the order they began.
    calls: Vec<(i64, i64)>,
    finish: Option<String>,
    usage: Value,
    /// Estimated, for the first event, which comes before anybody counted.
    input: i64,
}

impl ToAnthropic {
    #[must_use]
    pub fn new(input: i64) -> Self {
        Self {
            started: false,
            ended: false,
            open: Open::Nothing,
            blocks: 0,
            calls: Vec::new(),
            finish: None,
            usage: Value::Null,
            input,
        }
    }

    /// One chunk of OpenAI's, as none or more of Anthropic's events.
    pub fn event(&mut self, data: &[u8], out: &mut Vec<Bytes>) {
        if data == b"[DONE]" {
            return self.end(out);
        }
        let Ok(chunk) = serde_json::from_slice::<Value>(data) else { return };
        if !self.started {
            self.started = true;
            out.push(self.start(&chunk));
        }
        if chunk["usage"].is_object() {
            self.usage = chunk["usage"].clone();
        }
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        let thought = delta["reasoning_content"].as_str().or(delta["reasoning"].as_str());
        if let Some(thought) = thought.filter(|thought| !thought.is_empty()) {
            self.begin(Open::Thinking, &json!({ "type": "thinking", "thinking": "", "signature": "" }), out);
            self.piece(&json!({ "type": "thinking_delta", "thinking": thought }), out);
        }
        let text = delta["content"].as_str().or(delta["refusal"].as_str());
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.begin(Open::Text, &json!({ "type": "text", "text": "" }), out);
            self.piece(&json!({ "type": "text_delta", "text": text }), out);
        }
        for call in list(&delta["tool_calls"]) {
            self.call(call, out);
        }
        if let Some(finish) = choice["finish_reason"].as_str() {
            self.finish = Some(finish.to_owned());
        }
    }

    /// Ends the message. Twice is once.
    pub fn end(&mut self, out: &mut Vec<Bytes>) {
        if self.ended || !self.started {
            return;
        }
        self.ended = true;
        self.close(out);
        let mut stop = stop_reason(self.finish.as_deref().unwrap_or_default());
        if stop == "end_turn" && !self.calls.is_empty() {
            stop = "tool_use";
        }
        out.push(sse::named(
            "message_delta",
            &json!({
                "type": "message_delta",
                "delta": { "stop_reason": stop, "stop_sequence": null },
                "usage": answer::usage_to_anthropic(&self.usage),
            }),
        ));
        out.push(sse::named("message_stop", &json!({ "type": "message_stop" })));
    }

    fn start(&self, chunk: &Value) -> Bytes {
        let message = json!({
            "id": format!("msg_{}", chunk["id"].as_str().unwrap_or("0")),
            "type": "message",
            "role": "assistant",
            "model": chunk["model"],
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": { "input_tokens": self.input, "output_tokens": 0 },
        });
        sse::named("message_start", &json!({ "type": "message_start", "message": message }))
    }

    fn call(&mut self, call: &Value, out: &mut Vec<Bytes>) {
        let index = call["index"].as_i64().unwrap_or_else(|| i64::try_from(self.calls.len()).unwrap_or(0));
        let known = self.calls.iter().find(|(of, _)| *of == index).map(|(_, block)| *block);
        let block = match known {
            Some(block) => block,
            None => {
                let id = call["id"].as_str().map_or_else(|| format!("call_{index}"), str::to_owned);
                let begun =
                    json!({ "type": "tool_use", "id": id, "name": call["function"]["name"], "input": {} });
                self.begin(Open::Call(index), &begun, out);
                self.calls.push((index, self.blocks - 1));
                self.blocks - 1
            }
        };
        if let Some(json) = call["function"]["arguments"].as_str().filter(|json| !json.is_empty()) {
            let delta = json!({ "type": "input_json_delta", "partial_json": json });
            out.push(delta_event(block, &delta));
        }
    }

    /// Opens a block unless it is open; what was open before is closed.
    fn begin(&mut self, what: Open, block: &Value, out: &mut Vec<Bytes>) {
        if self.open == what {
            return;
        }
        self.close(out);
        self.open = what;
        let event = json!({ "type": "content_block_start", "index": self.blocks, "content_block": block });
        out.push(sse::named("content_block_start", &event));
        self.blocks += 1;
    }

    fn close(&mut self, out: &mut Vec<Bytes>) {
        if self.open != Open::Nothing {
            let event = json!({ "type": "content_block_stop", "index": self.blocks - 1 });
            out.push(sse::named("content_block_stop", &event));
            self.open = Open::Nothing;
        }
    }

    fn piece(&self, delta: &Value, out: &mut Vec<Bytes>) {
        out.push(delta_event(self.blocks - 1, delta));
    }
}

fn delta_event(index: i64, delta: &Value) -> Bytes {
    sse::named(
        "content_block_delta",
        &json!({ "type": "content_block_delta", "index": index, "delta": delta }),
    )
}
