//! Through the server: a device's own API under `/api/v1/devices/{id}/link/…`, for browsers, which cannot speak the
//! link. Bodies flow both ways as they come; nothing is kept.
//!
//! The role decides here whether somebody may ask at all, the device decides whether it does it. What a device
//! answers is somebody else's content on this server's address: it gets no right to run or to load anything.

use std::{io, pin::pin};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header},
    response::Response,
};
use bytes::Bytes;
use foreman_link::h2::{self, RequestFailed};
use foreman_protocol::{Device, DeviceId, ProblemCode, Role};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http_body_util::{BodyDataStream, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::dial;
use crate::{
    App,
    auth::Caller,
    bounds,
    devices::store,
    extract::{Path, too_large},
    problem::{ApiError, ApiResult},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(through))
}

/// Marks an answer that comes from a device.
#[derive(Debug, Clone, Copy)]
pub struct PassedOn;

/// For the compression: what a device answers is passed on as it is.
pub fn not_passed_on(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<PassedOn>().is_none()
}

const ASKED: [HeaderName; 8] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    HeaderName::from_static("last-event-id"),
];
const ANSWERED: [HeaderName; 10] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::CONTENT_DISPOSITION,
    header::CACHE_CONTROL,
    header::CONTENT_SECURITY_POLICY,
    header::X_CONTENT_TYPE_OPTIONS,
];

/// A page that a device sends may show itself and nothing else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox",
);

/// The rest of the address goes on as it was sent.
#[derive(Debug, Deserialize)]
struct Whose {
    id: DeviceId,
}

/// Asks the device itself, over a link that the server opens for it. Viewers only read.
///
/// Answers are the device's; `server_not_trusted` when it lets this server do nothing, `device_unreachable` when it
/// is not there.
#[utoipa::path(method(get, post, put, patch, delete), path = "/api/v1/devices/{id}/link/{*path}", tag = "link",
    params(("id" = DeviceId, Path), ("path" = String, Path, description = "An address of the device's API")),
    responses((status = "default", description = "What the device answers")))]
async fn through(
    State(app): State<App>,
    caller: Caller,
    Path(Whose { id }): Path<Whose>,
    request: Request,
) -> ApiResult<Response> {
    caller.at_least(match *request.method() {
        Method::GET | Method::HEAD => Role::Viewer,
        _ => Role::Operator,
    })?;
    as_content(request.headers())?;
    let device =
        store::find(app.db.read(), caller.tenant, id).await?.ok_or_else(|| ApiError::not_found("device"))?;
    let (parts, body) = request.into_parts();
    let reading = matches!(parts.method, Method::GET | Method::HEAD);
    let address = address(&parts.uri)?;
    let mut body = match reading {
        true => None,
        false => Some(sent(&parts.method, &address, &parts.headers, body)?),
    };
    let mut again = reading;
    let mut ended = pin!(caller.clone().ended_later(app.clone()));
    loop {
        let link = app.link.pool.get(&app, &caller, &device).await?;
        let mut asked = axum::http::Request::new(body.take().unwrap_or_else(h2::Body::empty));
        *asked.method_mut() = parts.method.clone();
        *asked.uri_mut() = address.clone();
        *asked.headers_mut() = only(&parts.headers, &ASKED);
        if reading {
            // Its body stays here, and a length without one would break the request on the link.
            asked.headers_mut().remove(header::CONTENT_LENGTH);
        }
        let answer = tokio::select! {
            () = app.closing.cancelled() => return Err(ApiError::unavailable()),
            () = &mut ended => return Err(ApiError::unauthenticated()),
            answer = link.request(asked) => answer,
        };
        match answer {
            Ok(answer) => return Ok(pass_on(&app, caller, answer)),
            // Nothing has to be sent again, and reading twice does no harm.
            Err(error) if std::mem::take(&mut again) => {
                tracing::debug!(device.id = %id, %error, "a link was lost while waiting; asking once more");
                app.link.pool.lost(&caller, &device);
            }
            Err(error) => {
                app.link.pool.lost(&caller, &device);
                return Err(lost(&device, reading, &error));
            }
        }
    }
}

