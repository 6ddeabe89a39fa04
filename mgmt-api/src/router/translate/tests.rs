use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{answer, ask_anthropic, ask_openai, to_anthropic::ToAnthropic, to_openai::ToOpenAi};
use crate::router::sse;

/// A conversation with everything in it, in OpenAI's format.
fn openai_request() -> Value {
    json!({
        "model": "auto", "temperature": 1.7, "max_tokens": 500, "stop": "END", "user": "u1", "stream": true,
        "parallel_tool_calls": false, "tool_choice": "required", "seed": 7,
        "tools": [{ "type": "function", "function": {
            "name": "weather", "description": "Says it", "parameters": { "type": "object", "properties": { "city": { "type": "string" } } }
        }}],
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [
                { "type": "text", "text": "What is this?" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA", "detail": "low" } },
                { "type": "image_url", "image_url": { "url": "https://example.org/a.png" } }
            ]},
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "c1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" } },
                { "id": "c2", "type": "function", "function": { "name": "weather", "arguments": "" } }
            ]},
            { "role": "tool", "tool_call_id": "c1", "content": "sunny" },
            { "role": "tool", "tool_call_id": "c2", "content": [{ "type": "text", "text": "rain" }] },
            { "role": "user", "content": "And now?" }
        ]
    })
}

#[test]
fn an_openai_request_as_anthropic_documents_it() {
    let sent = ask_anthropic::request(&openai_request(), "claude", None).unwrap();
    assert_eq!(
        sent,
        json!({
            "model": "claude", "max_tokens": 500, "temperature": 1.0, "stop_sequences": ["END"], "stream": true,
            "metadata": { "user_id": "u1" }, "system": "Be brief.",
            "tool_choice": { "type": "any", "disable_parallel_tool_use": true },
            "tools": [{ "name": "weather", "description": "Says it",
                "input_schema": { "type": "object", "properties": { "city": { "type": "string" } } } }],
            "messages": [
                { "role": "user", "content": [
                    { "type": "text", "text": "What is this?" },
                    { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
                    { "type": "image", "source": { "type": "url", "url": "https://example.org/a.png" } }
                ]},
                { "role": "assistant", "content": [
                    { "type": "tool_use", "id": "c1", "name": "weather", "input": { "city": "Paris" } },
                    { "type": "tool_use", "id": "c2", "name": "weather", "input": {} }
                ]},
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "c1", "content": "sunny" },
                    { "type": "tool_result", "tool_use_id": "c2", "content": [{ "type": "text", "text": "rain" }] },
                    { "type": "text", "text": "And now?" }
                ]}
            ]
        })
    );
}

