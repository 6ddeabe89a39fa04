//! The two ways that terminal frames travel: with lengths over the link, as messages over a WebSocket of the server.

use std::io;

use foreman_link::carrier;
use foreman_protocol::{DeviceId, MAX_TERMINAL_FRAME, TerminalFrame, TerminalId};
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{
    codec::{FramedRead, LengthDelimitedCodec},
    io::StreamReader,
};

use super::{ask::Ask, carry, session::Session};
use crate::{Error, Foreman};

/// Both directions of an attached terminal.
pub(super) struct Wire {
    pub to_device: mpsc::Sender<TerminalFrame>,
    pub from_device: BoxStream<'static, Result<TerminalFrame, Error>>,
}

/// Where a viewer stands.
pub(super) struct Place<'a> {
    pub terminal: TerminalId,
    pub from: u64,
    pub writer: Option<&'a str>,
}

impl Place<'_> {
    fn ask(&self, ask: Ask) -> Ask {
        ask.query("from", Some(self.from)).query("writer", self.writer)
    }

    fn path(&self) -> String {
        format!("/terminals/{}/attach", self.terminal)
    }
}

pub(super) async fn over_link(session: &Session, place: &Place<'_>) -> Result<Wire, Error> {
    let (to_device, frames) = mpsc::channel(64);
    let ask = place.ask(Ask::post(place.path()));
    let body = ReceiverStream::new(frames).map(|frame: TerminalFrame| Ok(frame.encode_with_length().into()));
    let answer = session.send(ask.stream(body)).await?.success().await?;
    let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_TERMINAL_FRAME).new_codec();
    let frames = FramedRead::new(StreamReader::new(answer.body.map_err(io::Error::other)), codec);
    let from_device = frames.map(|frame| match frame {
        Ok(bytes) => decode(&bytes),
        Err(error) => Err(Error::Unreachable { message: error.to_string() }),
    });
    Ok(Wire { to_device, from_device: from_device.boxed() })
}

fn decode(bytes: &[u8]) -> Result<TerminalFrame, Error> {
    TerminalFrame::decode(bytes).map_err(|error| Error::Malformed { message: error.to_string() })
}

pub(super) async fn over_server(
    carrier: &carrier::Dialer,
    server: &Foreman,
    device: DeviceId,
    place: &Place<'_>,
) -> Result<Wire, Error> {
    let path = place.ask(Ask::get(place.path())).path_and_query();
    let address = server.web_socket_address(&format!("devices/{device}/link{path}"));
    let (messages, from_device) = carry::messages(carrier, &address, server.headers()).await?;
    let (to_device, mut frames) = mpsc::channel::<TerminalFrame>(64);
    tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            if messages.send(frame.encode().into()).await.is_err() {
                return;
            }
        }
    });
    let from_device = from_device.map(|message| decode(&message?));
    Ok(Wire { to_device, from_device: from_device.boxed() })
}
