//! What is said outside the dashboard, from the dashboard's own catalogue.

use std::{collections::HashMap, sync::LazyLock};

use foreman_protocol::Language;
use serde_json::Value;

type Catalogue = HashMap<String, Value>;

static ENGLISH: LazyLock<Catalogue> = LazyLock::new(|| read(include_str!("../../messages/en/notices.json")));
static GERMAN: LazyLock<Catalogue> = LazyLock::new(|| read(include_str!("../../messages/de/notices.json")));

fn read(text: &str) -> Catalogue {
    serde_json::from_str(text).unwrap_or_default()
}

/// The words of one language.
#[derive(Clone, Copy)]
pub struct Words(Language);

impl Words {
    #[must_use]
    pub const fn of(language: Language) -> Self {
        Self(language)
    }

    /// A message with its placeholders filled; what is filled in is not read again.
    #[must_use]
    pub fn say(self, key: &str, values: &[(&str, &str)]) -> String {
        let catalogue = match self.0 {
            Language::En => &ENGLISH,
            Language::De => &GERMAN,
        };
        let mut rest = catalogue.get(key).and_then(Value::as_str).unwrap_or(key);
        let mut text = String::new();
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            text.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
            rest = after;
        }
        text + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_and_not_read_again() {
        let say = |language, device| Words::of(language).say("notice_offline_title", &[("device", device)]);
        assert_eq!(say(Language::En, "forge"), "forge is offline");
        assert_eq!(say(Language::De, "{device}"), "{device} ist offline");
    }
}
