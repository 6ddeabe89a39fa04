//! Where files are not changed, nothing is uploaded.

use std::{future::pending, sync::Arc};

use axum::{Router, routing::any};
use foreman_machine::files::Files;

use super::{Device, files::refuse};

pub fn router(_device: Arc<Device>, _files: Arc<Files>) -> Router {
    Router::new().route("/uploads", any(refuse)).route("/uploads/{id}", any(refuse))
}

/// Nothing is left behind that would have to be let go.
pub async fn keep_clean(_files: Arc<Files>) {
    pending().await
}
