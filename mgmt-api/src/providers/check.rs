//! Asking a provider for its models: that lists them, and tells whether its key and its address are right.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, Method, StatusCode, header};
use bytes::{Bytes, BytesMut};
use foreman_protocol::{
    Device, Event, ProblemCode, Provider, ProviderFault, ProviderHealth, ProviderId, ProviderKind, TenantId,
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use http_body_util::BodyExt;
use serde_json::json;

use super::{
    Call, Known, SendFailed, address, device,
    lists::{self, Listed},
    refusal,
    store::{self, Check, StoredModel},
};
use crate::{
    App,
    auth::Caller,
    db::now,
    events::Cause,
    problem::{ApiError, ApiResult},
};

const CONNECT: Duration = Duration::from_secs(10);
/// A whole look at a provider.
const PATIENCE: Duration = Duration::from_secs(20);
/// A device's list is kept with what is known of its models by then: the rest of the time is for what is under way.
const DETAILS: Duration = Duration::from_secs(18);
/// Models that a device is asked about at once.
const AT_ONCE: usize = 8;
/// The longest list known is a tenth of it.
const LIST_BYTES: usize = 8 * 1024 * 1024;
/// Lists change rarely.
pub const EVERY_MS: i64 = 24 * 3_600_000;
/// What failed is tried again by itself.
const AGAIN_MS: i64 = 10 * 60_000;

/// Why there is no list, in Foreman's words: a provider's own may repeat the key.
struct Trouble {
    fault: ProviderFault,
    reason: String,
}

impl Trouble {
    fn new(fault: ProviderFault, reason: impl Into<String>) -> Self {
        Self { fault, reason: reason.into() }
    }
}

/// Lists a provider's models, keeps the list, and tells how it went.
///
/// # Errors
/// When the database cannot be written; what the provider does wrong is in the answer.
pub async fn run(app: &App, cause: Cause, id: ProviderId) -> ApiResult<ProviderHealth> {
    run_if(app, cause, id, |_| true).await
}

/// The same, unless there is no more reason to when it is this look's turn.
pub async fn run_if(
    app: &App,
    cause: Cause,
    id: ProviderId,
    wanted: impl Fn(&Known) -> bool + Send,
) -> ApiResult<ProviderHealth> {
    let tenant = cause.tenant;
    // One at a time, so that a look at an earlier address never comes after one at the present.
    let turn = app.providers.turn(id);
    let _turn = turn.lock().await;
    let catalogue = app.providers.catalogue(app, tenant).await?;
    let known = catalogue.providers.iter().find(|known| known.provider.id == id);
    let known = known.ok_or_else(|| ApiError::not_found("provider"))?;
    if !wanted(known) {
        return Ok(known.provider.health.clone());
    }
    let started = Instant::now();
    let outcome = match tokio::time::timeout(PATIENCE, list(app, tenant, known)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            Err(Trouble::new(ProviderFault::Timeout, format!("No answer within {} s.", PATIENCE.as_secs())))
        }
    };
    let took = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let (list, check) = match outcome {
        Ok(Told { list, latency_ms, credit_micros, whole }) => {
            let models = u32::try_from(list.len()).ok();
            let check = Check {
                fault: None,
                reason: None,
                models,
                latency_ms: Some(latency_ms),
                credit_micros,
                due_at: now() + if whole { EVERY_MS } else { AGAIN_MS },
            };
            (Some(list), check)
        }
        Err(Trouble { fault, reason }) => {
            tracing::debug!(
                provider = known.provider.name,
                ?fault,
                reason,
                "a provider did not list its models"
            );
            let check = Check {
                fault: Some(fault),
                reason: Some(reason),
                models: None,
                latency_ms: Some(took),
                credit_micros: None,
                due_at: now() + AGAIN_MS,
            };
            (None, check)
        }
    };
    keep(app, cause, id, list, check).await?;
    let catalogue = app.providers.renew(app, tenant).await?;
    let known = catalogue.providers.iter().find(|known| known.provider.id == id);
    known.map(|known| known.provider.health.clone()).ok_or_else(|| ApiError::not_found("provider"))
}

