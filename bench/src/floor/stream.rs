//! The least that a live stream costs: one broadcast channel, axum's server-sent events, each event encoded by axum.

use std::convert::Infallible;

use axum::{
    Router,
    extract::State,
    response::sse::{Event, Sse},
    routing::{get, post},
};
use futures_util::{Stream, StreamExt};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

type Channel = broadcast::Sender<std::sync::Arc<str>>;

pub fn router() -> Router {
    let (channel, _) = broadcast::channel::<std::sync::Arc<str>>(1024);
    Router::new().route("/events", get(listen)).route("/publish", post(publish)).with_state(channel)
}

async fn listen(State(channel): State<Channel>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(channel.subscribe());
    Sse::new(events.filter_map(|text| async {
        let text = text.ok()?;
        Some(Ok(Event::default().event("event").id("1").data(&*text)))
    }))
}

async fn publish(State(channel): State<Channel>, body: String) -> &'static str {
    let _ = channel.send(body.into());
    "{}"
}
