//! Why a log cannot be read, or not any more: what programs branch on, and English words for people.

use std::fmt;

use foreman_protocol::LogReason;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    pub reason: LogReason,
    /// What belongs to the reason; see there.
    pub detail: Option<String>,
    /// For people.
    pub text: String,
}

impl Why {
    pub(super) fn new(reason: LogReason, text: impl Into<String>) -> Self {
        Self { reason, detail: None, text: text.into() }
    }

    pub(super) fn not_installed() -> Self {
        Self::new(LogReason::NotInstalled, "not installed")
    }

    /// The agent's user lacks a group.
    pub(super) fn no_right(group: &str) -> Self {
        let text = format!("the agent's user may not read it (add it to the group {group})");
        Self { detail: Some(group.to_owned()), ..Self::new(LogReason::NoRight, text) }
    }

    /// In words that are not ours: of a program or of the system.
    pub(super) fn said(words: impl fmt::Display) -> Self {
        let text = words.to_string();
        Self { detail: Some(text.clone()), ..Self::new(LogReason::Said, text) }
    }

    /// The same reason, as a part of more words.
    pub(super) fn within(self, words: impl FnOnce(&str) -> String) -> Self {
        Self { text: words(&self.text), ..self }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
