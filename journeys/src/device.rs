//! A device made of nothing but its key: speaks the agent's side of the contract one request at a time.

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use foreman_link::http::{self, RequestError};
use foreman_protocol::{
    Challenge, ChallengeAnswer, ConnectRequest, Connected, DeviceBearer, DeviceId, PROTOCOL_VERSION,
    challenge_message,
};
use reqwest::{Client, Method, RequestBuilder};

pub struct BareDevice {
    pub id: DeviceId,
    pub bearer: String,
    key: SigningKey,
    http: Client,
    url: String,
}

/// A key nobody else has.
#[must_use]
pub fn fresh_key() -> SigningKey {
    SigningKey::from_bytes(&rand::random())
}

/// The request with which a key joins.
#[must_use]
pub fn connect_request(token: &str, key: &SigningKey) -> ConnectRequest {
    ConnectRequest {
        token: token.to_owned(),
        public_key: BASE64_STANDARD.encode(key.verifying_key().as_bytes()),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol_version: PROTOCOL_VERSION,
    }
}

impl BareDevice {
    /// Spends a connection token.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn join(http: &Client, url: &str, token: &str) -> Self {
        let key = fresh_key();
        let request = http.post(format!("{url}/api/v1/devices/connect")).json(&connect_request(token, &key));
        let connected: Connected = http::json(request).await.expect("a good token");
        let mut device = Self {
            id: connected.device_id,
            bearer: String::new(),
            key,
            http: http.clone(),
            url: url.to_owned(),
        };
        device.renew().await;
        device
    }

    /// Gets a new bearer.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn renew(&mut self) {
        self.try_renew().await.expect("a bearer");
    }

    /// # Errors
    /// When the server refuses or is not there.
    pub async fn try_renew(&mut self) -> Result<(), RequestError> {
        let challenge: Challenge = http::json(self.http.post(self.address("challenge"))).await?;
        let signature = self.key.sign(&challenge_message(self.id, &challenge.challenge));
        let answer = ChallengeAnswer {
            challenge: challenge.challenge,
            signature: BASE64_STANDARD.encode(signature.to_bytes()),
        };
        let request = self.http.post(self.address("bearer")).json(&answer);
        self.bearer = http::json::<DeviceBearer>(request).await?.bearer;
        Ok(())
    }

    #[must_use]
    pub fn address(&self, path: &str) -> String {
        format!("{}/api/v1/devices/{}/{path}", self.url, self.id)
    }

    /// A request as this device.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.address(path)).bearer_auth(&self.bearer)
    }
}
