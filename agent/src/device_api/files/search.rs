//! A search as a stream: each hit as it is found, then how it ended. It ends on the device when the client goes away.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension,
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use foreman_machine::files::{Case, FilesError, LineStart, Rules, Search};
use foreman_protocol::{Level, Problem, ProblemReason, SearchEnd, SearchHit};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Here, Params, SEARCHES};
use crate::{
    device_api::{ApiError, ApiResult, Caller},
    places::{Full, Place},
};

/// Hits that wait to be sent.
const QUEUE: usize = 256;
/// How long to wait for a turn while others search.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchParams {
    path: String,
    q: String,
    /// Whether capitals matter; when not said, only if there are any in `q`.
    case: Option<bool>,
    #[serde(default)]
    regex: bool,
    glob: Option<String>,
    #[serde(default)]
    hidden: bool,
    /// To go on in a file where a hit was: where its line begins, in bytes, and its number.
    from: Option<u64>,
    from_line: Option<u64>,
}

impl From<SearchParams> for Search {
    fn from(asked: SearchParams) -> Self {
        let SearchParams { path, q, case, regex, glob, hidden, from, from_line } = asked;
        let case = match case {
            None => Case::Smart,
            Some(true) => Case::Matters,
            Some(false) => Case::Ignored,
        };
        let from = from.map(|offset| LineStart { offset, line: from_line.unwrap_or(1) });
        Self { path, query: q, case, regex, glob, hidden, from }
    }
}

/// Stops a walk when whoever wanted it is gone.
pub(super) struct StopOnDrop(pub(super) Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

enum Told {
    Hit(SearchHit),
    End(Result<SearchEnd, FilesError>),
}

impl Here {
    /// A turn to walk over a tree.
    pub(super) async fn turn(&self, caller: &Caller) -> ApiResult<Place> {
        let (who, most) = caller.share(SEARCHES);
        if let Ok(Some(turn)) = tokio::time::timeout(PATIENCE, self.searches.wait(who.clone(), most)).await {
            return Ok(turn);
        }
        self.searches.take(who, most).map_err(|full| {
            let why = match full {
                Full::Share => format!(
                    "{most} searches of yours are running on this device, as many as one may. Try again when one has ended."
                ),
                Full::All => "Other searches are running on this device; try again shortly.".to_owned(),
            };
            FilesError::Limit(ProblemReason::SearchesBusy, why).into()
        })
    }
}

pub(super) async fn search(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Params(asked): Params<SearchParams>,
) -> ApiResult<Response> {
    caller.need(Level::View)?;
    let turn = here.turn(&caller).await?;
    let search = Search::from(asked);
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, mut told) = mpsc::channel(QUEUE);
    let looking = {
        let (files, device, stop) = (Arc::clone(&here.files), Arc::clone(&here.device), Arc::clone(&stop));
        move || {
            let _turn = turn;
            let end = files.reading(&device.policy()).and_then(|rules| run(&rules, &search, &tell, &stop));
            // Nobody hears it when the client is gone.
            let _ = tell.blocking_send(Told::End(end));
        }
    };
    let stop = StopOnDrop(stop);
    tokio::task::spawn_blocking(looking);
    // What cannot be searched at all is a problem and no stream.
    let first = match told.recv().await {
        Some(Told::End(Err(error))) => return Err(error.into()),
        first => first,
    };
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    let mut response = Sse::new(events(first, told, stop)).keep_alive(keep_alive).into_response();
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

fn run(
    rules: &Rules,
    search: &Search,
    tell: &mpsc::Sender<Told>,
    stop: &AtomicBool,
) -> Result<SearchEnd, FilesError> {
    rules.search(search, &|hit| tell.blocking_send(Told::Hit(hit)).is_ok(), stop)
}

fn events(
    first: Option<Told>,
    rest: mpsc::Receiver<Told>,
    stop: StopOnDrop,
) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    stream::unfold((first, rest, stop), |(first, mut rest, stop)| async move {
        let told = match first {
            Some(told) => told,
            None => rest.recv().await?,
        };
        Some((Ok(event(told)), (None, rest, stop)))
    })
}

fn event(told: Told) -> Event {
    let (name, event) = match told {
        Told::Hit(hit) => ("hit", Event::default().json_data(hit)),
        Told::End(Ok(end)) => ("end", Event::default().json_data(end)),
        Told::End(Err(error)) => {
            let error = ApiError::from(error);
            ("problem", Event::default().json_data(Problem::new(error.code, error.message, error.details)))
        }
    };
    event.unwrap_or_default().event(name)
}

#[cfg(test)]
mod tests {
    use foreman_machine::files::Files;
    use foreman_protocol::DeviceId;

    use super::*;
    use crate::device_api::Device;

    #[tokio::test(start_paused = true)]
    async fn who_may_only_look_leaves_turns_to_search_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let device = Device::new(DeviceId::fresh(), "spark".to_owned(), dir.path().join("policy.env"));
        let here = Here::new(Arc::new(device), Arc::new(Files::new(dir.path().to_owned())));
        let caller = |name: &str, level| Caller {
            name: name.to_owned(),
            client_key: name.to_owned(),
            level,
            expires_at: i64::MAX,
            path: "lan".to_owned(),
            on_behalf_of: None,
        };
        let (mia, tom) = (caller("mia", Level::View), caller("tom", Level::Operate));
        let more = caller("mia", Level::Operate);
        let mias = [here.turn(&mia).await.unwrap(), here.turn(&more).await.unwrap()];
        let refused = here.turn(&mia).await.unwrap_err();
        assert!(refused.message.contains("2 searches of yours"), "{}", refused.message);
        let toms = [here.turn(&tom).await.unwrap(), here.turn(&tom).await.unwrap()];
        let refused = here.turn(&caller("eve", Level::View)).await.unwrap_err();
        assert!(refused.message.contains("Other searches"), "{}", refused.message);
        drop(mias);
        drop(here.turn(&mia).await.unwrap());
        drop(toms);
        let admin = caller("eve", Level::Admin);
        let mut all = Vec::new();
        for _ in 0..SEARCHES {
            all.push(here.turn(&admin).await.unwrap());
        }
    }
}
