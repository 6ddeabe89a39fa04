//! What the router has to know of a request, read in one pass without building it; and the request again with
//! another model in it and every other byte as it was sent.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::problem::{ApiError, ApiResult};

/// Bytes of a request that count as one token, by rule of thumb.
const BYTES_PER_TOKEN: usize = 4;
/// What a picture counts as, tokens.
const PICTURE_TOKENS: usize = 1_000;
/// A string this long without a space is no text: an encoded picture or file.
const NO_TEXT: usize = 2_048;

/// What a request needs of a model, as far as it shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    pub tools: bool,
    pub vision: bool,
    /// Estimated.
    pub input_tokens: u32,
    /// Tools, or code between fences.
    pub code: bool,
    /// A search of the web is asked for.
    pub research: bool,
    pub embeddings: bool,
    /// A known price: what may be spent is capped, and what cannot be counted is not spent.
    pub price: bool,
}

/// A request, looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    pub model: String,
    pub stream: bool,
    /// OpenAI's `stream_options.include_usage`.
    pub usage_asked: bool,
    pub needs: Needs,
    model_at: Range<usize>,
    options: Option<(Range<usize>, String)>,
}

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(borrow, default, deserialize_with = "as_it_is")]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
    #[serde(borrow, default)]
    system: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, default)]
    functions: Option<&'a RawValue>,
    #[serde(borrow, default)]
    web_search_options: Option<&'a RawValue>,
}

/// `null` is a value too: it stands where another would have to go.
fn as_it_is<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Looks at a request.
///
/// # Errors
/// `invalid_request` when it is not JSON, has no model, or a field twice that decides where it goes.
pub fn peek(body: &Bytes, embeddings: bool) -> ApiResult<Peek> {
    // A list would be read as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::invalid("body", "The request is a JSON object."));
    }
    let top: Top<'_> = serde_json::from_slice(body)
        .map_err(|error| ApiError::invalid("body", format!("The request cannot be read: {error}.")))?;
    let model: Cow<'_, str> = serde_json::from_str(top.model.get())
        .map_err(|_| ApiError::invalid("model", "The model is a name, as text."))?;
    let texts = [top.messages, top.system, top.input, top.tools, top.functions];
    let parts = || texts.iter().flatten().map(|raw| raw.get().as_bytes());
    let filled = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get().len() > 2);
    let has = |word: &str| parts().any(|part| memmem::find(part, word.as_bytes()).is_some());
    let tools = filled(top.tools) || filled(top.functions);
    let vision = !embeddings && (has("\"image_url\"") || has("\"image\""));
    let needs = Needs {
        tools,
        vision,
        input_tokens: u32::try_from(parts().map(tokens).sum::<usize>()).unwrap_or(u32::MAX),
        code: tools || has("```"),
        research: top.web_search_options.is_some() || (tools && has("\"web_search")),
        embeddings,
        price: false,
    };
    let options = top.stream_options.map(|raw| (place(body, raw), raw.get().to_owned()));
    Ok(Peek {
        model: model.into_owned(),
        stream: top.stream.unwrap_or(false),
        usage_asked: options.as_ref().is_some_and(|(_, text)| {
            serde_json::from_str::<serde_json::Value>(text)
                .is_ok_and(|options| options["include_usage"] == true)
        }),
        needs,
        model_at: place(body, top.model),
        options,
    })
}

/// Where a part that was borrowed from a body stands in it.
fn place(body: &Bytes, raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr().addr() - body.as_ptr().addr();
    start..start + raw.get().len()
}

/// Roughly how many tokens a piece of JSON is.
pub fn tokens(json: &[u8]) -> usize {
    if json.len() <= NO_TEXT {
        return json.len() / BYTES_PER_TOKEN;
    }
    let mut count = 0;
    let mut rest = json;
    while let Some(quote) = memchr::memchr(b'"', rest) {
        count += quote;
        let inside = &rest[quote + 1..];
        let end = memchr::memchr(b'"', inside).unwrap_or(inside.len());
        let text = &inside[..end];
        let encoded = end > NO_TEXT && memchr::memchr2(b' ', b'\\', &text[..NO_TEXT]).is_none();
        count += if encoded { PICTURE_TOKENS * BYTES_PER_TOKEN } else { end };
        rest = inside.get(end + 1..).unwrap_or_default();
    }
    (count + rest.len()) / BYTES_PER_TOKEN
}

impl Peek {
    /// Whether the client itself says how it wants its stream.
    pub fn says_stream_options(&self) -> bool {
        self.options.is_some()
    }

