//! The device's files over the link: `/files/…`.
//!
//! What may be seen is decided in [`foreman_machine::files`]; here requests become questions to it and its answers
//! become responses. Looking needs the level `view`, changing anything `operate`.

mod content;
mod failure;
mod params;

use std::sync::Arc;

use axum::{Extension, Json, Router, extract::State, routing::get};
use foreman_machine::files::{Files, FilesError, ListOptions, Rules};
use foreman_protocol::{FileEntry, FileRoots, Level, Page};
use serde::Deserialize;

use super::{ApiError, ApiResult, Caller, Device};
pub(super) use params::{Params, Payload};

/// Entries of a page when nobody says how many.
const USUAL_LIST: usize = 500;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) device: Arc<Device>,
    pub(super) files: Arc<Files>,
}

pub fn router(device: Arc<Device>, files: Arc<Files>) -> Router {
    Router::new()
        .route("/files", get(list))
        .route("/files/roots", get(roots))
        .route("/files/stat", get(stat))
        .route("/files/content", get(content::content))
        .with_state(Here { device, files })
}

impl Here {
    /// Asks something that blocks, under the rules for looking.
    pub(super) async fn look<T: Send + 'static>(
        self,
        caller: &Caller,
        ask: impl FnOnce(&Rules) -> Result<T, FilesError> + Send + 'static,
    ) -> ApiResult<T> {
        caller.need(Level::View)?;
        blocking(move || ask(&self.files.reading(&self.device.policy())?)).await
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
