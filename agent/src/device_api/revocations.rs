//! What an owner takes back, handed to the device itself: no server is asked, and none can keep it back.
//!
//! Whoever calls may bring it: only its signature counts, as when the server carries it.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::StatusCode,
    routing::post,
};
use foreman_machine::run::Moment;
use foreman_protocol::AddRevocation;

use super::{ApiError, ApiResult, Caller};
use crate::{
    journal::Journal,
    link::{Gate, Reports},
};

/// Of the whole request, in bytes; a revocation is less than one.
const LONGEST: usize = 8 * 1024;

/// Where it is kept, and who heeds it.
#[derive(Clone)]
pub struct Revocations {
    pub gate: Arc<Gate>,
    pub journal: Arc<Journal>,
    pub reports: Reports,
}

/// `/revocations`.
pub fn router(revocations: Revocations) -> Router {
    Router::new()
        .route("/revocations", post(take))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(revocations)
}

/// Answers when it is written down and in force; the links it concerns are closed then, the caller's own too.
async fn take(
    State(revocations): State<Revocations>,
    Extension(caller): Extension<Caller>,
    request: Result<Json<AddRevocation>, JsonRejection>,
) -> ApiResult<StatusCode> {
    let Json(request) = request.map_err(|error| ApiError::invalid("revocation", error.body_text()))?;
    let Revocations { gate, journal, reports } = revocations;
    let signed = request.revocation.trim().to_owned();
    let revoked = gate.read_revocation(&signed).map_err(|_| {
        let message = "No owner of this device signed this for it. Nothing was taken back.";
        ApiError::invalid("revocation", message)
    })?;
    if gate.took_back(&revoked) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let (written, by) = (signed.clone(), caller.who());
    // In a thread, because the journal waits for the disk.
    let kept =
        tokio::task::spawn_blocking(move || journal.keep_revocation(&written, &by, &Moment::now())).await;
    let report = kept.map_err(anyhow::Error::from).flatten().map_err(|error| ApiError::internal(&error))?;
    tracing::info!(client = %caller.who(), ?revoked, "an owner takes something back");
    gate.revoke(&signed);
    reports.pass_on(report);
    Ok(StatusCode::NO_CONTENT)
}
