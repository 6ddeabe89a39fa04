//! The window's requests: the shape they cross the bridge in, and passing them on to the server or straight to a device.
//!
//! A request is one call with raw bytes: the head as JSON in a header, the body as it is. The answer is the length of
//! its head (four bytes, big-endian), the head as JSON, and the body.

use foreman_client::{RawAnswer, RawAsk};
use foreman_protocol::DeviceId;
use serde::{Deserialize, Serialize};
use tauri::http::{HeaderMap, HeaderName, HeaderValue, Method};
use ts_rs::TS;

use crate::{
    desk::Desk,
    failure::{AppCode, Failure},
};

/// The name of the header that the head travels in, percent-encoded.
pub const HEAD: &str = "x-foreman-ask";
/// The name of the header that says which channel of the window a stream's pieces go into.
pub const PIECES: &str = "x-foreman-pieces";

/// What is asked, without the body.
#[derive(Debug, Clone, Deserialize, TS)]
pub struct AskHead {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// Straight to this device; to the server when absent.
    #[ts(type = "string | null")]
    pub device: Option<DeviceId>,
}

/// What was answered, without the body.
#[derive(Debug, Clone, Serialize, TS)]
pub struct AnswerHead {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

impl AskHead {
    pub fn raw(self, body: Vec<u8>) -> Result<RawAsk, Failure> {
        let wrong =
            |what: &str| Failure::new(AppCode::Unreadable, format!("The window asked with a wrong {what}."));
        let method = Method::from_bytes(self.method.as_bytes()).map_err(|_| wrong("method"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).map_err(|_| wrong("header"))?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|_| wrong("header"))?);
        }
        let body = (!body.is_empty()).then(|| body.into());
        Ok(RawAsk { method, path: self.path, headers, body })
    }
}

/// Sends it to where it belongs.
pub async fn pass_on(desk: &Desk, head: AskHead, body: Vec<u8>) -> Result<RawAnswer, Failure> {
    let device = head.device;
    let raw = head.raw(body)?;
    Ok(match device {
        Some(id) => desk.device(id).await?.exchange(raw).await?,
        None => desk.server().await?.exchange(raw).await?,
    })
}

/// Cookies are this program's business and never the window's.
pub fn head_of(answer: &RawAnswer) -> AnswerHead {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "set-cookie");
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    AnswerHead {
        status: answer.status,
        headers: headers.filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect(),
    }
}

/// Head and body in one piece.
pub fn joined(head: &AnswerHead, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let unsaid = |error: String| Failure::new(AppCode::Unreadable, error);
    let head = serde_json::to_vec(head).map_err(|error| unsaid(error.to_string()))?;
    let length = u32::try_from(head.len()).map_err(|error| unsaid(error.to_string()))?;
    let mut all = Vec::with_capacity(4 + head.len() + body.len());
    all.extend_from_slice(&length.to_be_bytes());
    all.extend_from_slice(&head);
    all.extend_from_slice(body);
    Ok(all)
}
