//! What differs between the vendors: the wire format, the address, and how a key is shown.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use foreman_protocol::{ProviderAuth, ProviderKind, VaultProvider};
use zeroize::Zeroizing;

use crate::problem::{ApiError, ApiResult};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The format of requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    OpenAi,
    Anthropic,
}

/// Which format a provider speaks.
#[must_use]
pub const fn wire(kind: ProviderKind) -> Wire {
    match kind {
        ProviderKind::Anthropic => Wire::Anthropic,
        _ => Wire::OpenAi,
    }
}

/// Where the vendor's API is, up to what a call adds to it.
pub const fn vendor_address(kind: ProviderKind) -> Option<&'static str> {
    Some(match kind {
        ProviderKind::Anthropic => "https://api.anthropic.com/v1",
        ProviderKind::Openai => "https://api.openai.com/v1",
        ProviderKind::Google => "https://generativelanguage.googleapis.com/v1beta/openai",
        ProviderKind::Mistral => "https://api.mistral.ai/v1",
        ProviderKind::Groq => "https://api.groq.com/openai/v1",
        ProviderKind::Cerebras => "https://api.cerebras.ai/v1",
        ProviderKind::Openrouter => "https://openrouter.ai/api/v1",
        ProviderKind::OpenaiCompatible | ProviderKind::Ollama => return None,
    })
}

/// Under whom the vault keeps keys for it.
pub const fn vault_provider(kind: ProviderKind) -> Option<VaultProvider> {
    Some(match kind {
        ProviderKind::Anthropic => VaultProvider::Anthropic,
        ProviderKind::Openai => VaultProvider::Openai,
        ProviderKind::Google => VaultProvider::Google,
        ProviderKind::Mistral => VaultProvider::Mistral,
        ProviderKind::Groq => VaultProvider::Groq,
        ProviderKind::Cerebras => VaultProvider::Cerebras,
        ProviderKind::Openrouter => VaultProvider::Openrouter,
        ProviderKind::OpenaiCompatible => VaultProvider::OpenaiCompatible,
        ProviderKind::Ollama => return None,
    })
}

/// The address of a call. Vendors whose own list of models tells more than the one in the format they share are
/// asked for that.
pub fn url(kind: ProviderKind, base: &str, path: &str) -> String {
    match (kind, path) {
        (ProviderKind::Google, "models") => {
            format!("{}/models?pageSize=1000", base.strip_suffix("/openai").unwrap_or(base))
        }
        (ProviderKind::Anthropic, "models") => format!("{base}/models?limit=1000"),
        _ => format!("{base}/{path}"),
    }
}

/// Puts the key where the vendor looks for it, marked as what no log may show.
pub fn show_key(
    headers: &mut HeaderMap,
    kind: ProviderKind,
    auth: ProviderAuth,
    path: &str,
    key: &Zeroizing<String>,
) -> ApiResult<()> {
    let bare = || Zeroizing::new(key.as_str().to_owned());
    let (name, text) = match (kind, auth) {
        (ProviderKind::Anthropic, ProviderAuth::ApiKey) => (X_API_KEY, bare()),
        // Its own list takes a key nowhere else.
        (ProviderKind::Google, ProviderAuth::ApiKey) if path == "models" => (X_GOOG_API_KEY, bare()),
        _ => (header::AUTHORIZATION, Zeroizing::new(format!("Bearer {}", key.as_str()))),
    };
    let mut value = HeaderValue::from_str(&text).map_err(ApiError::internal)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// What a vendor wants to be told with each request.
pub fn announce(headers: &mut HeaderMap, kind: ProviderKind) {
    if wire(kind) == Wire::Anthropic && !headers.contains_key(ANTHROPIC_VERSION) {
        headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the vendors document them: where models are listed, where a chat goes, and what shows the key to each.
    #[test]
    fn each_vendor_is_asked_where_and_with_what_it_documents() {
        use ProviderKind::{Anthropic, Cerebras, Google, Groq, Mistral, Openai, Openrouter};
        const BEARER: &str = "authorization";
        let google = "https://generativelanguage.googleapis.com/v1beta";
        for (kind, list, listed_with, chat, chats_with) in [
            (
                Openai,
                "https://api.openai.com/v1/models".to_owned(),
                BEARER,
                "https://api.openai.com/v1/chat/completions".to_owned(),
                BEARER,
            ),
            (
                Anthropic,
                "https://api.anthropic.com/v1/models?limit=1000".into(),
                "x-api-key",
                "https://api.anthropic.com/v1/messages".into(),
                "x-api-key",
            ),
            (
                Google,
                format!("{google}/models?pageSize=1000"),
                "x-goog-api-key",
                format!("{google}/openai/chat/completions"),
                BEARER,
            ),
            (
                Mistral,
                "https://api.mistral.ai/v1/models".into(),
                BEARER,
                "https://api.mistral.ai/v1/chat/completions".into(),
                BEARER,
            ),
            (
                Groq,
                "https://api.groq.com/openai/v1/models".into(),
                BEARER,
                "https://api.groq.com/openai/v1/chat/completions".into(),
                BEARER,
            ),
            (
                Cerebras,
                "https://api.cerebras.ai/v1/models".into(),
                BEARER,
                "https://api.cerebras.ai/v1/chat/completions".into(),
                BEARER,
            ),
            (
                Openrouter,
                "https://openrouter.ai/api/v1/models".into(),
                BEARER,
                "https://openrouter.ai/api/v1/chat/completions".into(),
                BEARER,
            ),
        ] {
            let base = vendor_address(kind).unwrap();
            let call = if wire(kind) == Wire::Anthropic { "messages" } else { "chat/completions" };
            for (path, address, shown_in) in [("models", list, listed_with), (call, chat, chats_with)] {
                assert_eq!(url(kind, base, path), address);
                let mut headers = HeaderMap::new();
                announce(&mut headers, kind);
                let key = Zeroizing::new("sk-1".to_owned());
                show_key(&mut headers, kind, ProviderAuth::ApiKey, path, &key).unwrap();
                let shown = &headers[shown_in];
                assert_eq!(shown, if shown_in == BEARER { "Bearer sk-1" } else { "sk-1" }, "{kind:?} {path}");
                assert!(shown.is_sensitive(), "no log shows it");
                assert_eq!(headers.len(), 1 + usize::from(kind == Anthropic), "and nothing else does");
            }
        }
        let mut headers = HeaderMap::new();
        let token = Zeroizing::new("signed-in".to_owned());
        show_key(&mut headers, Anthropic, ProviderAuth::Oauth, "messages", &token).unwrap();
        assert_eq!(headers["authorization"], "Bearer signed-in");
        assert!(!headers.contains_key(X_API_KEY));
    }
}
