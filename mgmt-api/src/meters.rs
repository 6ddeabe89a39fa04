//! What `/metrics` counts about requests, at a cost that a heartbeat does not feel.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

const SECONDS: &str = "foreman_http_request_seconds";
const GROUP_SIZE: &str = "foreman_commit_group_size";

/// Sets up the process's metrics. Fixed buckets: memory does not grow with what was measured.
///
/// # Errors
/// When metrics are set up already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full(SECONDS.to_owned()),
            &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0],
        )?
        .set_buckets_for_metric(
            Matcher::Full(GROUP_SIZE.to_owned()),
            &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
        )?
        .install_recorder()
}

type ByOutcome = HashMap<(Method, StatusCode), (Counter, Histogram)>;

/// The counters of each route, method and status that was seen, so that a request does not look them up by text.
#[derive(Clone, Default)]
pub struct Meters(Arc<RwLock<HashMap<String, ByOutcome>>>);

impl Meters {
    fn note(&self, route: &str, method: Method, status: StatusCode, seconds: f64) {
        let key = (method, status);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, time)) = known.get(route).and_then(|outcomes| outcomes.get(&key)) {
            count.increment(1);
            time.record(seconds);
            return;
        }
        drop(known);
        let labels = [
            ("route", route.to_owned()),
            ("method", key.0.as_str().to_owned()),
            ("status", key.1.as_u16().to_string()),
        ];
        let count = metrics::counter!("foreman_http_requests_total", &labels);
        let time = metrics::histogram!(SECONDS, &labels);
        count.increment(1);
        time.record(seconds);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(route.to_owned()).or_default().insert(key, (count, time));
    }

    /// Counts a request and the time until its headers are ready, by route and never by address.
    pub async fn count(&self, route: Option<&MatchedPath>, request: Request, next: Next) -> Response {
        // A method that HTTP does not know is one label, or anybody could make as many as they like.
        let method = match request.method() {
            known if STANDARD.contains(known) => known.clone(),
            _ => Method::OPTIONS,
        };
        let started = Instant::now();
        let response = next.run(request).await;
        let route = route.map_or("page", MatchedPath::as_str);
        let status = response.status();
        self.note(route, method.clone(), status, started.elapsed().as_secs_f64());
        if status.is_server_error() {
            tracing::warn!(%method, route, status = status.as_u16(), "a request was not answered well");
        }
        response
    }
}

const STANDARD: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
