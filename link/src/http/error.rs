//! Why a request did not succeed, in the few ways a caller treats differently.

use std::error::Error;

use foreman_protocol::{Problem, ProblemCode};
use serde::Deserialize;

/// A request without a success. Its text is for people and makes sense alone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// The server answered with a problem of its own; branch on `problem.code`.
    #[error("{}", problem.message)]
    Refused { status: u16, problem: Box<Problem> },
    /// An error status without a problem this version knows: a proxy between, not a Foreman server at this
    /// address, or a newer one.
    #[error("answered {status}: {message}")]
    Unrecognised { status: u16, message: String },
    /// The server sends its callers elsewhere.
    #[error("answered {status}: use {location} instead")]
    Moved { status: u16, location: String },
    /// No answer: not reachable, or it broke off.
    #[error("{message}")]
    Unreachable { message: String },
    /// A success whose body is not what the contract says.
    #[error("the answer could not be understood: {message}")]
    Malformed { message: String },
    /// More than this many bytes where the contract allows no more; it was not read further.
    #[error("the answer has a part of more than {limit} bytes and was not read further")]
    TooLong { limit: usize },
    /// The request could not even be made: a wrong address, a header with odd characters.
    #[error("{message}")]
    Invalid { message: String },
}

impl RequestError {
    /// Reads a non-success answer.
    #[must_use]
    pub fn from_answer(status: u16, body: &[u8]) -> Self {
        if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
            return Self::Refused { status, problem: Box::new(problem) };
        }
        // A newer server may use a code this version does not know; its sentence is still good.
        #[derive(Deserialize)]
        struct Loose {
            detail: String,
        }
        let message = match serde_json::from_slice::<Loose>(body) {
            Ok(loose) => loose.detail,
            Err(_) => excerpt(body),
        };
        Self::Unrecognised { status, message }
    }

    /// The HTTP status, when there was an answer.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::Unrecognised { status, .. } | Self::Moved { status, .. } => {
                Some(*status)
            }
            Self::Unreachable { .. }
            | Self::Malformed { .. }
            | Self::TooLong { .. }
            | Self::Invalid { .. } => None,
        }
    }

    /// The server's own word for it.
    #[must_use]
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Refused { problem, .. } => Some(problem.code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later without anybody doing something about it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            _ => matches!(self.status(), Some(408 | 429 | 500 | 502..=504)),
        }
    }
}

impl From<reqwest::Error> for RequestError {
    fn from(error: reqwest::Error) -> Self {
        let message = describe(&error);
        if error.is_builder() {
            Self::Invalid { message }
        } else if error.is_decode() && !error.is_timeout() && !broke_off(&error) {
            Self::Malformed { message }
        } else {
            Self::Unreachable { message }
        }
    }
}

/// A body that ends too early is told as one that cannot be decoded; only what lies beneath says that it is the
/// connection.
fn broke_off(error: &reqwest::Error) -> bool {
    let mut reasons = std::iter::successors(error.source(), |&reason| reason.source());
    reasons.any(|reason| reason.is::<hyper::Error>() || reason.is::<std::io::Error>())
}

/// The outermost and the innermost reason: the ones between only say that something failed.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "cannot connect"
    } else if error.is_builder() {
        "not a usable request"
    } else {
        "the connection broke off"
    };
    let place =
        error.url().map(|url| format!(" ({})", url.origin().ascii_serialization())).unwrap_or_default();
    let mut deepest: Option<&dyn Error> = error.source();
    while let Some(next) = deepest.and_then(Error::source) {
        deepest = Some(next);
    }
    match deepest {
        Some(cause) => format!("{what}{place}: {cause}"),
        None => format!("{what}{place}"),
    }
}

/// The start of a body that is not ours, on one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "no explanation".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_problem_keeps_its_code_and_its_sentence() {
        let body =
            br#"{"type":"urn:foreman:problem:conflict","status":409,"code":"conflict","detail":"It ended."}"#;
        let error = RequestError::from_answer(409, body);
        assert_eq!(error.code(), Some(ProblemCode::Conflict));
        assert_eq!(error.to_string(), "It ended.");
        assert!(!error.is_transient());
    }

    #[test]
    fn a_code_from_the_future_keeps_its_sentence() {
        let body = br#"{"type":"x","status":418,"code":"teapot","detail":"Short and stout."}"#;
        let error = RequestError::from_answer(418, body);
        assert_eq!((error.status(), error.code()), (Some(418), None));
        assert_eq!(error.to_string(), "answered 418: Short and stout.");
    }

    #[test]
    fn a_proxys_page_is_cut_to_a_line() {
        let body = format!("<html>\n<h1>Bad gateway</h1>{}", "x ".repeat(500));
        let error = RequestError::from_answer(502, body.as_bytes());
        assert!(error.is_transient());
        let text = error.to_string();
        assert!(text.starts_with("answered 502: <html> <h1>Bad gateway"), "{text}");
        assert!(text.chars().count() < 200 && !text.contains('\n'), "{text}");
    }

    proptest! {
        #[test]
        fn any_body_becomes_an_error(status in 400u16..600, body: Vec<u8>) {
            let error = RequestError::from_answer(status, &body);
            prop_assert_eq!(error.status(), Some(status));
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
