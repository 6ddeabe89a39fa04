//! Ways for bytes: TCP, and WebSocket for what lies behind a relay, a tunnel or a proxy.
//!
//! A way promises nothing but order; the channel on it finds every change. This module must not know what it
//! carries, nor which way is better.

mod connect;
mod messages;
mod pulse;
mod tunnel;
mod websocket;

use std::error::Error;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::RequestError;

pub use connect::{Dialer, connect_tcp};
pub use messages::{Frame, MessageStream, Wording};
pub use websocket::{Role, WebSocket};

/// Any byte stream that a channel can lie on.
pub trait Way: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> Way for T {}

/// A way of a kind that is only known when the program runs.
pub type AnyWay = Box<dyn Way>;

/// What failed, where, and the innermost reason.
fn unreachable(what: &str, place: &str, error: &(dyn Error + 'static)) -> RequestError {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    RequestError::Unreachable { message: format!("{what} ({place}): {cause}") }
}
