//! Models on their way to a device, and off it. A pull runs here and not in the page that asked for it: it goes on when
//! the page closes, whoever comes sees it, and whoever may, ends it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::State,
    http::{Method, StatusCode},
    response::Response,
};
use foreman_protocol::{
    Device, DeviceId, Event, Millis, Page, Problem, ProblemCode, ProblemReason, ProviderId, PullModel,
    PullProgress, Role, RunningPull,
};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::{BodyDataStream, BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
    sync::CancellationToken,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{SendFailed, check, device, store};
use crate::{
    App,
    auth::Caller,
    db::now,
    devices,
    events::{hub, stream::sse},
    extract::{Json, Path},
    problem::{ApiError, ApiResult},
};

const CONNECT: Duration = Duration::from_secs(20);
/// One line of Ollama's.
const LINE: usize = 64 * 1024;
/// Ollama tells often how far it is; one that is silent for so long is stuck.
const SILENCE: Duration = Duration::from_secs(600);
/// Steps are shown no faster than this.
const PACE: Duration = Duration::from_millis(100);
/// On one device at once.
const MOST: usize = 16;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(pull))
        .routes(routes!(running))
        .routes(routes!(cancel))
        .routes(routes!(delete))
}

/// The pulls of this process.
#[derive(Default)]
pub struct Pulls {
    running: Mutex<HashMap<(DeviceId, String), Arc<Pull>>>,
    /// One at a time begins, so that two who ask for the same get the same.
    beginning: tokio::sync::Mutex<()>,
}

struct Pull {
    device: DeviceId,
    model: String,
    started_at: Millis,
    by: String,
    step: watch::Sender<Step>,
    cancel: CancellationToken,
}

#[derive(Clone)]
enum Step {
    Going(PullProgress),
    Done(PullProgress),
    Failed(Problem),
}

impl Pulls {
    fn all(&self) -> MutexGuard<'_, HashMap<(DeviceId, String), Arc<Pull>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, device: DeviceId, model: &str) -> Option<Arc<Pull>> {
        self.all().get(&(device, model.to_owned())).cloned()
    }
}

/// Has a device's Ollama fetch a model, or joins in watching when it does already. Sends `progress`, then `done` or
/// `failed` with a problem. It goes on when nobody watches.
#[utoipa::path(post, path = "/api/v1/devices/{id}/models/pull", tag = "models", params(("id" = DeviceId, Path)),
    request_body = PullModel,
    responses((status = 200, content_type = "text/event-stream", body = PullProgress)))]
async fn pull(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
    Json(request): Json<PullModel>,
) -> ApiResult<Response> {
    caller.at_least(Role::Operator)?;
    let model = named(&request.model)?;
    let place = Place::of(&app, &caller, id).await?;
    let pull = {
        let _turn = app.providers.pulls.beginning.lock().await;
        match app.providers.pulls.find(id, &model) {
            Some(running) => running,
            None => begin(&app, &caller, place, model).await?,
        }
    };
    let steps = watched(pull.step.subscribe());
    Ok(sse(steps.take_until(app.closing.clone().cancelled_owned()).take_until(caller.ended(app))))
}

/// The models that are on their way to a device.
#[utoipa::path(get, path = "/api/v1/devices/{id}/models/pulls", tag = "models", params(("id" = DeviceId, Path)),
    responses((status = 200, body = Page<RunningPull>)))]
async fn running(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DeviceId>,
) -> ApiResult<Json<Page<RunningPull>>> {
    find_device(&app, &caller, id).await?;
    let all = app.providers.pulls.all();
    let of_device = all.values().filter(|pull| pull.device == id);
    let mut items: Vec<RunningPull> = of_device
        .filter_map(|pull| match &*pull.step.borrow() {
            Step::Going(progress) => Some(RunningPull {
                device_id: id,
                model: pull.model.clone(),
                started_at: pull.started_at,
                by: pull.by.clone(),
                progress: progress.clone(),
            }),
            _ => None,
        })
        .collect();
    items.sort_by_key(|pull| pull.started_at);
    Ok(Json(Page { items, next: None }))
}

/// A model's address: its name has slashes in it.
#[derive(Debug, Deserialize)]
struct Named {
    id: DeviceId,
    model: String,
}

