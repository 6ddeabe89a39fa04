//! Putting a server together, running it and ending it without cutting anyone off.

mod connections;
pub mod forwarded;
mod front;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Request, StatusCode},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use foreman_link::carrier::Dialer;
use foreman_protocol::{
    AddGrant, AddRevocation, CarriedGrant, Command, DeviceHello, FileEntry, FileRoots, GitStatus, LogEnd,
    LogLine, LogSources, MakeDirectory, MessagePiece, MoveFile, OpenTerminal, OutputChunk, OutputGap,
    Problem, ProblemCode, ProblemReason, RestoreFile, Revocation, SearchEnd, SearchHit, StartUpload,
    StreamPing, StreamProvider, StreamReady, StreamSample, Terminal, TerminalEnded, TerminalState, Trashed,
    UpdateTerminal, Upload,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, DefaultPredicate, Predicate},
    timeout::RequestBodyTimeoutLayer,
    trace::TraceLayer,
};
use utoipa::{OpenApi, openapi::OpenApi as Description};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App, Server, accounts, auth, bounds, chats,
    config::{ServeOptions, Settings},
    db::{Db, Engine, Location, OpenOptions},
    devices,
    events::{audit, hub, stream},
    extract::Json,
    host, link, meters,
    problem::{ApiError, ApiResult},
    providers, push, router, sealing, tasks, tunnels, upkeep, vault, web,
};

/// How long open requests and streams get to end after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a request's body may take between two pieces.
const BODY_PAUSE: Duration = Duration::from_secs(30);
/// How long relays get to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);
const READERS: u32 = 8;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Foreman",
        description = "The control plane's API. Errors are application/problem+json with a `code` to branch on; \
                   lists are pages; times are milliseconds since the Unix epoch."
    ),
    // What no operation names: errors, what streams carry, and what devices answer under `/link/`.
    components(schemas(
        Problem, ProblemCode, ProblemReason, StreamReady, StreamSample, StreamProvider, StreamPing, OutputChunk,
        OutputGap,
        Command, DeviceHello, Terminal, OpenTerminal, UpdateTerminal, TerminalState, TerminalEnded,
        FileEntry, FileRoots, MoveFile, MakeDirectory, Trashed, RestoreFile, StartUpload, Upload, SearchHit,
        SearchEnd, MessagePiece, GitStatus, LogSources, LogLine, LogEnd, CarriedGrant, AddGrant, AddRevocation, Revocation
    ))
)]
struct ApiDoc;

/// Routes and their description, from the same source.
fn api() -> (Router<App>, Description) {
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .merge(accounts::router())
        .merge(devices::router())
        .merge(tasks::router())
        .merge(link::router())
        .merge(tunnels::router())
        .merge(vault::router())
        .merge(providers::router())
        .merge(router::router())
        .merge(chats::router())
        .merge(push::router())
        .routes(routes!(stream::events))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .split_for_parts()
}

/// The API's description, as committed in `openapi.json`.
#[must_use]
pub fn description() -> Description {
    let mut description = api().1;
    description.info.version = crate::VERSION.to_owned();
    // What axum calls the rest of an address.
    let paths = std::mem::take(&mut description.paths.paths);
    description.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
        ] {
            if let Some(operation) = operation {
                operation.operation_id = Some(operation_id(method, path));
            }
        }
    }
    description
}

/// Unique over the whole API: `get_devices_id_tasks`.
fn operation_id(method: &str, path: &str) -> String {
    let parts = path.trim_start_matches("/api/v1").split('/').filter(|part| !part.is_empty());
    let words: Vec<&str> = parts.map(|part| part.trim_matches(['{', '}'])).collect();
    format!("{method}_{}", words.join("_"))
}

fn router(app: App) -> Router {
    let (api, _) = api();
    let description = Arc::new(description());
    let page = web::api_page(&description);
    // One stack and not layer by layer: for each layer of its own the router clones all below it, with each request.
    let around = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request<axum::body::Body>| {
            // The path without its query: what is asked for, never a parameter's value.
            tracing::debug_span!("request", method = %request.method(), path = request.uri().path())
        }))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::max(bounds::BODY_BYTES))
        .layer(middleware::from_fn_with_state(front::Front::new(app.clone()), front::pass))
        .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE))
        .map_request(|request: Request<_>| request.map(axum::body::Body::new))
        .layer(
            CompressionLayer::new().compress_when(DefaultPredicate::new().and(link::through::not_passed_on)),
        );
    api.route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_page))
        .route("/api/openapi.json", get(move || async move { Json(description.as_ref().clone()) }))
        .route("/api", get(move || async move { web::html(page) }))
        .merge(web::router())
        .method_not_allowed_fallback(|| async {
            ApiError::new(ProblemCode::MethodNotAllowed, "This address does not take this method.")
        })
        .layer(around)
        .with_state(app)
}

fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let text = cause
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    ApiError::internal(anyhow::anyhow!("a request handler panicked: {}", text.unwrap_or_default()))
        .into_response()
}

/// Alive, and which agents it can talk to. Says nothing that a connecting agent would not learn anyway.
async fn healthy() -> Json<serde_json::Value> {
    Json(serde_json::json!({
        "status": "ok",
        "protocol_version": foreman_protocol::PROTOCOL_VERSION,
        "oldest_protocol_version": foreman_protocol::OLDEST_PROTOCOL_VERSION,
    }))
}