/// The device's content is looked at and downloaded, never run as part of our page.
fn as_content(headers: &HeaderMap) -> ApiResult<()> {
    const RUN: [&str; 6] =
        ["script", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet"];
    let wanted = headers.get("sec-fetch-dest").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match RUN.contains(&wanted) {
        true => {
            Err(ApiError::new(ProblemCode::Forbidden, "What a device sends is not run as a script here."))
        }
        false => Ok(()),
    }
}

/// What follows `/api/v1/devices/{id}/link`, as it was sent.
fn address(uri: &Uri) -> ApiResult<Uri> {
    let whole = uri.path_and_query().map_or("/", |path| path.as_str());
    whole
        .splitn(6, '/')
        .nth(5)
        .and_then(|rest| rest.strip_prefix("link"))
        .filter(|rest| rest.starts_with('/'))
        .and_then(|rest| rest.parse().ok())
        .ok_or_else(|| ApiError::not_found("address"))
}

fn only(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut some = HeaderMap::new();
    for name in names {
        for value in headers.get_all(name) {
            some.append(name, value.clone());
        }
    }
    some
}

/// A body on its way to the device. What is a file or talks both ways has no limit here; the rest is as short as
/// for this server itself.
fn sent(method: &Method, address: &Uri, headers: &HeaderMap, body: Body) -> ApiResult<h2::Body> {
    let path = address.path();
    let file = method == Method::PATCH && path.starts_with("/uploads/");
    if file || path == "/forward" {
        return Ok(h2::Body::new(body));
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > bounds::BODY_BYTES) {
        return Err(too_large(bounds::BODY_BYTES));
    }
    Ok(h2::Body::new(Limited::new(body, bounds::BODY_BYTES)))
}

/// The device's answer as ours, for as long as this caller may have it.
pub fn pass_on(app: &App, caller: Caller, answer: axum::http::Response<Incoming>) -> Response {
    let (parts, body) = answer.into_parts();
    let mut headers = only(&parts.headers, &ANSWERED);
    headers.append(header::CONTENT_SECURITY_POLICY, POLICY);
    let endless = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let ended = caller.ended_later(app.clone());
    let body = match endless {
        true => {
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            let closing = app.closing.clone().cancelled_owned();
            Body::from_stream(BodyDataStream::new(body).take_until(closing).take_until(ended))
        }
        false if body.is_end_stream() => Body::empty(),
        // Its end would look like the end of what was asked for.
        false => Body::from_stream(cut_off(BodyDataStream::new(body).map_err(io::Error::other), ended)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = parts.status;
    *response.headers_mut() = headers;
    response.extensions_mut().insert(PassedOn);
    response
}

/// The pieces, or an error in their place once that happens.
fn cut_off(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send,
    happens: impl Future<Output = ()> + Send,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let over = stream::once(happens).map(|()| Some(Err(io::Error::other("whoever asked was signed out"))));
    // The pieces' own end comes through.
    let all = stream::select(pieces.map(Some).chain(stream::iter([None])), over);
    all.take_while(|piece| std::future::ready(piece.is_some())).filter_map(std::future::ready)
}

pub fn lost(device: &Device, reading: bool, error: &RequestFailed) -> ApiError {
    let mut refused = dial::unreachable(device, "The connection to it was lost while it was asked.");
    if !reading {
        refused.message = format!(
            "The connection to {} was lost before it answered, so it may or may not have done this. Look before you \
             try again.",
            device.name
        );
    }
    tracing::debug!(device.id = %device.id, %error, "a link was lost");
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_goes_on_as_it_was_sent() {
        let of = |text: &str| address(&text.parse().unwrap()).map(|uri| uri.to_string()).ok();
        let base = "/api/v1/devices/01a1fd32-31ab-7322-b26a-bc705ba312b0/link";
        assert_eq!(of(&format!("{base}/files?path=%2Fa%20b&q=1")).unwrap(), "/files?path=%2Fa%20b&q=1");
        assert_eq!(of(&format!("{base}/a%2F..%2Fb")).unwrap(), "/a%2F..%2Fb");
        assert_eq!(of("/api/v1/devices/x/links"), None);
    }

    #[test]
    fn neither_cookies_nor_bearers_reach_the_device() {
        let mut headers = HeaderMap::new();
        for name in ["cookie", "authorization", "range", "x-forwarded-for", "last-event-id"] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        let mut names: Vec<_> = only(&headers, &ASKED).keys().map(ToString::to_string).collect();
        names.sort();
        assert_eq!(names, ["last-event-id", "range"]);
    }
}