/// Ends a pull. What Ollama has fetched it keeps for the next one.
#[utoipa::path(delete, path = "/api/v1/devices/{id}/models/pulls/{*model}", tag = "models",
    params(("id" = DeviceId, Path), ("model" = String, Path)), responses((status = 204)))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(Named { id, model }): Path<Named>,
) -> ApiResult<StatusCode> {
    caller.at_least(Role::Operator)?;
    find_device(&app, &caller, id).await?;
    let pull = app.providers.pulls.find(id, &model);
    pull.ok_or_else(|| ApiError::not_found("pull that is running"))?.cancel.cancel();
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a model from a device.
#[utoipa::path(delete, path = "/api/v1/devices/{id}/models/{*model}", tag = "models",
    params(("id" = DeviceId, Path), ("model" = String, Path)), responses((status = 204)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(Named { id, model }): Path<Named>,
) -> ApiResult<StatusCode> {
    caller.at_least(Role::Operator)?;
    let model = named(&model)?;
    let place = Place::of(&app, &caller, id).await?;
    let answer = place.ask(&app, &caller, Method::DELETE, "api/delete", &model).await?;
    match answer.status() {
        StatusCode::NOT_FOUND => return Err(ApiError::not_found("model on this device")),
        status if !status.is_success() => return Err(said(answer.into_body(), status).await),
        _ => {}
    }
    let event = Event::ModelDeleted { provider_id: place.provider, model };
    store::tell(&app.db, caller.cause(), event).await?;
    look_again(&app, &caller, place.provider).await;
    Ok(StatusCode::NO_CONTENT)
}

/// A device with an Ollama.
struct Place {
    device: Arc<Device>,
    provider: ProviderId,
}

impl Place {
    async fn of(app: &App, caller: &Caller, id: DeviceId) -> ApiResult<Self> {
        let device = find_device(app, caller, id).await?;
        let catalogue = app.providers.catalogue(app, caller.tenant).await?;
        let known = catalogue.providers.iter().find(|known| known.provider.device_id == Some(id));
        let known = known.ok_or_else(|| {
            ApiError::conflict(format!(
                "No Ollama of {} is known here. Start Ollama on it; it is found by itself.",
                device.name
            ))
            .because(ProblemReason::NoOllama)
        })?;
        Ok(Self { device: Arc::new(device), provider: known.provider.id })
    }

    async fn ask(
        &self,
        app: &App,
        caller: &Caller,
        method: Method,
        path: &str,
        model: &str,
    ) -> ApiResult<axum::http::Response<Incoming>> {
        let body = json!({ "model": model }).to_string().into();
        let asked = device::Asked { method, path, body: Some(body), connect: CONNECT };
        device::ask(app, caller, &self.device, asked).await.map_err(|failed| match failed {
            SendFailed::Unreachable(why) => ApiError::new(ProblemCode::DeviceUnreachable, why),
            SendFailed::Timeout => ApiError::new(
                ProblemCode::DeviceUnreachable,
                format!("{} did not come within {} s.", self.device.name, CONNECT.as_secs()),
            ),
            SendFailed::Locked(error) | SendFailed::Refused(error) => error,
        })
    }
}

async fn find_device(app: &App, caller: &Caller, id: DeviceId) -> ApiResult<Device> {
    let device = devices::store::find(app.db.read(), caller.tenant, id).await?;
    device.ok_or_else(|| ApiError::not_found("device"))
}

/// A name as in `ollama pull`.
fn named(model: &str) -> ApiResult<String> {
    let model = model.trim();
    let fits = (1..=256).contains(&model.len())
        && model.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/@".contains(&byte));
    match fits {
        true => Ok(model.to_owned()),
        false => {
            Err(ApiError::invalid("model", "A model's name has 1 to 256 letters, digits and -_.:/@ signs."))
        }
    }
}

async fn begin(app: &App, caller: &Caller, place: Place, model: String) -> ApiResult<Arc<Pull>> {
    let device = place.device.id;
    if app.providers.pulls.all().keys().filter(|(of, _)| *of == device).count() >= MOST {
        return Err(ApiError::new(
            ProblemCode::LimitReached,
            format!("{MOST} models are on their way to this device. Wait for one, or end one."),
        )
        .because(ProblemReason::PullsUnderWay));
    }
    let answer = place.ask(app, caller, Method::POST, "api/pull", &model).await?;
    if !answer.status().is_success() {
        let status = answer.status();
        return Err(said(answer.into_body(), status).await);
    }
    let first = PullProgress { status: "starting".to_owned(), total: None, completed: None };
    let pull = Arc::new(Pull {
        device,
        model: model.clone(),
        started_at: now(),
        by: caller.name(),
        step: watch::Sender::new(Step::Going(first)),
        cancel: CancellationToken::new(),
    });
    app.providers.pulls.all().insert((device, model.clone()), Arc::clone(&pull));
    let (app, caller, running) = (app.clone(), caller.clone(), Arc::clone(&pull));
    tokio::spawn(async move {
        let end = tokio::select! {
            () = running.cancel.cancelled() => Err(ApiError::conflict("Somebody ended this pull.").because(ProblemReason::PullEnded)),
            () = app.closing.cancelled() => Err(ApiError::unavailable()),
            end = follow(answer.into_body(), &running.step) => end,
        };
        let end = match end {
            Ok(last) => ended(&app, &caller, place.provider, &running.model).await.map(|()| last),
            Err(error) => Err(error),
        };
        // First out of the list, so that whoever hears the end can begin anew.
        app.providers.pulls.all().remove(&(device, model));
        running.step.send_replace(match end {
            Ok(last) => Step::Done(last),
            Err(error) => Step::Failed(Problem::new(error.code, error.message, error.details)),
        });
    });
    Ok(pull)
}

/// Reads what Ollama tells until it is done.
async fn follow(body: Incoming, step: &watch::Sender<Step>) -> ApiResult<PullProgress> {
    let pieces = BodyDataStream::new(body).map_err(std::io::Error::other);
    let mut lines = FramedRead::new(StreamReader::new(pieces), LinesCodec::new_with_max_length(LINE));
    let mut last = None;
    loop {
        let line = tokio::time::timeout(SILENCE, lines.next())
            .await
            .map_err(|_| failed(format!("Ollama said nothing for {} minutes.", SILENCE.as_secs() / 60)))?;
        let Some(line) = line else { break };
        let line =
            line.map_err(|error| failed(format!("The connection to the device was lost: {error}.")))?;
        let Ok(told) = serde_json::from_str::<Told>(&line) else { continue };
        if let Some(error) = told.error {
            return Err(failed(format!("Ollama could not fetch it: {error}")));
        }
        let progress = PullProgress {
            status: told.status.unwrap_or_default(),
            total: told.total,
            completed: told.completed,
        };
        if progress.status == "success" {
            return Ok(progress);
        }
        last = Some(progress.clone());
        step.send_replace(Step::Going(progress));
    }
    let reached = last.map_or_else(String::new, |last| format!(" The last it said: {}.", last.status));
    Err(failed(format!("Ollama stopped before it was done.{reached}")))
}

/// A line of Ollama's.
#[derive(Deserialize)]
struct Told {
    status: Option<String>,
    total: Option<u64>,
    completed: Option<u64>,
    error: Option<String>,
}

fn failed(message: String) -> ApiError {
    ApiError::new(ProblemCode::UpstreamFailed, message)
}

/// What Ollama says when it does not do something.
async fn said(body: Incoming, status: StatusCode) -> ApiError {
    let body = Limited::new(body, LINE).collect().await;
    let told = body.ok().and_then(|body| serde_json::from_slice::<Told>(&body.to_bytes()).ok());
    let told = told.and_then(|told| told.error);
    failed(told.map_or_else(|| format!("Ollama answered {status}."), |told| format!("Ollama says: {told}")))
}

async fn ended(app: &App, caller: &Caller, provider: ProviderId, model: &str) -> ApiResult<()> {
    let event = Event::ModelPulled { provider_id: provider, model: model.to_owned() };
    store::tell(&app.db, caller.cause(), event).await?;
    look_again(app, caller, provider).await;
    Ok(())
}

async fn look_again(app: &App, caller: &Caller, provider: ProviderId) {
    if let Err(error) = check::run(app, caller.cause(), provider).await {
        tracing::warn!(%error, "the models of a device were not listed again");
    }
}

/// The steps as server-sent events, the one it is at first.
fn watched(
    mut steps: watch::Receiver<Step>,
) -> impl Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send + 'static {
    steps.mark_changed();
    stream::unfold(Some(steps), |steps| async move {
        let mut steps = steps?;
        // Whoever pulls ended without a word: so does the stream.
        steps.changed().await.ok()?;
        let step = steps.borrow_and_update().clone();
        let (name, data, over) = match step {
            Step::Going(progress) => ("progress", serde_json::to_string(&progress), false),
            Step::Done(progress) => ("done", serde_json::to_string(&progress), true),
            Step::Failed(problem) => ("failed", serde_json::to_string(&problem), true),
        };
        let frame = hub::frame(name, None, &data.ok()?);
        if !over {
            // Only the newest step counts.
            tokio::time::sleep(PACE).await;
        }
        Some((Ok(frame), (!over).then_some(steps)))
    })
}
