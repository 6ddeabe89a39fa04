//! A WebSocket that ends in this process: as messages for a page's terminal, as a stream of bytes for a link.

use bytes::Bytes;
use foreman_link::carrier::{Frame, MessageStream, Wording};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
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
    WebSocketStream::from_raw_socket(way, Role::Server, Some(config)).await
}

/// Its binary messages, one after the other.
pub async fn bytes(way: Way) -> MessageStream<Messages, Message> {
    MessageStream::new(messages(way).await, Wording { read, write })
}

fn read(message: Message) -> Frame {
    match message {
        Message::Binary(data) => Frame::Data(data),
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Frame::Other,
        // Text is nothing that a link sends.
        Message::Close(_) | Message::Text(_) => Frame::Close,
    }
}

fn write(frame: Frame) -> Message {
    match frame {
        Frame::Data(data) => Message::Binary(data),
        Frame::Ping | Frame::Other => Message::Ping(Bytes::new()),
        Frame::Close => Message::Close(None),
    }
}
