//! A WebSocket that ends in this process: as messages for a page's terminal, as a stream of bytes for a link.

use foreman_link::carrier::{Role, WebSocket};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role as MessagesRole, WebSocketConfig},
};

use super::upgrade::{MESSAGE_BYTES, Way};

/// Read from the network at a time.
const READ_BYTES: usize = 16 * 1024;

pub type Messages = WebSocketStream<Way>;

/// With bounded buffers.
pub async fn messages(way: Way) -> Messages {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES))
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MESSAGE_BYTES);
    WebSocketStream::from_raw_socket(way, MessagesRole::Server, Some(config)).await
}

/// Its binary messages, one after the other.
pub async fn bytes(way: Way) -> WebSocket<Way> {
    WebSocket::new(way, Role::Server)
}
