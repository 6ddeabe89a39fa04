//! What providers tell of their models, read from the answers they document. Pure.

use foreman_protocol::{ModelPrice, ProviderKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// More than any provider has.
const MOST: usize = 2_000;
const LONGEST_ID: usize = 256;

/// A model as its provider lists it; kept as a row's JSON. What is absent it does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listed {
    #[serde(skip)]
    pub id: String,
    /// What it can do, tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u32>,
    /// Ollama: the context that the model's own parameters ask for, tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_ctx: Option<u32>,
    /// Ollama: it was asked for everything that is of use here.
    #[serde(skip_serializing_if = "is_false")]
    pub shown: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision: Option<bool>,
    #[serde(skip_serializing_if = "is_false")]
    pub embeddings: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<ModelPrice>,
    /// Bytes on a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Ollama: the same digest is the same model, whatever it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Ollama passes requests to it on to somebody else's machine.
    #[serde(skip_serializing_if = "is_false")]
    pub remote: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// The models in a vendor's answer; `None` when it is not a list of models.
pub fn read(kind: ProviderKind, answer: &[u8]) -> Option<Vec<Listed>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let rows = match kind {
        ProviderKind::Ollama => {
            answer.get("models").map(|rows| rows.as_array().map_or(&[][..], Vec::as_slice))?
        }
        // Google's own list has more in it than the one in OpenAI's form.
        ProviderKind::Google => answer.get("models").or_else(|| answer.get("data"))?.as_array()?,
        _ => answer.get("data")?.as_array()?,
    };
    let mut models: Vec<Listed> = rows.iter().filter_map(|row| one(kind, row)).take(MOST).collect();
    models.sort_by(|one, other| one.id.cmp(&other.id));
    models.dedup_by(|one, other| one.id == other.id);
    Some(models)
}

fn one(kind: ProviderKind, row: &Value) -> Option<Listed> {
    let name =
        if matches!(kind, ProviderKind::Ollama) || row["id"].is_null() { &row["name"] } else { &row["id"] };
    let id = name.as_str()?;
    let id = id.strip_prefix("models/").unwrap_or(id);
    if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
        return None;
    }
    let mut model = Listed { id: id.to_owned(), embeddings: id.contains("embed"), ..Listed::default() };
    match kind {
        ProviderKind::Openai if !answers_text(id) => return None,
        ProviderKind::Anthropic => {
            model.context = number(&row["max_input_tokens"]);
            model.output = number(&row["max_tokens"]);
        }
        ProviderKind::Google => google(row, &mut model)?,
        ProviderKind::Mistral => mistral(row, &mut model)?,
        ProviderKind::Groq => {
            if row["active"] == false || id.contains("whisper") || id.contains("tts") {
                return None;
            }
            model.context = number(&row["context_window"]);
            model.output = number(&row["max_completion_tokens"]);
        }
        ProviderKind::Openrouter => openrouter(row, &mut model),
        ProviderKind::OpenaiCompatible => model.context = number(&row["max_model_len"]),
        ProviderKind::Ollama => {
            model.size = row["size"].as_u64();
            model.digest = row["digest"].as_str().map(str::to_owned);
            model.remote = row["remote_host"].as_str().is_some_and(|host| !host.is_empty()) || is_remote(id);
        }
        _ => {}
    }
    Some(model)
}

/// OpenAI lists pictures, sound and moderation among its models; what is meant here is asked otherwise.
fn answers_text(id: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "whisper",
        "tts",
        "dall-e",
        "image",
        "moderation",
        "sora",
        "babbage",
        "davinci",
        "realtime",
        "transcribe",
        "audio",
        "live",
    ];
    !OTHERS.iter().any(|other| id.contains(other))
}

/// Ollama's names for models that run in its cloud.
pub fn is_remote(id: &str) -> bool {
    let tag = id.rsplit_once(':').map_or("", |(_, tag)| tag);
    tag == "cloud" || tag.ends_with("-cloud")
}

fn google(row: &Value, model: &mut Listed) -> Option<()> {
    model.context = number(&row["inputTokenLimit"]);
    model.output = number(&row["outputTokenLimit"]);
    if let Some(methods) = row["supportedGenerationMethods"].as_array() {
        model.embeddings = methods.iter().any(|method| method == "embedContent");
        if !model.embeddings && !methods.iter().any(|method| method == "generateContent") {
            return None;
        }
    }
    Some(())
}

