//! The device's files over the link: `/files/…`.
//!
//! What may be seen is decided in [`foreman_machine::files`]; here requests become questions to it and its answers
//! become responses. Looking needs the level `view`, changing anything `operate`.

mod content;
mod failure;
mod params;
mod search;

use std::sync::{Arc, atomic::AtomicBool};

use axum::{
    Extension, Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use foreman_machine::files::{Files, FilesError, Find, ListOptions, Rules};
use foreman_protocol::{
    FileEntry, FileRoots, GitStatus, Level, MakeDirectory, MoveFile, Page, Policy, RestoreFile, Trashed,
};
use serde::Deserialize;

use super::{ApiError, ApiResult, Caller, Device, Sharer};
use crate::places::Places;
pub(super) use params::{Params, Payload};

/// Entries of a page when nobody says how many.
const USUAL_LIST: usize = 500;
const USUAL_FOUND: usize = 50;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) device: Arc<Device>,
    pub(super) files: Arc<Files>,
    /// Who searches: walks over large trees take turns.
    searches: Arc<Places<Sharer>>,
}

/// How long the policy that was read last holds for a file that is on its way.
pub(super) const POLICY_READ_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
/// Searches at the same time.
const SEARCHES: usize = 4;

pub fn router(device: Arc<Device>, files: Arc<Files>) -> Router {
    Router::new()
        .route("/files", get(list).delete(trash))
        .route("/files/roots", get(roots))
        .route("/files/stat", get(stat))
        .route("/files/content", get(content::content))
        .route("/files/move", post(rename))
        .route("/files/directories", post(make_directory))
        .route("/files/restore", post(restore))
        .route("/files/search", get(search::search))
        .route("/files/find", get(find))
        .route("/files/git", get(git))
        .with_state(Here::new(device, files))
}

impl Here {
    pub(super) fn new(device: Arc<Device>, files: Arc<Files>) -> Self {
        Self { device, files, searches: Arc::new(Places::new(SEARCHES)) }
    }

    /// Asks something that blocks, under the rules for looking.
    pub(super) async fn look<T: Send + 'static>(
        self,
        caller: &Caller,
        ask: impl FnOnce(&Rules) -> Result<T, FilesError> + Send + 'static,
    ) -> ApiResult<T> {
        caller.need(Level::View)?;
        blocking(move || ask(&self.files.reading(&self.device.policy())?)).await
    }

    /// Changes something, in the name of the caller.
    pub(super) async fn change<T: Send + 'static>(
        self,
        caller: &Caller,
        change: impl FnOnce(&Files, &Policy, &str) -> Result<T, FilesError> + Send + 'static,
    ) -> ApiResult<T> {
        caller.need(Level::Operate)?;
        let who = caller.who();
        blocking(move || change(&self.files, &self.device.policy(), &who)).await
    }
}

/// Does what blocks on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> ApiResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => Ok(answer?),
        Err(error) => Err(ApiError::internal(&error.into())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ByPath {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    path: String,
    limit: Option<usize>,
    cursor: Option<String>,
    #[serde(default)]
    hidden: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FindParams {
    path: String,
    q: String,
    limit: Option<usize>,
    #[serde(default)]
    hidden: bool,
}

async fn roots(State(here): State<Here>, Extension(caller): Extension<Caller>) -> ApiResult<Json<FileRoots>> {
    caller.need(Level::View)?;
    Ok(Json(blocking(move || here.files.roots(&here.device.policy())).await?))
}

async fn list(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Params(asked): Params<ListParams>,
) -> ApiResult<Json<Page<FileEntry>>> {
    let ListParams { path, limit, cursor, hidden } = asked;
    let options = ListOptions { limit: limit.unwrap_or(USUAL_LIST), cursor, hidden };
    Ok(Json(here.look(&caller, move |rules| rules.list(&path, &options)).await?))
}

async fn stat(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Params(ByPath { path }): Params<ByPath>,
) -> ApiResult<Json<FileEntry>> {
    Ok(Json(here.look(&caller, move |rules| rules.stat(&path)).await?))
}

async fn rename(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Payload(wanted): Payload<MoveFile>,
) -> ApiResult<Json<FileEntry>> {
    Ok(Json(here.change(&caller, move |files, policy, who| files.rename(policy, &wanted, who)).await?))
}

async fn make_directory(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Payload(MakeDirectory { path }): Payload<MakeDirectory>,
) -> ApiResult<(StatusCode, Json<FileEntry>)> {
    let made =
        here.change(&caller, move |files, policy, who| files.make_directory(policy, &path, who)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn trash(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Params(ByPath { path }): Params<ByPath>,
) -> ApiResult<Json<Trashed>> {
    Ok(Json(here.change(&caller, move |files, policy, who| files.trash(policy, &path, who)).await?))
}

async fn restore(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Payload(RestoreFile { id }): Payload<RestoreFile>,
) -> ApiResult<Json<FileEntry>> {
    Ok(Json(here.change(&caller, move |files, policy, who| files.restore(policy, &id, who)).await?))
}

async fn find(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Params(asked): Params<FindParams>,
) -> ApiResult<Json<Page<FileEntry>>> {
    caller.need(Level::View)?;
    let turn = here.turn(&caller).await?;
    let FindParams { path, q, limit, hidden } = asked;
    let find = Find { path, query: q, limit: limit.unwrap_or(USUAL_FOUND), hidden };
    // Dropped with this future, that is when the client goes away.
    let stop = search::StopOnDrop(Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop.0);
    let items = here
        .look(&caller, move |rules| {
            let _turn = turn;
            rules.find(&find, &stopped)
        })
        .await?;
    Ok(Json(Page { items, next: None }))
}

async fn git(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Params(ByPath { path }): Params<ByPath>,
) -> ApiResult<Json<Option<GitStatus>>> {
    caller.need(Level::View)?;
    // Who may write a repository's configuration but run no commands must not have git run them: what git is told
    // to leave out could be changed right after it was looked at.
    here.device.allow("ALLOW_BASH", |policy| policy.allow_bash || !policy.allow_file_write)?;
    let status = here.look(&caller, move |rules| match rules.git_status(&path) {
        // No repository is an answer; no such place is none.
        Err(FilesError::NotFound) => rules.stat(&path).map(|_| None),
        status => status.map(Some),
    });
    Ok(Json(status.await?))
}
