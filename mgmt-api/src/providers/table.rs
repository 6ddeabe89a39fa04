//! What is publicly known of the vendors' models where their own lists do not tell: `models.json`, with its date.

use std::{collections::HashMap, sync::LazyLock};

use foreman_protocol::{ModelPrice, ProviderKind};
use serde::Deserialize;

/// One model in the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    id: String,
    pub context: u32,
    pub output: Option<u32>,
    pub tools: Option<bool>,
    pub vision: Option<bool>,
    #[serde(default)]
    pub embeddings: bool,
    pub price: Option<ModelPrice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    as_of: String,
    #[allow(dead_code, reason = "for whoever reads the file")]
    source: String,
    providers: HashMap<ProviderKind, Vec<Entry>>,
}

static TABLE: LazyLock<Option<File>> = LazyLock::new(|| {
    let read = serde_json::from_str(include_str!("models.json"));
    read.inspect_err(|error| tracing::error!(%error, "the table of models cannot be read")).ok()
});

/// What the table says of a model, and of which day that is. A name with a date at its end is known by the one without.
pub fn find(kind: ProviderKind, id: &str) -> Option<(&'static Entry, &'static str)> {
    let table = TABLE.as_ref()?;
    let entries = table.providers.get(&kind)?;
    let named = |id: &str| entries.iter().find(|entry| entry.id == id);
    let entry = named(id).or_else(|| named(undated(id)?))?;
    Some((entry, &table.as_of))
}

/// `gpt-5.5` of `gpt-5.5-2026-04-23` and `claude-haiku-4-5` of `claude-haiku-4-5-20251001`.
fn undated(id: &str) -> Option<&str> {
    let is_date = |tail: &str| {
        let digits = tail.bytes().filter(u8::is_ascii_digit).count();
        digits == 8
            && tail.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
            && tail.starts_with("20")
    };
    id.match_indices('-')
        .map(|(at, _)| id.split_at(at))
        .find(|(_, tail)| is_date(&tail[1..]))
        .map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_and_dated_names_are_found() {
        let table = TABLE.as_ref().unwrap();
        assert_eq!(table.as_of.len(), 10);
        for (kind, entries) in &table.providers {
            for entry in entries {
                assert!(entry.context >= 1_000, "{kind:?} {}", entry.id);
                assert!(entry.price.is_none_or(|price| price.input_micros > 0), "{kind:?} {}", entry.id);
            }
        }
        let (known, _) = find(ProviderKind::Anthropic, "claude-haiku-4-5-20251001").unwrap();
        assert_eq!((known.context, known.vision), (200_000, Some(true)));
        assert!(find(ProviderKind::Openai, "gpt-5.5-2026-04-23").is_some());
        assert!(find(ProviderKind::Openai, "nothing-like-it").is_none());
        assert!(find(ProviderKind::Ollama, "gpt-5.5").is_none());
    }
}
