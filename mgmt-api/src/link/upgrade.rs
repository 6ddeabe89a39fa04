//! A request that becomes a WebSocket, with the bytes below it in our hands: the relay carries frames piece by
//! piece, which no message-wise reader could with as little memory.

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{Request, request::Parts},
    response::Response,
};
use foreman_protocol::ProblemCode;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::{App, problem::ApiError};

/// The bytes of a connection that is a WebSocket from here on.
pub type Way = TokioIo<Upgraded>;

/// The longest message, in bytes.
pub const MESSAGE_BYTES: usize = 64 * 1024;

pub struct Upgrade {
    answer: Response,
    connection: OnUpgrade,
}

impl FromRequestParts<App> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let refused = || {
            ApiError::new(
                ProblemCode::InvalidRequest,
                "This address takes WebSockets only. Nothing was opened.",
            )
        };
        let mut request = Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        let answer = create_response_with_body(&request, Body::empty).map_err(|_| refused())?;
        let connection = parts.extensions.remove::<OnUpgrade>().ok_or_else(refused)?;
        Ok(Self { answer, connection })
    }
}

impl Upgrade {
    /// Answers, and hands the connection over once it is a WebSocket.
    pub fn then<F>(self, with: impl FnOnce(Way) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(async move {
            // One that breaks before it begins is as good as one that breaks right after.
            if let Ok(upgraded) = self.connection.await {
                with(TokioIo::new(upgraded)).await;
            }
        });
        self.answer
    }
}