fn mistral(row: &Value, model: &mut Listed) -> Option<()> {
    model.context = number(&row["max_context_length"]);
    let can = &row["capabilities"];
    model.tools = can["function_calling"].as_bool();
    model.vision = can["vision"].as_bool();
    (model.embeddings || can["completion_chat"] != false).then_some(())
}

fn openrouter(row: &Value, model: &mut Listed) {
    model.context = number(&row["context_length"]);
    model.output = number(&row["top_provider"]["max_completion_tokens"]);
    let has = |list: &Value, word: &str| list.as_array().map(|list| list.iter().any(|entry| entry == word));
    model.tools = has(&row["supported_parameters"], "tools");
    model.vision = has(&row["architecture"]["input_modalities"], "image");
    let price = |name: &str| micros(row["pricing"][name].as_str()?);
    if let (Some(input_micros), Some(output_micros)) = (price("prompt"), price("completion")) {
        model.price =
            Some(ModelPrice { input_micros, output_micros, cached_micros: price("input_cache_read") });
    }
}

/// Dollars for a token, as text, in micro-dollars for a million of them.
fn micros(dollars: &str) -> Option<i64> {
    let dollars: f64 = dollars.parse().ok()?;
    // Beyond it nobody asks that much; below zero it says that the price differs.
    (0.0..1.0).contains(&dollars).then(|| (dollars * 1e12).round() as i64)
}

/// What OpenRouter says may still be spent with a key, micro-dollars; `None` for one without a limit.
///
/// Source: <https://openrouter.ai/docs/api/api-reference/api-keys/get-current-key>.
pub fn credit(answer: &[u8]) -> Option<i64> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let dollars = answer["data"]["limit_remaining"].as_f64()?;
    // Beyond it nobody's limit is.
    (dollars.abs() < 1e9).then(|| (dollars.max(0.0) * 1e6).round() as i64)
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
}

/// Adds what Ollama tells of one model.
pub fn show(answer: &[u8], model: &mut Listed) -> Option<()> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    model.shown = true;
    model.num_ctx = answer["parameters"].as_str().and_then(num_ctx);
    if let Some(can) = answer["capabilities"].as_array() {
        let can = |word: &str| can.iter().any(|entry| entry == word);
        model.tools = Some(can("tools"));
        model.vision = Some(can("vision"));
        model.embeddings = can("embedding") && !can("completion");
    }
    let facts = answer["model_info"].as_object()?;
    let family = facts.get("general.architecture").and_then(Value::as_str);
    let context = match family {
        Some(family) => facts.get(&format!("{family}.context_length")),
        None => facts.iter().find(|(name, _)| name.ends_with(".context_length")).map(|(_, value)| value),
    };
    model.context = context.and_then(number);
    Some(())
}

/// Of a model's parameters, one a line: `temperature 0.7` and `num_ctx 2048`.
fn num_ctx(parameters: &str) -> Option<u32> {
    let mut named = parameters.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    let (_, value) = named.find(|(name, _)| *name == "num_ctx")?;
    value.trim().parse().ok().filter(|tokens| *tokens > 0)
}