/// Writes the list and how it went; an event when either is another than before.
async fn keep(
    app: &App,
    cause: Cause,
    id: ProviderId,
    list: Option<Vec<Listed>>,
    check: Check,
) -> ApiResult<()> {
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let before = store::find(tx.conn(), cause.tenant, id).await?.provider.health;
                let other_list = match &list {
                    Some(list) => store::write_list(tx, id, list).await?,
                    None => false,
                };
                store::write_check(tx, id, &check).await?;
                if other_list || before.fault != check.fault || before.checked_at.is_none() {
                    let provider = store::find(tx.conn(), cause.tenant, id).await?.provider;
                    tx.emit(&cause, Event::ProviderUpdated { provider: Box::new(provider) }).await?;
                }
                Ok(())
            })
        })
        .await
}

/// What a provider told of its models.
struct Told {
    list: Vec<Listed>,
    /// How long it took to name them.
    latency_ms: u32,
    /// What its key may still spend, where it tells.
    credit_micros: Option<i64>,
    /// Of some, more is to be asked.
    whole: bool,
}

async fn list(app: &App, tenant: TenantId, known: &Known) -> Result<Told, Trouble> {
    let provider = &known.provider;
    if provider.kind == ProviderKind::Ollama {
        return of_device(app, tenant, known).await;
    }
    let credit_micros = match provider.kind {
        // It shows its list to everybody; this says whether it takes the key, and what is left of its limit.
        ProviderKind::Openrouter => lists::credit(&get(app, tenant, provider, "key").await?),
        _ => None,
    };
    let started = Instant::now();
    let body = get(app, tenant, provider, "models").await?;
    let took = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let list = lists::read(provider.kind, &body).ok_or_else(not_an_api)?;
    Ok(Told { list, latency_ms: took, credit_micros, whole: true })
}

/// What it answers when all is well.
async fn get(app: &App, tenant: TenantId, provider: &Provider, path: &'static str) -> Result<Bytes, Trouble> {
    let call = Call { path, body: None, connect: CONNECT, headers: HeaderMap::new() };
    let answer = app.providers.send_out(app, tenant, provider, call).await.map_err(trouble)?;
    let (status, headers) = (answer.status, answer.headers);
    let body = body_of(answer.body).await?;
    let to = address::redirected(provider, status, &headers);
    checked(provider.kind, status, &headers, &body, to)?;
    Ok(body)
}

/// What an answer says of the key and the address; `to` is where it leads instead.
fn checked(
    kind: ProviderKind,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    to: Option<String>,
) -> Result<(), Trouble> {
    let code = status.as_u16();
    Err(match code {
        200..=299 => return Ok(()),
        _ if refusal::is_of_key(kind, status, body) => {
            Trouble::new(ProviderFault::KeyRefused, key_refused(code))
        }
        429 => {
            let wait = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let wait = wait.and_then(|text| text.trim().parse::<u32>().ok());
            let reason = match wait {
                Some(wait) => format!("Too many requests to it. It says to come back in {wait} s."),
                None => "Too many requests to it.".to_owned(),
            };
            Trouble::new(ProviderFault::RateLimited, reason)
        }
        300..=399 | 404 | 405 => match to {
            Some(to) => Trouble::new(ProviderFault::NotAnApi, address::leads_elsewhere(&to)),
            None => not_an_api(),
        },
        _ => Trouble::new(ProviderFault::Failed, format!("It answered {code}.")),
    })
}

pub fn key_refused(code: u16) -> String {
    format!("It does not take the key ({code}).")
}

fn not_an_api() -> Trouble {
    Trouble::new(
        ProviderFault::NotAnApi,
        "What answers there has no list of models. Check the address: often it ends in /v1.",
    )
}

