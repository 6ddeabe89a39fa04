//! What an answer used, read from the answer itself in either format, or estimated where it does not say.

use std::sync::LazyLock;

use foreman_protocol::ModelPrice;
use memchr::memmem;
use serde::Deserialize;

use super::sse;

/// Tokens of one request. Input includes what was cached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub input: i64,
    pub output: i64,
    pub cached: i64,
    /// The provider did not say.
    pub estimated: bool,
}

impl Tally {
    /// Micro-dollars; `None` when the price is not known.
    #[must_use]
    pub fn cost(&self, price: Option<ModelPrice>) -> Option<i64> {
        let price = price?;
        let cached = self.cached.clamp(0, self.input);
        let each = |tokens: i64, micros: i64| i128::from(tokens) * i128::from(micros);
        let sum = each(self.input - cached, price.input_micros)
            + each(cached, price.cached_micros.unwrap_or(price.input_micros))
            + each(self.output, price.output_micros);
        // Rounded up: what costs something is never counted as nothing.
        i64::try_from((sum + 999_999) / 1_000_000).ok()
    }
}

/// Both formats at once: their fields have different names.
#[derive(Debug, Default, Deserialize)]
struct Said {
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    total_tokens: Option<i64>,
    prompt_tokens_details: Option<Details>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    cache_read_input_tokens: Option<i64>,
    cache_creation_input_tokens: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
struct Details {
    cached_tokens: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
struct Holder {
    usage: Option<Said>,
    message: Option<Inner>,
    x_groq: Option<Inner>,
}

#[derive(Debug, Default, Deserialize)]
struct Inner {
    usage: Option<Said>,
}

/// What was heard of usage so far; later words replace earlier ones.
#[derive(Debug, Default)]
pub struct Heard {
    input: Option<i64>,
    output: Option<i64>,
    cached: Option<i64>,
    /// Events that carried something of the answer: about a token each.
    events: i64,
}

impl Heard {
    /// Listens to one event of a stream; whether it says what was used.
    pub fn event(&mut self, event: &[u8]) -> bool {
        static USAGE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\"usage\""));
        self.events += 1;
        // Most events say nothing of usage, or that there is none yet.
        let Some(at) = USAGE.find(event) else { return false };
        let rest = event[at + 7..].trim_ascii_start();
        let rest = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
        if rest.starts_with(b"null") {
            return false;
        }
        if let Some(data) = sse::data(event) {
            self.json(&data);
        }
        true
    }

    /// Listens to a whole answer.
    pub fn json(&mut self, json: &[u8]) {
        let Ok(holder) = serde_json::from_slice::<Holder>(json) else { return };
        let inner = |inner: Option<Inner>| inner.and_then(|inner| inner.usage);
        for said in [holder.usage, inner(holder.message), inner(holder.x_groq)].into_iter().flatten() {
            self.said(&said);
        }
    }

    fn said(&mut self, said: &Said) {
        let details = said.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens);
        if let Some(prompt) = said.prompt_tokens {
            self.input = Some(prompt);
        } else if let Some(input) = said.input_tokens {
            // Anthropic counts what was cached beside the input.
            let beside =
                said.cache_read_input_tokens.unwrap_or(0) + said.cache_creation_input_tokens.unwrap_or(0);
            self.input = Some(input + beside);
        }
        // Embeddings have nothing but input, and say so by the sum.
        let only_input = said.prompt_tokens.filter(|prompt| said.total_tokens == Some(*prompt)).map(|_| 0);
        self.output = said.completion_tokens.or(said.output_tokens).or(only_input).or(self.output);
        self.cached = details.or(said.cache_read_input_tokens).or(self.cached);
    }

    /// The sum; `input` is the estimate for where nothing was said.
    #[must_use]
    pub fn tally(&self, input: i64, ended: bool) -> Tally {
        // Anthropic names one token at the beginning: only the end's number is the answer's.
        let output = self.output.filter(|_| ended || self.input.is_none());
        Tally {
            input: self.input.unwrap_or(input).max(0),
            output: output.unwrap_or(self.events).max(0),
            cached: self.cached.unwrap_or(0).max(0),
            estimated: self.input.is_none() || output.is_none(),
        }
    }
}

/// OpenAI's event that carries usage and nothing else: there because the router asked, not the client.
pub fn is_usage_alone(event: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        choices: Vec<serde::de::IgnoredAny>,
        #[serde(borrow)]
        usage: Option<&'a serde_json::value::RawValue>,
    }
    let Some(data) = sse::data(event) else { return false };
    serde_json::from_slice::<Chunk<'_>>(&data)
        .is_ok_and(|chunk| chunk.choices.is_empty() && chunk.usage.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(events: &[&str]) -> Heard {
        let mut heard = Heard::default();
        for event in events {
            heard.event(event.as_bytes());
        }
        heard
    }

    #[test]
    fn both_formats_say_what_they_used() {
        let openai = heard(&[
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":40}}}\n\n",
        ]);
        let expected = Tally { input: 100, output: 7, cached: 40, estimated: false };
        assert_eq!(openai.tally(1, true), expected);
        let anthropic = heard(&[
            "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":50,\"cache_read_input_tokens\":40,\"cache_creation_input_tokens\":10,\"output_tokens\":1}}}\n\n",
            "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":7}}\n\n",
        ]);
        assert_eq!(anthropic.tally(1, true), expected);
    }

    #[test]
    fn embeddings_are_counted_as_the_provider_says() {
        let mut heard = Heard::default();
        heard.json(br#"{"object":"list","data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#);
        assert_eq!(heard.tally(1, true), Tally { input: 8, output: 0, cached: 0, estimated: false });
        let mut silent = Heard::default();
        silent.json(br#"{"object":"list","data":[]}"#);
        assert_eq!(silent.tally(1, true), Tally { input: 1, output: 0, cached: 0, estimated: true });
    }

    #[test]
    fn what_nobody_said_is_estimated_and_marked() {
        let silent = heard(&["data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"; 5]);
        assert_eq!(silent.tally(9, true), Tally { input: 9, output: 5, cached: 0, estimated: true });
        let cut = heard(&[
            "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n",
            "event: content_block_delta\ndata: {}\n\n",
            "event: content_block_delta\ndata: {}\n\n",
        ]);
        assert_eq!(cut.tally(9, false), Tally { input: 5, output: 3, cached: 0, estimated: true });
    }

    #[test]
    fn cached_input_has_its_own_price_and_nothing_is_rounded_away() {
        let price =
            ModelPrice { input_micros: 3_000_000, output_micros: 15_000_000, cached_micros: Some(300_000) };
        let tally = Tally { input: 1_000, output: 100, cached: 400, estimated: false };
        assert_eq!(tally.cost(Some(price)), Some(600 * 3 + 100 * 15 + 120));
        assert_eq!(
            Tally { input: 1, ..Tally::default() }.cost(Some(ModelPrice { input_micros: 1, ..price })),
            Some(1)
        );
        assert_eq!(tally.cost(None), None);
        let absurd = Tally { input: i64::MAX, output: i64::MAX, ..tally };
        assert!(absurd.cost(Some(price)).is_none_or(|cost| cost > 0));
    }

    #[test]
    fn only_an_event_with_nothing_but_usage_is_taken_out() {
        assert!(is_usage_alone(b"data: {\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n"));
        for kept in [
            &b"data: {\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1}}\n\n"[..],
            b"data: {\"choices\":[],\"usage\":null}\n\n",
            b"data: [DONE]\n\n",
        ] {
            assert!(!is_usage_alone(kept));
        }
    }
}
