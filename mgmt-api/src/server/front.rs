//! What every request passes on its way in, and its answer on its way out: one step for all of it, because each layer
//! that may wait copies everything below itself for each request.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::forwarded;
use crate::{App, auth::gate, meters::Meters, web};

/// What the step works with.
#[derive(Clone)]
pub struct Front {
    app: App,
    meters: Meters,
}

impl Front {
    pub fn new(app: App) -> Self {
        Self { app, meters: Meters::default() }
    }
}

/// Refuses what names another host, counts the rest, and tells browsers what the answer may do.
pub async fn pass(
    State(front): State<Front>,
    route: Option<MatchedPath>,
    mut request: Request,
    next: Next,
) -> Response {
    forwarded::from(&front.app.settings.trusted_proxies, &mut request);
    let request = web::read_out(request);
    let answer = match gate::known_host(&front.app.settings, &request) {
        Ok(()) => front.meters.count(route.as_ref(), request, next).await,
        Err(refused) => refused.into_response(),
    };
    web::security_headers(answer)
}