fn trouble(failed: SendFailed) -> Trouble {
    match failed {
        SendFailed::Unreachable(reason) => Trouble::new(ProviderFault::Unreachable, reason),
        SendFailed::Timeout => Trouble::new(ProviderFault::Timeout, "The connection did not open in time."),
        SendFailed::Locked(error) => {
            let fault = match error.code {
                ProblemCode::VaultMissing => ProviderFault::VaultMissing,
                _ => ProviderFault::VaultLocked,
            };
            Trouble::new(fault, error.message)
        }
        SendFailed::Refused(error) => {
            let fault = match error.code {
                ProblemCode::NotFound => ProviderFault::KeyMissing,
                ProblemCode::PolicyForbids => ProviderFault::PolicyForbids,
                ProblemCode::ProtocolTooOld => ProviderFault::AgentTooOld,
                ProblemCode::ServerNotTrusted | ProblemCode::GrantNotEnough | ProblemCode::Forbidden => {
                    ProviderFault::NotTrusted
                }
                _ => ProviderFault::Failed,
            };
            Trouble::new(fault, error.message)
        }
    }
}

async fn body_of<B>(mut body: B) -> Result<Bytes, Trouble>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| Trouble::new(ProviderFault::Failed, "Its answer broke off.");
        let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
        if whole.len() + piece.len() > LIST_BYTES {
            return Err(Trouble::new(
                ProviderFault::NotAnApi,
                "Its answer is longer than any list of models.",
            ));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

async fn of_device(app: &App, tenant: TenantId, known: &Known) -> Result<Told, Trouble> {
    let Some(device) = known.device.as_ref().filter(|_| known.online) else {
        return Err(Trouble::new(
            ProviderFault::DeviceOffline,
            "Its device is offline, or Ollama does not run there.",
        ));
    };
    let caller = device::own(tenant).map_err(|error| trouble(SendFailed::Refused(error)))?;
    let started = Instant::now();
    let tags = device::Asked { method: Method::GET, path: "api/tags", body: None, connect: CONNECT };
    let answer = device::ask(app, &caller, device, tags).await.map_err(trouble)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = body_of(answer.into_body()).await?;
    let took = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    checked(ProviderKind::Ollama, status, &headers, &body, None)?;
    let mut list = lists::read(ProviderKind::Ollama, &body).ok_or_else(not_an_api)?;
    let before = store::models(app.db.read(), tenant)
        .await
        .map_err(|error| Trouble::new(ProviderFault::Failed, error.message))?
        .remove(&known.provider.id)
        .unwrap_or_default();
    let before: HashMap<String, StoredModel> = before.into_iter().collect();
    let mut shows: Vec<Shown<'_>> = Vec::new();
    for (at, model) in list.iter_mut().enumerate() {
        let told = before.get(&model.id).and_then(|row| row.listed.as_ref());
        if let Some(told) = told.filter(|told| told.digest == model.digest) {
            *model = Listed { size: model.size, ..told.clone() };
        }
        if !model.shown {
            let question = json!({ "model": model.id }).to_string();
            shows.push(show(app, &caller, device, question).map(move |told| (at, told)).boxed());
        }
    }
    let mut shows = stream::iter(shows).buffer_unordered(AT_ONCE);
    let until = tokio::time::Instant::from_std(started + DETAILS);
    let mut whole = true;
    loop {
        match tokio::time::timeout_at(until, shows.next()).await {
            Ok(None) => break,
            Ok(Some((at, Ok(told)))) => {
                // One that tells nothing of itself is still a model.
                let _ = told.zip(list.get_mut(at)).and_then(|(told, model)| lists::show(&told, model));
            }
            // What was told is kept, and the rest asked for soon.
            Ok(Some((_, Err(_)))) => whole = false,
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    drop(shows);
    Ok(Told { list, latency_ms: took, credit_micros: None, whole })
}

/// What is said of the model at this place of the list.
type Shown<'a> = BoxFuture<'a, (usize, Result<Option<Bytes>, Trouble>)>;

/// What Ollama says of one model; `None` when it says that there is none.
async fn show(
    app: &App,
    caller: &Caller,
    device: &Device,
    question: String,
) -> Result<Option<Bytes>, Trouble> {
    let asked = device::Asked {
        method: Method::POST,
        path: "api/show",
        body: Some(question.into()),
        connect: CONNECT,
    };
    let answer = device::ask(app, caller, device, asked).await.map_err(trouble)?;
    match answer.status().is_success() {
        true => body_of(answer.into_body()).await.map(Some),
        false => Ok(None),
    }
}