    /// The request for `model`. With `count`, a stream is asked to say what it used, as OpenAI's format can.
    ///
    /// # Errors
    /// `invalid_request` when `stream_options` is no object.
    pub fn request(&self, body: &Bytes, model: &str, count: bool) -> ApiResult<Bytes> {
        let same_model = model == self.model;
        let count = count && self.stream && !self.usage_asked;
        if same_model && !count {
            return Ok(body.clone());
        }
        let mut edits: Vec<(Range<usize>, String)> = Vec::with_capacity(2);
        if !same_model {
            edits.push((self.model_at.clone(), serde_json::to_string(model)?));
        }
        if count {
            edits.push(match &self.options {
                Some((at, text)) => (at.clone(), counting(text)?),
                None => {
                    // Right behind the brace that opens the request.
                    let at = memchr::memchr(b'{', body).map_or(0, |at| at + 1);
                    (at..at, r#""stream_options":{"include_usage":true},"#.to_owned())
                }
            });
        }
        edits.sort_by_key(|(at, _)| at.start);
        let mut out = BytesMut::with_capacity(body.len() + 64);
        let mut done = 0;
        for (at, text) in edits {
            out.extend_from_slice(&body[done..at.start]);
            out.extend_from_slice(text.as_bytes());
            done = at.end;
        }
        out.extend_from_slice(&body[done..]);
        Ok(out.freeze())
    }
}

/// The same without `stream_options`, for who takes no field that it does not know. All else stays to the letter.
///
/// # Errors
/// When it is no object, which [`Peek`] has seen that it is.
pub fn without_stream_options(body: &[u8]) -> ApiResult<Bytes> {
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_slice(body)?;
    fields.remove("stream_options");
    Ok(serde_json::to_vec(&fields)?.into())
}

fn counting(options: &str) -> ApiResult<String> {
    let mut options: serde_json::Value = serde_json::from_str(options)?;
    if options.is_null() {
        options = serde_json::json!({});
    }
    let fields = options
        .as_object_mut()
        .ok_or_else(|| ApiError::invalid("stream_options", "The stream's options are an object."))?;
    fields.insert("include_usage".into(), true.into());
    Ok(options.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn looked(body: &Value) -> (Bytes, Peek) {
        let body = Bytes::from(body.to_string());
        let peek = peek(&body, false).unwrap();
        (body, peek)
    }

    #[test]
    fn the_request_keeps_every_byte_but_the_model() {
        let body = Bytes::from_static(
            b" {\n \"x_new\" : [1.0, 1e3], \"mod\\u0065l\" :  \"auto\" , \"messages\":[ {\"role\":\"user\",\"content\":\"hi \\ud83d\\ude00\"} ]}\n",
        );
        let peek = peek(&body, false).unwrap();
        assert_eq!(peek.model, "auto");
        let sent = peek.request(&body, "a \"b\"", false).unwrap();
        assert_eq!(
            String::from_utf8(sent.to_vec()).unwrap(),
            String::from_utf8(body.to_vec()).unwrap().replace("\"auto\"", r#""a \"b\"""#)
        );
        let same = peek.request(&body, "auto", false).unwrap();
        assert_eq!(same.as_ptr(), body.as_ptr(), "nothing is copied when nothing changes");
    }

    #[test]
    fn a_second_model_does_not_slip_through() {
        let twice = Bytes::from_static(br#"{"model":"allowed","messages":[],"model":"other"}"#);
        assert_eq!(peek(&twice, false).unwrap_err().code, foreman_protocol::ProblemCode::InvalidRequest);
        for bad in [&b"[]"[..], b"{}", br#"{"model":7}"#, b"{\"model\":\"a\"", b""] {
            assert!(peek(&Bytes::from_static(bad), false).is_err());
        }
    }

    #[test]
    fn a_stream_is_asked_to_count_whatever_its_options_were() {
        for (options, rest) in [
            (None, 0),
            (Some(json!(null)), 0),
            (Some(json!({})), 0),
            (Some(json!({"include_obfuscation": false})), 1),
        ] {
            let mut body = json!({"model": "m", "stream": true});
            if let Some(options) = options {
                body["stream_options"] = options;
            }
            let (bytes, peek) = looked(&body);
            let sent: Value = serde_json::from_slice(&peek.request(&bytes, "n", true).unwrap()).unwrap();
            assert_eq!(
                (&sent["model"], &sent["stream_options"]["include_usage"]),
                (&json!("n"), &json!(true))
            );
            assert_eq!(sent["stream_options"].as_object().unwrap().len(), rest + 1);
        }
        let (bytes, peek) =
            looked(&json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}}));
        assert!(peek.usage_asked);
        assert_eq!(peek.request(&bytes, "m", true).unwrap(), bytes);
    }

    #[test]
    fn what_a_request_needs_shows_in_it() {
        let user = |content: Value| json!([{"role": "user", "content": content}]);
        let needs = |body: Value| looked(&body).1.needs;
        let plain = needs(json!({"model": "m", "messages": user(json!("hello")), "tools": []}));
        assert!(!plain.tools && !plain.vision && !plain.code && !plain.research);
        assert!(needs(json!({"model": "m", "messages": user(json!("```rust\n```"))})).code);
        let tools = needs(json!({"model": "m", "messages": [], "tools": [{"type": "web_search_20250305"}]}));
        assert!(tools.tools && tools.code && tools.research);
        let picture = json!([{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", "A".repeat(400_000))}}]);
        let picture = needs(json!({"model": "m", "messages": user(picture)}));
        assert!(picture.vision && (1_000..1_100).contains(&picture.input_tokens), "{picture:?}");
        let long = needs(json!({"model": "m", "messages": user(json!("word ".repeat(40_000)))}));
        assert!((49_000..51_000).contains(&long.input_tokens), "{long:?}");
    }

    proptest! {
        /// Whatever else a request holds, it arrives as it was but for its model.
        #[test]
        fn nothing_else_changes(
            names in proptest::collection::btree_set("[a-z_\"\\\\é]{1,8}", 0..5),
            values in proptest::collection::vec(any::<String>(), 5),
            model in any::<String>(),
            other in any::<String>(),
            stream in any::<bool>(),
        ) {
            let mut body = json!({});
            for (name, value) in names.into_iter().zip(values) {
                body[format!("x{name}")] = json!({ "deep": [value] });
            }
            body["model"] = json!(model);
            body["stream"] = json!(stream);
            let (bytes, peek) = looked(&body);
            let sent: Value = serde_json::from_slice(&peek.request(&bytes, &other, true).unwrap()).unwrap();
            body["model"] = json!(other);
            if stream {
                body["stream_options"] = json!({ "include_usage": true });
            }
            prop_assert_eq!(sent, body);
        }
    }
}
