//! The Ollama of a device, over the device link: the server asks with its own grant, and the device decides.

use std::time::Duration;

use axum::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use foreman_link::h2::{self, BoxError};
use foreman_protocol::{ApiTokenId, Device, DeviceStatus, Problem, ProblemCode, Role, TenantId};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::{Answer, Call, Known, SendFailed};
use crate::{
    App,
    auth::{Caller, Identity, parse},
    problem::{ApiError, ApiResult},
};

/// A device's own words about why it did not pass something on.
const PROBLEM_BYTES: usize = 64 * 1024;

/// For what nobody in particular asks of a device: the server itself, as an operator.
pub fn own(tenant: TenantId) -> ApiResult<Caller> {
    let id: ApiTokenId = parse(&tenant.to_string())?;
    Ok(Caller {
        tenant,
        role: Role::Operator,
        identity: Identity::Token { id, name: "Foreman".to_owned() },
        source: String::new(),
    })
}

pub async fn send(app: &App, tenant: TenantId, known: &Known, call: Call) -> Result<Answer, SendFailed> {
    let device = known.device.as_ref().ok_or_else(|| unreachable("Its device is gone."))?;
    let caller = own(tenant).map_err(SendFailed::Refused)?;
    let path = format!("v1/{}", call.path);
    let method = if call.body.is_some() { Method::POST } else { Method::GET };
    let answer =
        ask(app, &caller, device, Asked { method, path: &path, body: call.body, connect: call.connect })
            .await?;
    let (parts, body) = answer.into_parts();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.map_err(|error| Box::new(error) as BoxError).boxed_unsync(),
    })
}

/// What is asked of a device's Ollama.
pub struct Asked<'a> {
    pub method: Method,
    /// Ollama's own, without the slash before it.
    pub path: &'a str,
    /// JSON.
    pub body: Option<Bytes>,
    /// How long the link may take to open.
    pub connect: Duration,
}

/// Asks the device's Ollama and gives its answer as it comes, errors of Ollama included.
///
/// # Errors
/// [`SendFailed::Unreachable`] at once when the device is offline.
pub async fn ask(
    app: &App,
    caller: &Caller,
    device: &Device,
    asked: Asked<'_>,
) -> Result<Response<Incoming>, SendFailed> {
    if device.status != DeviceStatus::Online {
        return Err(unreachable(&format!("{} is offline.", device.name)));
    }
    let mut again = asked.method == Method::GET;
    loop {
        let opened = tokio::time::timeout(asked.connect, app.link.pool.get(app, caller, device)).await;
        let link = opened.map_err(|_| SendFailed::Timeout)?.map_err(refused)?;
        let body = asked.body.clone().map_or_else(h2::Body::empty, h2::Body::from);
        let mut request = Request::new(body);
        *request.method_mut() = asked.method.clone();
        *request.uri_mut() = format!("/ollama/{}", asked.path)
            .parse()
            .map_err(|error: axum::http::uri::InvalidUri| SendFailed::Refused(ApiError::internal(error)))?;
        if asked.body.is_some() {
            let json = header::HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        match link.request(request).await {
            Ok(answer) => return its_own(device, answer).await,
            // Nothing was changed by it, and a link that was kept may have died unnoticed.
            Err(error) if std::mem::take(&mut again) => {
                tracing::debug!(device.id = %device.id, %error, "a link was lost; asking once more");
                app.link.pool.lost(caller, device);
            }
            Err(error) => {
                app.link.pool.lost(caller, device);
                return Err(unreachable(&format!("The connection to {} was lost: {error}.", device.name)));
            }
        }
    }
}

/// Ollama's answer; what the agent says instead of it is an error.
async fn its_own(device: &Device, answer: Response<Incoming>) -> Result<Response<Incoming>, SendFailed> {
    let kind = answer.headers().get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes);
    if kind != Some(b"application/problem+json") {
        return Ok(answer);
    }
    let status = answer.status();
    let bytes = Limited::new(answer.into_body(), PROBLEM_BYTES).collect().await;
    let problem = bytes.ok().and_then(|body| serde_json::from_slice::<Problem>(&body.to_bytes()).ok());
    let Some(problem) = problem else {
        return Err(unreachable(&format!("{} answered {status} and did not say why.", device.name)));
    };
    Err(match problem.code {
        ProblemCode::ModelUnavailable | ProblemCode::Unavailable => SendFailed::Unreachable(problem.message),
        // An agent from before models does not know the address.
        ProblemCode::NotFound if status == StatusCode::NOT_FOUND => SendFailed::Refused(too_old(device)),
        code => SendFailed::Refused(ApiError {
            code,
            message: problem.message,
            details: problem.details,
            internal: None,
        }),
    })
}

fn too_old(device: &Device) -> ApiError {
    ApiError::new(
        ProblemCode::ProtocolTooOld,
        format!("The agent on {} cannot pass requests on to Ollama yet. Update it.", device.name),
    )
}

fn refused(error: ApiError) -> SendFailed {
    match error.code {
        ProblemCode::DeviceUnreachable | ProblemCode::Unavailable => SendFailed::Unreachable(error.message),
        _ => SendFailed::Refused(error),
    }
}

fn unreachable(why: &str) -> SendFailed {
    SendFailed::Unreachable(why.to_owned())
}