/// Ready when the database answers.
async fn ready(
    axum::extract::State(app): axum::extract::State<App>,
) -> ApiResult<(StatusCode, &'static str)> {
    if app.closing.is_cancelled() {
        return Err(ApiError::unavailable());
    }
    hub::head(&app.db, app.tenant).await?;
    Ok((StatusCode::OK, "ready"))
}

async fn metrics_page(axum::extract::State(app): axum::extract::State<App>, _caller: auth::Caller) -> String {
    app.metrics.render()
}

/// Opens the database and starts everything that runs beside requests.
async fn start(options: &ServeOptions, bound: SocketAddr, closing: CancellationToken) -> anyhow::Result<App> {
    let metrics = meters::install().context("the metrics cannot be set up")?;
    let (announce, effects) = mpsc::channel(4096);
    let location = options.data.location();
    let db = Db::open(OpenOptions { location: location.clone(), readers: READERS }, announce).await?;
    let tenant = host::ensure_tenant(&db).await?;
    let hub = hub::Hub::default();
    let (heard_here, heard) = mpsc::channel(1024);
    if let (Engine::PostgreSql, Location::PostgreSql(url)) = (db.engine, location) {
        tokio::spawn(hub::listen(url, heard_here.clone()));
    }
    tokio::spawn(keep_open(heard_here, closing.clone()));
    tokio::spawn(hub::follow(db.clone(), hub.clone(), effects, heard));
    tokio::spawn(hub::ping(hub.clone(), closing.clone()));
    let settings = Settings::new(options, bound);
    let link = link::Links::new(link::key::load(&options.link_key_path())?, options.relays, closing.clone());
    tokio::spawn(devices::presence::watch_silence(
        db.clone(),
        Duration::from_secs(u64::from(settings.offline_after_s)),
    ));
    let seal = sealing::Seal::of(&db, &options.data.seal_key_path()).await?;
    let tunnels = options.cloudflare.account()?.map(|account| Arc::new(tunnels::Tunnels::new(account)));
    vault::leave_no_core();
    let vault = vault::Vault::new(db.clone(), options.vault_lock_after_s, options.vault_opens_with()?);
    let keychain = vault.start(tenant).await?;
    let router = router::Router::open(db.clone(), tenant, &options.data.data, &options.router).await?;
    let push = push::Push::open(&db, &seal, &options.push, &settings).await?;
    let app = Arc::new(Server {
        router,
        push,
        vault,
        providers: providers::Providers::new(Dialer::from_environment()?),
        seal,
        tunnels: tunnels.clone(),
        heartbeats: devices::presence::Heartbeats::start(db.clone()),
        db,
        hub,
        settings,
        tenant,
        link,
        bearers: auth::device::Bearers::default(),
        attempts: auth::attempts::Attempts::new(),
        metrics,
        closing,
    });
    tokio::spawn(upkeep::run(app.clone()));
    tokio::spawn(vault::watch_idle(app.clone()));
    if let Some(asked) = keychain {
        tokio::spawn(vault::open_late(app.clone(), asked));
    }
    tokio::spawn(router::follow(app.clone()));
    tokio::spawn(router::keep(app.clone()));
    tokio::spawn(providers::keep(app.clone()));
    tokio::spawn(chats::answering::watch(app.clone()));
    tokio::spawn(push::keep(app.clone()));
    if let Some(tunnels) = tunnels {
        tokio::spawn(tunnels::keep(app.clone(), tunnels));
    }
    Ok(app)
}

/// With SQLite nobody announces from elsewhere; the channel stays open so that the follower waits, not spins.
async fn keep_open(sender: mpsc::Sender<String>, closing: CancellationToken) {
    closing.cancelled().await;
    drop(sender);
}

/// Runs until `stop` resolves, then lets streams and requests end.
///
/// # Errors
/// When the address or the data folder cannot be used: one sentence and what to do.
pub async fn serve(
    options: ServeOptions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let _lock = host::lock_data(&options.data)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| host::explain_bind(options.listen, &error))?;
    let bound = listener.local_addr()?;
    let closing = CancellationToken::new();
    let app = start(&options, bound, closing.clone()).await?;
    if let Some(code) = host::setup_code(&app.db, app.tenant).await? {
        println!("Setup code: {code}");
    }
    host::note_address(&options.data, &app.settings.public_url)?;
    println!("listening on http://{bound}");
    tracing::info!(address = %bound, database = app.db.engine.name(), version = crate::VERSION, "serving");

    let ending = closing.clone();
    let serving = connections::serve(listener, router(app.clone()), async move {
        stop.await;
        tracing::info!("stopping: streams end, open requests finish");
        ending.cancel();
    });
    // By a worker: this may be the thread that waits for the end, and each new connection would first wake it, and then
    // a worker.
    let serving = AbortOnDropHandle::new(tokio::spawn(serving));
    let drained = async {
        closing.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served?,
        () = drained => tracing::warn!("some connections did not end in time and were closed"),
    }
    app.link.end(GOODBYE).await;
    app.db.close().await;
    tracing::info!("stopped");
    Ok(())
}
