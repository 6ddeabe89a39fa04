//! Questions from within this process: OpenAI's format without the way over HTTP.

use std::collections::VecDeque;

use axum::http::HeaderMap;
use bytes::Bytes;
use foreman_protocol::ProblemCode;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use super::{
    Piece, Question, Reply,
    access::Who,
    attempt::{self, Content, Inquiry},
    passing::Passing,
    peek, shape, sse,
};
use crate::{
    App,
    problem::{ApiError, ApiResult},
    providers::Wire,
};

pub async fn ask(app: &App, question: Question) -> ApiResult<Reply> {
    let Question { tenant, payer, model, project, mut body } = question;
    body["model"] = json!(model);
    body["stream"] = json!(true);
    let body = Bytes::from(body.to_string());
    let asked = Inquiry {
        who: Who { tenant, payer, key: None },
        project,
        format: Wire::OpenAi,
        peek: peek::peek(&body, false)?,
        body,
        headers: HeaderMap::new(),
        in_full: true,
    };
    let answered = attempt::answer(app, &asked).await?;
    let pieces = match answered.content {
        Content::Stream(passing) => pieces(passing).boxed(),
        Content::Whole(bytes) if answered.status.is_success() => {
            let usage = answered
                .usage
                .ok_or_else(|| ApiError::internal(anyhow::anyhow!("an answer without usage")))?;
            whole(&bytes, usage)?.boxed()
        }
        Content::Whole(bytes) => {
            let said =
                shape::message_of(&bytes).unwrap_or_else(|| format!("It answered {}.", answered.status));
            return Err(ApiError::new(
                ProblemCode::UpstreamFailed,
                format!("{} refused the question: {said}", answered.route.model),
            ));
        }
    };
    Ok(Reply { route: answered.route, pieces })
}

/// An answer of a provider that does not stream, as one piece.
fn whole(
    bytes: &[u8],
    usage: foreman_protocol::MessageUsage,
) -> ApiResult<impl Stream<Item = Result<Piece, ApiError>> + use<>> {
    let said: Value = serde_json::from_slice(bytes).map_err(|_| {
        ApiError::new(ProblemCode::UpstreamFailed, "The provider's answer cannot be read. Ask again.")
    })?;
    let choice = &said["choices"][0];
    let text = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
    let finish = choice["finish_reason"].as_str().unwrap_or("stop").to_owned();
    Ok(stream::iter([Ok(Piece::Text(text)), Ok(Piece::Done { usage, finish })]))
}

struct State {
    passing: Box<Passing>,
    finish: String,
    ready: VecDeque<Piece>,
    over: bool,
}

fn pieces(passing: Box<Passing>) -> impl Stream<Item = Result<Piece, ApiError>> {
    let state = State { passing, finish: "stop".into(), ready: VecDeque::new(), over: false };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(piece) = state.ready.pop_front() {
                return Some((Ok(piece), state));
            }
            if state.over {
                return None;
            }
            match state.passing.next().await {
                Some(Ok(events)) => state.take(events),
                Some(Err(error)) => {
                    state.over = true;
                    return Some((Err(error), state));
                }
                None => {
                    state.over = true;
                    let done = Piece::Done { usage: state.passing.usage(), finish: state.finish.clone() };
                    return Some((Ok(done), state));
                }
            }
        }
    })
}

impl State {
    fn take(&mut self, events: Bytes) {
        let mut splitter = sse::Splitter::default();
        splitter.push(events);
        while let Some(event) = splitter.next() {
            self.read(&event);
        }
        self.read(&splitter.rest());
    }

    fn read(&mut self, event: &[u8]) {
        let Some(data) = sse::data(event) else { return };
        let Ok(chunk) = serde_json::from_slice::<Value>(&data) else { return };
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        if let Some(finish) = choice["finish_reason"].as_str() {
            self.finish = finish.to_owned();
        }
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        // What was thought comes before what is said.
        let thought = text(&delta["reasoning_content"]).or_else(|| text(&delta["reasoning"]));
        self.ready.extend(thought.map(Piece::Reasoning));
        self.ready.extend(text(&delta["content"]).or_else(|| text(&delta["refusal"])).map(Piece::Text));
    }
}