#[test]
fn what_the_other_format_cannot_do_is_refused_not_forgotten() {
    let request = |change: Value| {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] });
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        ask_anthropic::request(&body, "claude", Some(64_000))
    };
    assert!(request(json!({ "n": 2 })).is_err());
    assert!(request(json!({ "web_search_options": {} })).is_err());
    let sound = json!({ "messages": [{ "role": "user", "content": [{ "type": "input_audio", "input_audio": {} }] }] });
    assert!(request(sound).is_err());
    let plain = request(json!({})).unwrap();
    assert_eq!((&plain["max_tokens"], &plain["tool_choice"]), (&json!(64_000), &Value::Null));
    let schema = request(
        json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": { "type": "object" } } } }),
    );
    assert!(schema.unwrap()["system"].as_str().unwrap().contains(r#"{"type":"object"}"#));
}

#[test]
fn what_only_anthropic_can_do_is_refused_not_forgotten() {
    let request = |content: Value, tools: Value, choice: Value| {
        let messages = json!([{ "role": "user", "content": content }]);
        let body = json!({ "model": "m", "max_tokens": 9, "messages": messages, "tools": tools, "tool_choice": choice });
        ask_openai::request(&body, "gpt", true)
    };
    let of = |source: Value| json!([{ "type": "document", "title": "a", "source": source }]);
    let plain = |content: Value| request(content, json!([]), Value::Null);
    // A file that lies at Anthropic is nothing to others, least of all an empty address.
    for kind in ["image", "document"] {
        let source = json!({ "type": "file", "file_id": "file_1" });
        assert!(plain(json!([{ "type": kind, "source": source }])).is_err(), "{kind}");
        let inside = json!([{ "type": kind, "source": source }]);
        let result = json!([{ "type": "tool_result", "tool_use_id": "t", "content": inside }]);
        assert!(plain(result).is_err(), "{kind} in a result");
    }
    assert!(plain(json!([{ "type": "container_upload", "file_id": "file_1" }])).is_err());
    let words = json!([{ "type": "text", "text": "one" }, { "type": "text", "text": "two" }]);
    let sent = plain(of(json!({ "type": "content", "content": words.clone() }))).unwrap();
    assert_eq!(sent["messages"][0]["content"], "one\n\ntwo");
    let picture =
        json!([{ "type": "image", "source": { "type": "url", "url": "https://example.org/a.png" } }]);
    assert!(plain(of(json!({ "type": "content", "content": picture }))).is_err());
    let found =
        json!({ "type": "search_result", "source": "https://example.org", "title": "A", "content": words });
    let sent = plain(json!([found])).unwrap();
    assert_eq!(sent["messages"][0]["content"], "A\n\nhttps://example.org\n\none\n\ntwo");
    let sent = plain(of(json!({ "type": "url", "url": "https://example.org/a.pdf" }))).unwrap();
    assert_eq!(sent["messages"][0]["content"][0]["file"]["file_data"], "https://example.org/a.pdf");
    // A search that runs at Anthropic can be done without beside other tools, unless it is what is asked for.
    let search = json!({ "type": "web_search_20250305", "name": "web_search" });
    let weather = json!({ "name": "weather", "input_schema": { "type": "object" } });
    let wish = |name: &str| json!({ "type": "tool", "name": name });
    assert!(request(json!("x"), json!([search]), Value::Null).is_err());
    assert!(request(json!("x"), json!([search]), json!({ "type": "none" })).is_ok());
    assert!(request(json!("x"), json!([search, weather]), wish("web_search")).is_err());
    assert!(request(json!("x"), json!([search, weather]), wish("weather")).is_ok());
    assert!(
        request(json!("x"), json!([]), wish("web_search")).is_ok(),
        "the provider says what is wrong with it"
    );
}

#[test]
fn an_anthropic_request_as_openai_documents_it() {
    let asked = json!({
        "model": "x", "max_tokens": 300, "system": [{ "type": "text", "text": "Be" }, { "type": "text", "text": "brief." }],
        "stop_sequences": ["END"], "stream": true, "metadata": { "user_id": "u1" }, "top_k": 3,
        "thinking": { "type": "enabled", "budget_tokens": 1024 },
        "tool_choice": { "type": "tool", "name": "weather", "disable_parallel_tool_use": true },
        "tools": [
            { "name": "weather", "description": "Says it", "input_schema": { "type": "object" } },
            { "type": "web_search_20250305", "name": "web_search" }
        ],
        "messages": [
            { "role": "user", "content": [
                { "type": "text", "text": "What is this?" },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } }
            ]},
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "s" },
                { "type": "text", "text": "Looking." },
                { "type": "tool_use", "id": "t1", "name": "weather", "input": { "city": "Paris" } }
            ]},
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": [
                    { "type": "text", "text": "no net" },
                    { "type": "image", "source": { "type": "url", "url": "https://example.org/a.png" } }
                ]},
                { "type": "text", "text": "Well?" }
            ]}
        ]
    });
    let sent = ask_openai::request(&asked, "gpt", true).unwrap();
    assert_eq!(
        sent,
        json!({
            "model": "gpt", "max_completion_tokens": 300, "stop": ["END"], "stream": true, "user": "u1",
            "stream_options": { "include_usage": true }, "parallel_tool_calls": false,
            "tool_choice": { "type": "function", "function": { "name": "weather" } },
            "tools": [{ "type": "function", "function": { "name": "weather", "description": "Says it", "parameters": { "type": "object" } } }],
            "messages": [
                { "role": "system", "content": "Be\n\nbrief." },
                { "role": "user", "content": [
                    { "type": "text", "text": "What is this?" },
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } }
                ]},
                { "role": "assistant", "content": "Looking.", "tool_calls": [
                    { "id": "t1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" } }
                ]},
                { "role": "tool", "tool_call_id": "t1", "content": "Error: no net" },
                { "role": "user", "content": [
                    { "type": "image_url", "image_url": { "url": "https://example.org/a.png" } },
                    { "type": "text", "text": "Well?" }
                ]}
            ]
        })
    );
    assert!(ask_openai::request(&asked, "m", false).unwrap()["max_tokens"] == 300);
}