/// The context that Ollama gives a model for which nobody asked for another, tokens, by the memory of all graphics
/// cards together. The bounds are Ollama's: a little below the 24 and 48 GiB of its documentation.
///
/// Source: <https://docs.ollama.com/context-length>.
pub const fn usual_context(graphics_memory: u64) -> u32 {
    const GIB: u64 = 1 << 30;
    match graphics_memory / GIB {
        47.. => 262_144,
        23.. => 32_768,
        _ => 4_096,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(kind: ProviderKind, answer: &Value) -> Vec<Listed> {
        read(kind, answer.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn each_vendor_is_read_as_it_documents_itself() {
        let openai = json!({ "object": "list", "data": [
            { "id": "gpt-5", "object": "model" }, { "id": "whisper-1" }, { "id": "text-embedding-3-small" } ] });
        let models = of(ProviderKind::Openai, &openai);
        assert_eq!(
            models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(),
            ["gpt-5", "text-embedding-3-small"]
        );
        assert!(!models[0].embeddings && models[1].embeddings);

        let google = json!({ "models": [
            { "name": "models/gemini-2.5-pro", "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
              "supportedGenerationMethods": ["generateContent", "countTokens"] },
            { "name": "models/veo-3", "supportedGenerationMethods": ["predictLongRunning"] } ] });
        let models = of(ProviderKind::Google, &google);
        assert_eq!(
            (models.len(), models[0].id.as_str(), models[0].context),
            (1, "gemini-2.5-pro", Some(1_048_576))
        );

        let mistral = json!({ "data": [ { "id": "mistral-small-latest", "max_context_length": 131_072,
            "capabilities": { "completion_chat": true, "function_calling": true, "vision": true } } ] });
        let model = &of(ProviderKind::Mistral, &mistral)[0];
        assert_eq!((model.context, model.tools, model.vision), (Some(131_072), Some(true), Some(true)));

        let groq = json!({ "data": [ { "id": "llama-3.3-70b-versatile", "active": true, "context_window": 131_072,
            "max_completion_tokens": 32_768 }, { "id": "whisper-large-v3", "active": true } ] });
        let models = of(ProviderKind::Groq, &groq);
        assert_eq!((models.len(), models[0].output), (1, Some(32_768)));

        let openrouter = json!({ "data": [ { "id": "a/b", "context_length": 200_000,
            "architecture": { "input_modalities": ["text", "image"] }, "supported_parameters": ["tools"],
            "top_provider": { "max_completion_tokens": 64_000 },
            "pricing": { "prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003" } } ] });
        let model = &of(ProviderKind::Openrouter, &openrouter)[0];
        let price = model.price.unwrap();
        assert_eq!(
            (price.input_micros, price.output_micros, price.cached_micros),
            (3_000_000, 15_000_000, Some(300_000))
        );
        assert_eq!((model.tools, model.vision), (Some(true), Some(true)));
    }

    #[test]
    fn what_ollama_passes_on_to_its_cloud_is_told_from_what_stays() {
        let tags = json!({ "models": [
            { "name": "llama3.2:latest", "size": 2_019_393_189_u64, "digest": "a80c" },
            { "name": "gpt-oss:120b-cloud", "size": 384, "remote_host": "https://ollama.com:443" },
            { "name": "qwen3-coder:480b-cloud", "size": 1 } ] });
        let models = of(ProviderKind::Ollama, &tags);
        assert_eq!(models.iter().map(|model| model.remote).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(read(ProviderKind::Ollama, b"{\"models\":null}"), Some(Vec::new()));
        let mut model = models[1].clone();
        let shown = json!({ "capabilities": ["completion", "tools"],
            "model_info": { "general.architecture": "llama", "llama.context_length": 131_072 } });
        show(shown.to_string().as_bytes(), &mut model).unwrap();
        assert_eq!((model.context, model.tools, model.vision), (Some(131_072), Some(true), Some(false)));
        assert_eq!((model.num_ctx, model.shown), (None, true));
        for (parameters, context) in [
            ("temperature 0.7\nnum_ctx 2048", Some(2_048)),
            ("num_ctx                        16384\nstop \"<eot>\"", Some(16_384)),
            ("stop \"num_ctx 5\"", None),
            ("num_ctx many", None),
        ] {
            assert_eq!(num_ctx(parameters), context, "{parameters}");
        }
        let gib = |gib: u64| usual_context(gib << 30);
        assert_eq!([gib(0), gib(16), gib(24), gib(48)], [4_096, 4_096, 32_768, 262_144]);
        // A card of 24 GB has a little less.
        assert_eq!(usual_context(24_564 << 20), 32_768);
    }

    #[test]
    fn what_a_key_may_still_spend_is_read_where_it_has_a_limit() {
        let of =
            |left: &str| credit(format!(r#"{{"data":{{"limit":100,"limit_remaining":{left}}}}}"#).as_bytes());
        assert_eq!([of("74.5"), of("0"), of("-0.01")], [Some(74_500_000), Some(0), Some(0)]);
        assert_eq!([of("null"), of("1e300"), credit(b"<html>")], [None; 3]);
    }

    #[test]
    fn what_is_no_list_is_none() {
        for text in ["<html>", "{}", "[]", "{\"data\":5}", "{\"models\":[]}"] {
            assert_eq!(read(ProviderKind::Openai, text.as_bytes()), None, "{text}");
        }
        assert_eq!(
            of(ProviderKind::OpenaiCompatible, &json!({ "data": [ { "id": 5 }, { "id": "x" } ] })).len(),
            1
        );
    }
}
