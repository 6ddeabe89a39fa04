//! Sending what waits, one after the other.

use bytes::Bytes;
use foreman_protocol::Problem;
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};

use super::{Change, Outbox, OutboxError, Refusal};
use crate::{Foreman, RawAsk, app::ServerId};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// No answer to a change is longer. Bytes.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing waits that may be sent.
    Nothing,
    /// The server has made the change, or refused it for good; the next one's turn.
    Settled,
    /// Nobody answered, or it may work later: everything goes on waiting.
    Later,
}

impl Outbox {
    /// Sends the next change. One caller at a time, so that the order holds.
    ///
    /// # Errors
    /// [`OutboxError::Storage`]; a change whose outcome could not be written down is sent again, and made once.
    pub async fn send_next(&self, server: &ServerId, foreman: &Foreman) -> Result<Step, OutboxError> {
        let Some(next) = self.next(server).await? else { return Ok(Step::Nothing) };
        match outcome(foreman, &next.change).await {
            Outcome::Made => self.remove(server, next.place).await?,
            Outcome::Refused(refusal) => self.mark(server, next.place, Some(refusal)).await?,
            Outcome::Later => return Ok(Step::Later),
        }
        Ok(Step::Settled)
    }
}

enum Outcome {
    Made,
    Refused(Refusal),
    Later,
}

async fn outcome(foreman: &Foreman, change: &Change) -> Outcome {
    let wrong = |message: &str| {
        let (code, message) = ("invalid_request".to_owned(), message.to_owned());
        Outcome::Refused(Refusal { status: 0, code, message })
    };
    let (Ok(method), Ok(key)) =
        (Method::from_bytes(change.method.as_bytes()), HeaderValue::from_str(&change.key))
    else {
        return wrong("It cannot be sent.");
    };
    let headers =
        HeaderMap::from_iter([(KEY, key), (CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let body = Some(Bytes::from(change.body.clone()));
    let answer = match foreman.exchange(RawAsk { method, path: change.path.clone(), headers, body }).await {
        Ok(answer) => answer,
        Err(crate::Error::Invalid { message }) => return wrong(&message),
        Err(_) => return Outcome::Later,
    };
    let status = answer.status;
    let body = answer.whole(ANSWER_BYTES).await;
    match status {
        200..=299 => Outcome::Made,
        // Signed out, or the server or what stands before it is busy or on its way.
        401 | 408 | 425 | 429 | 502..=504 => Outcome::Later,
        _ => {
            let problem = body.ok().and_then(|body| serde_json::from_slice::<Problem>(&body).ok());
            let code = problem.as_ref().and_then(|problem| serde_json::to_value(problem.code).ok());
            let code = code.and_then(|code| code.as_str().map(str::to_owned));
            let message =
                problem.map_or_else(|| format!("The server said {status}."), |problem| problem.message);
            Outcome::Refused(Refusal { status, code: code.unwrap_or_else(|| "internal".to_owned()), message })
        }
    }
}
