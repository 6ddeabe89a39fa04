//! Uploads over the link: `/uploads/…`. Begun once, continued over any connection at the offset where they stand.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    routing::{get, post},
};
use bytes::{Bytes, BytesMut};
use foreman_machine::files::{Files, Piece};
use foreman_protocol::{Level, StartUpload, Upload, UploadId};
use futures_util::StreamExt;
use serde::Deserialize;

use super::{
    ApiError, ApiResult, Caller, Device,
    files::{Here, POLICY_READ_EVERY, Params, Payload, blocking},
};

/// Bytes that are written at once.
const PIECE: usize = 1 << 20;

pub fn router(device: Arc<Device>, files: Arc<Files>) -> Router {
    Router::new()
        .route("/uploads", post(start))
        .route("/uploads/{id}", get(look).patch(go_on).delete(cancel))
        .with_state(Here::new(device, files))
}

/// Removes what is too old, once an hour, for as long as this runs.
pub async fn keep_clean(files: Arc<Files>) {
    let mut hour = tokio::time::interval(std::time::Duration::from_secs(3_600));
    loop {
        hour.tick().await;
        let files = Arc::clone(&files);
        if tokio::task::spawn_blocking(move || files.clean_up()).await.is_err() {
            tracing::error!("old uploads could not be removed");
        }
    }
}

async fn start(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Payload(wanted): Payload<StartUpload>,
) -> ApiResult<(StatusCode, Json<Upload>)> {
    let if_match = match headers.get(header::IF_MATCH).map(|value| value.to_str()) {
        None => None,
        Some(Ok(etag)) => Some(etag.to_owned()),
        Some(Err(_)) => return Err(ApiError::invalid("if-match", "This is no tag of a file.")),
    };
    let upload = here
        .change(&caller, move |files, policy, who| {
            files.start_upload(policy, &wanted, if_match.as_deref(), who)
        })
        .await?;
    Ok((StatusCode::CREATED, Json(upload)))
}

fn known(id: &str) -> ApiResult<UploadId> {
    id.parse().map_err(|_| ApiError::not_found("upload"))
}

async fn look(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> ApiResult<Json<Upload>> {
    caller.need(Level::View)?;
    let id = known(&id)?;
    Ok(Json(blocking(move || here.files.upload(&here.device.policy(), id)).await?))
}

async fn cancel(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let id = known(&id)?;
    here.change(&caller, move |files, policy, _| files.cancel_upload(policy, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    offset: u64,
}

async fn go_on(
    State(here): State<Here>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Params(From { offset }): Params<From>,
    body: Body,
) -> ApiResult<Json<Upload>> {
    let id = known(&id)?;
    let start = here.clone();
    let piece =
        start.change(&caller, move |files, policy, _| files.continue_upload(policy, id, offset)).await?;
    // On a task of its own: when the client is cut off, what came until then is still made safe.
    let going = tokio::spawn(receive(here, caller, piece, body));
    match going.await {
        Ok(answer) => Ok(Json(answer?)),
        Err(error) => Err(ApiError::internal(&error.into())),
    }
}

async fn receive(here: Here, caller: Caller, piece: Piece, body: Body) -> ApiResult<Upload> {
    let piece = Arc::new(piece);
    let written = write_all(&here, &piece, body).await;
    let ended = here.change(&caller, move |files, policy, who| files.finish_piece(policy, &piece, who)).await;
    written.and(ended)
}

/// Writes what comes in large pieces.
async fn write_all(here: &Here, piece: &Arc<Piece>, body: Body) -> ApiResult<()> {
    let mut body = body.into_data_stream();
    let mut look = tokio::time::interval(POLICY_READ_EVERY);
    let mut gathered = BytesMut::with_capacity(PIECE);
    loop {
        let bytes = tokio::select! {
            bytes = body.next() => bytes,
            _ = look.tick() => {
                still_allowed(here, piece).await?;
                continue;
            }
        };
        let Some(bytes) = bytes else { break };
        let Ok(bytes) = bytes else {
            write(piece, gathered.split().freeze()).await?;
            return Err(ApiError::invalid("body", "The connection broke off. What came is kept."));
        };
        gathered.extend_from_slice(&bytes);
        if gathered.len() >= PIECE {
            write(piece, gathered.split().freeze()).await?;
            gathered.reserve(PIECE);
        }
    }
    write(piece, gathered.freeze()).await
}

/// What the device forbids holds for what is on its way, too.
async fn still_allowed(here: &Here, piece: &Arc<Piece>) -> ApiResult<()> {
    let (here, piece) = (here.clone(), Arc::clone(piece));
    blocking(move || here.files.may_go_on(&here.device.policy(), &piece)).await
}

async fn write(piece: &Arc<Piece>, bytes: Bytes) -> ApiResult<()> {
    let piece = Arc::clone(piece);
    blocking(move || piece.write(&bytes)).await
}
