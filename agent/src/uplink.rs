//! One device's conversation with its server, from memory alone: no file, no task, no clock that must agree.
//!
//! So that many can live in one process, an uplink is small and shares its connections with its siblings: make one
//! [`reqwest::Client`] and clone it.

mod commands;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use foreman_link::http::{self, RequestError};
use foreman_protocol::{
    Challenge, ChallengeAnswer, ConnectRequest, Connected, DeviceBearer, DeviceFacts, DeviceId, Dial,
    HeartbeatAnswer, OutputAccepted, PROTOCOL_VERSION, ProblemCode, RELAY_TICKET_HEADER, Reports, Sample,
    TaskId, TunnelToken, challenge_message,
};
use reqwest::{
    Client, RequestBuilder, Response,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use tokio::sync::Mutex;

pub use commands::{Commands, Delivery, NotUnderstood};

/// The most output one request carries, in bytes.
pub const MOST_OUTPUT: usize = 256 * 1024;

/// How long the server may take over an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// The same for output, which a thin line carries slowly.
const OUTPUT_LIMIT: Duration = Duration::from_secs(120);

/// See the module.
#[derive(Debug)]
pub struct Uplink {
    client: Client,
    /// `…/api/v1/devices/<id>`
    base: String,
    device_id: DeviceId,
    key: SigningKey,
    bearer: Mutex<Option<Bearer>>,
    /// As the server said it with the last bearer.
    server_link_key: std::sync::OnceLock<String>,
}

#[derive(Debug)]
struct Bearer {
    header: HeaderValue,
    renew_at: Instant,
}

/// Spends a connection token and registers the public key.
///
/// # Errors
/// See [`RequestError`]; the token is spent only when the server says so.
pub async fn enrol(
    client: &Client,
    server: &str,
    token: &str,
    public_key: String,
) -> Result<Connected, RequestError> {
    let request = ConnectRequest {
        token: token.to_owned(),
        public_key,
        agent_version: crate::VERSION.to_owned(),
        protocol_version: PROTOCOL_VERSION,
    };
    let url = format!("{server}/api/v1/devices/connect");
    http::json(client.post(url).timeout(ANSWER_LIMIT).json(&request)).await
}

/// Whether this device was deleted or disconnected on the server. Only the server's own word counts, not the
/// status of some proxy between.
#[must_use]
pub fn is_gone(error: &RequestError) -> bool {
    error.code() == Some(ProblemCode::DeviceGone)
}

impl Uplink {
    #[must_use]
    pub fn new(client: Client, server: &str, device_id: DeviceId, key: SigningKey) -> Arc<Self> {
        let base = format!("{server}/api/v1/devices/{device_id}");
        Arc::new(Self {
            client,
            base,
            device_id,
            key,
            bearer: Mutex::new(None),
            server_link_key: std::sync::OnceLock::new(),
        })
    }

    /// Proves who this is, ahead of the first request that needs it.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn authenticate(&self) -> Result<(), RequestError> {
        self.bearer(None).await.map(drop)
    }

    /// The server's own link key, once it has said so.
    #[must_use]
    pub fn server_link_key(&self) -> Option<&str> {
        self.server_link_key.get().map(String::as_str)
    }

    /// # Errors
    /// See [`RequestError`].
    pub async fn heartbeat(&self, sample: &Sample) -> Result<HeartbeatAnswer, RequestError> {
        let url = format!("{}/heartbeat", self.base);
        let response = self.send(|| self.client.post(&url).timeout(ANSWER_LIMIT).json(sample)).await?;
        read_json(response).await
    }

    /// # Errors
    /// See [`RequestError`].
    pub async fn facts(&self, facts: &DeviceFacts) -> Result<(), RequestError> {
        let url = format!("{}/facts", self.base);
        self.send(|| self.client.put(&url).timeout(ANSWER_LIMIT).json(facts)).await.map(drop)
    }

    /// # Errors
    /// See [`RequestError`]. Saying the same again does no harm.
    pub async fn report(&self, reports: &Reports) -> Result<(), RequestError> {
        let url = format!("{}/reports", self.base);
        self.send(|| self.client.post(&url).timeout(ANSWER_LIMIT).json(reports)).await.map(drop)
    }

    /// Sends output from `offset` on; at most [`MOST_OUTPUT`] bytes. With `gap` it declares that what the server
    /// does not have before `offset` is gone for good.
    ///
    /// # Errors
    /// See [`RequestError`]; [`ProblemCode::OutputOffset`] when the server stands elsewhere.
    pub async fn output(
        &self,
        task: TaskId,
        offset: u64,
        bytes: Bytes,
        gap: bool,
    ) -> Result<OutputAccepted, RequestError> {
        let gap = if gap { "&gap=1" } else { "" };
        let url = format!("{}/tasks/{task}/output?offset={offset}{gap}", self.base);
        let request = || {
            let request = self.client.put(&url).timeout(OUTPUT_LIMIT).body(bytes.clone());
            request.header(reqwest::header::CONTENT_TYPE, "application/octet-stream")
        };
        read_json(self.send(request).await?).await
    }

    /// Signs this device off for good.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn disconnect(&self) -> Result<(), RequestError> {
        let url = format!("{}/disconnect", self.base);
        self.send(|| self.client.post(&url).timeout(ANSWER_LIMIT)).await.map(drop)
    }

    /// Where and with what a caller who waits on the relay is met.
    ///
    /// # Errors
    /// See [`RequestError`]; `Invalid` for a replica that would get the bearer less protected than this server does.
    pub async fn relay(&self, dial: &Dial) -> Result<(String, HeaderMap), RequestError> {
        let base = match &dial.server {
            Some(server) if self.base.starts_with("https://") && !server.starts_with("https://") => {
                return Err(RequestError::Invalid {
                    message: format!(
                        "{server} is not encrypted and this device's server is, so it was not dialled"
                    ),
                });
            }
            Some(server) if !is_origin(server) => {
                return Err(RequestError::Invalid {
                    message: format!("{server:?} is not the address of a server, so it was not dialled"),
                });
            }
            Some(server) => format!("{}/api/v1/devices/{}", server.trim_end_matches('/'), self.device_id),
            None => self.base.clone(),
        };
        let mut ticket = HeaderValue::from_str(&dial.ticket)
            .map_err(|error| RequestError::Malformed { message: error.to_string() })?;
        ticket.set_sensitive(true);
        let mut headers = self.headers().await?;
        headers.insert(HeaderName::from_static(RELAY_TICKET_HEADER), ticket);
        Ok((format!("{base}/relay/accept"), headers))
    }

    /// What this device's Cloudflare Tunnel runs with; `None` when the server made none.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn tunnel(&self) -> Result<Option<TunnelToken>, RequestError> {
        let url = format!("{}/tunnel", self.base);
        match self.send(|| self.client.get(&url).timeout(ANSWER_LIMIT)).await {
            Ok(response) => read_json(response).await.map(Some),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[must_use]
    pub const fn device_id(&self) -> DeviceId {
        self.device_id
    }

    /// The server's instructions, as a stream that comes back by itself.
    #[must_use]
    pub fn commands(self: &Arc<Self>) -> Commands {
        Commands::new(self)
    }

    /// Sends with a bearer; when the server no longer takes it, once more with a new one.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, RequestError> {
        let bearer = self.bearer(None).await?;
        match http::send(request().header(AUTHORIZATION, bearer.clone())).await {
            Err(error) if error.status() == Some(401) => {
                let bearer = self.bearer(Some(&bearer)).await?;
                http::send(request().header(AUTHORIZATION, bearer)).await
            }
            answer => answer,
        }
    }

    async fn headers(&self) -> Result<HeaderMap, RequestError> {
        let bearer = self.bearer(None).await?;
        Ok(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
    }

    /// The server refused it. While somebody holds it, they are renewing it.
    pub(crate) fn forget_bearer(&self) {
        if let Ok(mut held) = self.bearer.try_lock() {
            *held = None;
        }
    }

    /// The bearer in force, renewed when it is about to expire or is the one that was just refused. Many callers
    /// wait for one renewal.
    async fn bearer(&self, refused: Option<&HeaderValue>) -> Result<HeaderValue, RequestError> {
        let mut held = self.bearer.lock().await;
        if let Some(bearer) = held.as_ref()
            && refused != Some(&bearer.header)
            && Instant::now() < bearer.renew_at
        {
            return Ok(bearer.header.clone());
        }
        let post = |what: &str| self.client.post(format!("{}/{what}", self.base)).timeout(ANSWER_LIMIT);
        let asked = Instant::now();
        let Challenge { challenge } = http::json(post("challenge")).await?;
        let signature = self.key.sign(&challenge_message(self.device_id, &challenge));
        let signature = STANDARD.encode(signature.to_bytes());
        let answer = ChallengeAnswer { challenge, signature };
        let granted: DeviceBearer = http::json(post("bearer").json(&answer)).await?;
        let mut header = HeaderValue::from_str(&format!("Bearer {}", granted.bearer))
            .map_err(|error| RequestError::Malformed { message: error.to_string() })?;
        header.set_sensitive(true);
        // Ahead of its end, so that a request under way does not outlive it.
        let renew_at = asked + Duration::from_secs(granted.expires_in_s.into()).mul_f32(0.8);
        if let Some(key) = granted.server_link_key {
            // The first one stays: a server that changes its key is no longer the one this device joined.
            let _ = self.server_link_key.set(key);
        }
        *held = Some(Bearer { header: header.clone(), renew_at });
        Ok(header)
    }
}

/// Scheme, host and port, and nothing with which an address would ask another program for something.
fn is_origin(address: &str) -> bool {
    reqwest::Url::parse(address).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

async fn read_json<T: serde::de::DeserializeOwned>(response: Response) -> Result<T, RequestError> {
    let body = response.bytes().await?;
    serde_json::from_slice(&body).map_err(|error| RequestError::Malformed { message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_replica_is_named_by_its_origin_alone() {
        for origin in ["http://10.0.0.2:3001", "https://one.foreman.example/", "http://[::1]:1"] {
            assert!(is_origin(origin), "{origin}");
        }
        for other in [
            "http://192.168.1.1/reboot?now=",
            "http://192.168.1.1/?x=",
            "http://192.168.1.1/#",
            "http://name:secret@10.0.0.2",
            "http://10.0.0.2/a",
            "file:///etc",
            "10.0.0.2:3001",
        ] {
            assert!(!is_origin(other), "{other}");
        }
    }
}