#[test]
fn whole_answers_keep_their_words_tools_and_numbers_both_ways() {
    let anthropic = json!({
        "id": "m1", "type": "message", "role": "assistant", "model": "claude",
        "content": [
            { "type": "text", "text": "Looking." },
            { "type": "tool_use", "id": "t1", "name": "weather", "input": { "city": "Paris" } }
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": { "input_tokens": 8, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0, "output_tokens": 5 }
    });
    let openai = answer::to_openai(&anthropic, 1);
    let choice = &openai["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &json!("Looking."))
    );
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"],
        json!({ "name": "weather", "arguments": "{\"city\":\"Paris\"}" })
    );
    assert_eq!(openai["usage"]["prompt_tokens"], 12);
    assert_eq!(openai["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    let mut back = answer::to_anthropic(&openai);
    back["id"] = json!("m1");
    assert_eq!(back, anthropic);
    for (stop, finish) in [("end_turn", "stop"), ("max_tokens", "length"), ("refusal", "content_filter")] {
        assert_eq!((super::finish_reason(stop), super::stop_reason(finish)), (finish, stop));
    }
}

fn data(events: &[Bytes]) -> Vec<Value> {
    let data = events.iter().filter_map(|event| sse::data(event).map(std::borrow::Cow::into_owned));
    data.filter(|data| data != b"[DONE]").map(|data| serde_json::from_slice(&data).unwrap()).collect()
}

/// Puts an Anthropic stream together as their libraries do.
fn assembled(events: &[Bytes]) -> (Vec<Value>, String, Value) {
    let (mut blocks, mut stop, mut usage) = (Vec::<Value>::new(), String::new(), Value::Null);
    let mut inputs = Vec::<String>::new();
    let mut open = None;
    for event in data(events) {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(open.is_none(), "one block at a time");
                open = event["index"].as_u64();
                assert_eq!(open, Some(blocks.len() as u64));
                blocks.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                assert_eq!(event["index"].as_u64(), open);
                let at = blocks.len() - 1;
                let delta = &event["delta"];
                match delta["type"].as_str().unwrap() {
                    "text_delta" => {
                        blocks[at]["text"] = json!(
                            blocks[at]["text"].as_str().unwrap().to_owned() + delta["text"].as_str().unwrap()
                        )
                    }
                    "input_json_delta" => inputs[at] += delta["partial_json"].as_str().unwrap(),
                    _ => {}
                }
            }
            "content_block_stop" => {
                let at = open.take().unwrap() as usize;
                if blocks[at]["type"] == "tool_use" && !inputs[at].is_empty() {
                    blocks[at]["input"] = serde_json::from_str(&inputs[at]).unwrap();
                }
            }
            "message_delta" => {
                stop = event["delta"]["stop_reason"].as_str().unwrap().to_owned();
                usage = event["usage"].clone();
            }
            _ => {}
        }
    }
    (blocks, stop, usage)
}

fn through_anthropic(chunks: &[Value]) -> Vec<Bytes> {
    let mut translator = ToAnthropic::new(9);
    let mut out = Vec::new();
    for chunk in chunks {
        translator.event(chunk.to_string().as_bytes(), &mut out);
    }
    translator.event(b"[DONE]", &mut out);
    translator.end(&mut out);
    out
}

#[test]
fn a_stream_of_chunks_becomes_a_whole_message() {
    let delta = |delta: Value, finish: Value| json!({ "id": "c", "model": "gpt", "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
    let call = |index: u32, id: Value, name: Value, arguments: &str| {
        delta(
            json!({ "tool_calls": [{ "index": index, "id": id, "function": { "name": name, "arguments": arguments } }] }),
            Value::Null,
        )
    };
    let events = through_anthropic(&[
        delta(json!({ "role": "assistant", "content": "" }), Value::Null),
        delta(json!({ "reasoning_content": "hm" }), Value::Null),
        delta(json!({ "content": "Look" }), Value::Null),
        delta(json!({ "content": "ing." }), Value::Null),
        call(0, json!("t1"), json!("weather"), ""),
        call(0, Value::Null, Value::Null, "{\"city\":"),
        call(0, Value::Null, Value::Null, "\"Paris\"}"),
        call(1, json!("t2"), json!("time"), "{}"),
        delta(json!({}), json!("tool_calls")),
        json!({ "id": "c", "choices": [], "usage": { "prompt_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": { "cached_tokens": 4 } } }),
    ]);
    let (blocks, stop, usage) = assembled(&events);
    assert_eq!(stop, "tool_use");
    assert_eq!(blocks[1], json!({ "type": "text", "text": "Looking." }));
    assert_eq!(
        blocks[2],
        json!({ "type": "tool_use", "id": "t1", "name": "weather", "input": { "city": "Paris" } })
    );
    assert_eq!(blocks[3]["input"], json!({}));
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(8), &json!(5)));
    let names: Vec<Value> = data(&events).iter().map(|event| event["type"].clone()).collect();
    assert_eq!((&names[0], names.last().unwrap()), (&json!("message_start"), &json!("message_stop")));
    assert_eq!(names.iter().filter(|name| **name == "message_stop").count(), 1);
}

