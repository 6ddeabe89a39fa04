//! The router's words for people, in headers: which model answered and why.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use foreman_protocol::{MissCause, Route, RouteMiss, RouteReason, WaitedFor};

const MODEL: HeaderName = HeaderName::from_static("x-foreman-model");
const PROVIDER: HeaderName = HeaderName::from_static("x-foreman-provider");
const DEVICE: HeaderName = HeaderName::from_static("x-foreman-device");
const REASON: HeaderName = HeaderName::from_static("x-foreman-reason");
const INSTEAD_OF: HeaderName = HeaderName::from_static("x-foreman-instead-of");

/// A header's value, bytes.
const LONGEST: usize = 1_000;

/// `llama3.2 on home-server: private, loaded`
#[must_use]
pub fn sentence(route: &Route) -> String {
    let (at, place) = match &route.device {
        Some(device) => ("on", device),
        None => ("at", &route.provider),
    };
    let mut said = format!("{} {at} {place}", route.model);
    for (nth, reason) in route.because.iter().enumerate() {
        said.push_str(if nth == 0 { ": " } else { ", " });
        said.push_str(reason_word(*reason));
    }
    said
}

const fn reason_word(reason: RouteReason) -> &'static str {
    match reason {
        RouteReason::Asked => "asked for",
        RouteReason::Private => "private",
        RouteReason::Local => "on your own device",
        RouteReason::Loaded => "loaded",
        RouteReason::Cheapest => "cheapest",
        RouteReason::Listed => "on the profile's list",
        RouteReason::DefaultProvider => "default provider",
        RouteReason::Code => "for code",
        RouteReason::Research => "for research",
        RouteReason::LongContext => "long context",
        RouteReason::Able => "the only one that can",
        RouteReason::Fallback => "those before it failed",
    }
}

/// `openai/gpt-5: rate limited (429)`
#[must_use]
pub fn miss(miss: &RouteMiss) -> String {
    let cause = match miss.cause {
        MissCause::Unreachable => "unreachable",
        MissCause::Timeout => match miss.waited_for {
            Some(WaitedFor::Connection) => "no connection in time",
            Some(WaitedFor::FirstToken) => "no first token in time",
            Some(WaitedFor::NextToken) => "no next token in time",
            Some(WaitedFor::Answer) | None => "no answer in time",
        },
        MissCause::ModelMissing => "no such model",
        MissCause::RateLimited => "rate limited",
        MissCause::Failed => "failed",
        MissCause::Paused => "paused after failures",
        MissCause::Locked => "its key is in the locked vault",
        MissCause::KeyRefused => "does not take its key",
        MissCause::Format => "cannot be asked this in its format",
    };
    let status = miss.status.map(|status| format!(" ({status})")).unwrap_or_default();
    format!("{}/{}: {cause}{status}", miss.provider, miss.model)
}

/// Says in headers which model answers.
pub fn tell(route: &Route, headers: &mut HeaderMap) {
    headers.insert(MODEL, value(&route.model));
    headers.insert(PROVIDER, value(&route.provider));
    if let Some(device) = &route.device {
        headers.insert(DEVICE, value(device));
    }
    headers.insert(REASON, value(&sentence(route)));
    if !route.instead_of.is_empty() {
        let missed: Vec<String> = route.instead_of.iter().map(miss).collect();
        headers.insert(INSTEAD_OF, value(&missed.join("; ")));
    }
}

/// Headers are ASCII; a name's other letters become question marks.
fn value(text: &str) -> HeaderValue {
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    if text.len() <= LONGEST && text.chars().all(plain) {
        return HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("?"));
    }
    let ascii: String = text.chars().map(|c| if plain(c) { c } else { '?' }).take(LONGEST).collect();
    HeaderValue::from_str(&ascii).unwrap_or(HeaderValue::from_static("?"))
}

#[cfg(test)]
mod tests {
    use foreman_protocol::ProviderId;

    use super::*;

    #[test]
    fn people_read_which_model_and_why() {
        let mut route = Route {
            provider_id: ProviderId::fresh(),
            provider: "home".into(),
            model: "llama3.2".into(),
            device_id: None,
            device: Some("home-server".into()),
            because: vec![RouteReason::Private, RouteReason::Loaded],
            instead_of: vec![],
            not_considered: vec![],
        };
        assert_eq!(sentence(&route), "llama3.2 on home-server: private, loaded");
        route.device = Some("Büro\n".into());
        route.instead_of.push(RouteMiss {
            provider: "openai".into(),
            model: "gpt-5".into(),
            cause: MissCause::RateLimited,
            status: Some(429),
            waited_for: None,
        });
        let mut headers = HeaderMap::new();
        tell(&route, &mut headers);
        assert_eq!(headers[DEVICE], "B?ro?");
        assert_eq!(headers[INSTEAD_OF], "openai/gpt-5: rate limited (429)");
    }
}