#[test]
fn a_stream_of_events_becomes_chunks() {
    let mut translator = ToOpenAi::new(7, true);
    let mut out = Vec::new();
    for event in [
        json!({ "type": "message_start", "message": { "id": "m1", "model": "claude", "usage": { "input_tokens": 8, "cache_read_input_tokens": 4, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Looking." } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "tool_use", "id": "t1", "name": "weather", "input": {} } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "{\"city\":\"Paris\"}" } }),
        json!({ "type": "content_block_stop", "index": 1 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 5 } }),
        json!({ "type": "message_stop" }),
    ] {
        translator.event(event.to_string().as_bytes(), &mut out);
    }
    assert_eq!(out.last().unwrap(), &sse::DONE);
    let chunks = data(&out);
    assert!(chunks.iter().all(|chunk| chunk["id"] == "m1" && chunk["object"] == "chat.completion.chunk"));
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas[0]["role"], "assistant");
    assert_eq!(deltas[1]["content"], "Looking.");
    assert_eq!(deltas[2]["tool_calls"][0]["function"]["name"], "weather");
    assert_eq!(
        deltas[3]["tool_calls"][0],
        json!({ "index": 0, "function": { "arguments": "{\"city\":\"Paris\"}" } })
    );
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!((&chunks[5]["choices"], &chunks[5]["usage"]["prompt_tokens"]), (&json!([]), &json!(12)));
}

proptest! {
    /// Whatever is said, it is heard on the other side: no word is lost, doubled or moved.
    #[test]
    fn no_word_is_lost_between_the_formats(pieces in proptest::collection::vec(".{1,12}", 1..12)) {
        let chunks: Vec<Value> = pieces
            .iter()
            .map(|piece| json!({ "id": "c", "choices": [{ "delta": { "content": piece } }] }))
            .chain([json!({ "id": "c", "choices": [{ "delta": {}, "finish_reason": "stop" }] })])
            .collect();
        let events = through_anthropic(&chunks);
        let (blocks, stop, _) = assembled(&events);
        prop_assert_eq!(blocks[0]["text"].as_str().unwrap(), pieces.concat());
        prop_assert_eq!(stop, "end_turn");
        let mut back = ToOpenAi::new(0, false);
        let mut out = Vec::new();
        for event in &events {
            back.event(&sse::data(event).unwrap(), &mut out);
        }
        let text: String = data(&out).iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect();
        prop_assert_eq!(text, pieces.concat());
    }

    /// A conversation that goes to the other format and back says the same.
    #[test]
    fn a_conversation_survives_the_way_there_and_back(
        turns in proptest::collection::vec(("[a-z]{1,8}", "[a-z]{1,8}", any::<bool>()), 1..5),
    ) {
        let mut messages = vec![json!({ "role": "system", "content": "s" })];
        for (nth, (asked, said, tool)) in turns.iter().enumerate() {
            messages.push(json!({ "role": "user", "content": asked }));
            if *tool {
                let id = format!("t{nth}");
                messages.push(json!({ "role": "assistant", "content": said, "tool_calls": [
                    { "id": id, "type": "function", "function": { "name": "f", "arguments": json!({ "x": said }).to_string() } }] }));
                messages.push(json!({ "role": "tool", "tool_call_id": id, "content": asked }));
            }
            messages.push(json!({ "role": "assistant", "content": said }));
        }
        let there = ask_anthropic::request(&json!({ "messages": messages }), "m", None).unwrap();
        let back = ask_openai::request(&there, "m", false).unwrap();
        prop_assert_eq!(&back["messages"], &json!(messages));
    }
}
