//! The two ways that terminal frames travel: with lengths over the link, as messages over a WebSocket of the server.

use bytes::{Buf, Bytes, BytesMut};
use foreman_link::carrier;
use foreman_protocol::{BadFrame, DeviceId, TerminalFrame, TerminalId};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

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
    let pieces = Pieces { body: answer.body, piece: Bytes::new(), begun: BytesMut::new() };
    let from_device = stream::try_unfold(pieces, |mut pieces| async {
        let frame = pieces.frame().await?;
        Ok(frame.map(|frame| (frame, pieces)))
    });
    Ok(Wire { to_device, from_device: from_device.boxed() })
}

/// Pieces of a body, with frames behind their lengths in them. Nearly always a piece ends where a frame does, and is
/// read where it lies.
struct Pieces {
    body: BoxStream<'static, Result<Bytes, Error>>,
    piece: Bytes,
    /// A frame that goes on in the next piece.
    begun: BytesMut,
}

impl Pieces {
    /// The next frame; `None` at an end between two.
    async fn frame(&mut self) -> Result<Option<TerminalFrame>, Error> {
        loop {
            if !self.begun.is_empty() {
                self.begun.extend_from_slice(&std::mem::take(&mut self.piece));
            }
            let waiting = if self.begun.is_empty() { &self.piece[..] } else { &self.begun[..] };
            if let Some((frame, length)) = TerminalFrame::decode_first(waiting).map_err(malformed)? {
                if self.begun.is_empty() {
                    self.piece.advance(length);
                } else {
                    self.begun.advance(length);
                }
                return Ok(Some(frame));
            }
            if self.begun.is_empty() {
                self.begun.extend_from_slice(&std::mem::take(&mut self.piece));
            }
            match self.body.next().await {
                Some(piece) => self.piece = piece?,
                None if self.begun.is_empty() => return Ok(None),
                None => {
                    let message = "the terminal's connection ended in the middle of a frame".to_owned();
                    return Err(Error::Unreachable { message });
                }
            }
        }
    }
}

fn decode(bytes: &[u8]) -> Result<TerminalFrame, Error> {
    TerminalFrame::decode(bytes).map_err(malformed)
}

fn malformed(error: BadFrame) -> Error {
    Error::Malformed { message: error.to_string() }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All frames of a body in these pieces, and whether it ended well.
    fn frames(pieces: Vec<Bytes>) -> (Vec<TerminalFrame>, bool) {
        let body = stream::iter(pieces).map(Ok).boxed();
        let mut pieces = Pieces { body, piece: Bytes::new(), begun: BytesMut::new() };
        let mut all = Vec::new();
        futures_util::FutureExt::now_or_never(async {
            loop {
                match pieces.frame().await {
                    Ok(Some(frame)) => all.push(frame),
                    ended => return (std::mem::take(&mut all), ended.is_ok()),
                }
            }
        })
        .unwrap()
    }

    proptest! {
        #[test]
        fn frames_come_whole_however_they_are_cut(
            lengths in prop::collection::vec(0_usize..40, 0..12),
            cuts in prop::collection::vec(0_usize..30, 0..40),
            lost in 0_usize..60,
        ) {
            let sent: Vec<_> = lengths
                .iter()
                .enumerate()
                .map(|(at, length)| TerminalFrame::Output { offset: at as u64, data: vec![at as u8; *length] })
                .collect();
            let mut rest = Bytes::from(sent.iter().flat_map(TerminalFrame::encode_with_length).collect::<Vec<_>>());
            let whole = rest.len();
            rest.truncate(whole.saturating_sub(lost));
            let kept = rest.len();
            let mut pieces: Vec<_> = cuts.iter().map(|cut| rest.split_to((*cut).min(rest.len()))).collect();
            pieces.push(rest);
            let (came, well) = frames(pieces);
            let mut end = 0;
            let expected: Vec<_> = sent
                .iter()
                .take_while(|frame| {
                    end += frame.encode_with_length().len();
                    end <= kept
                })
                .cloned()
                .collect();
            let between = expected.iter().map(|frame| frame.encode_with_length().len()).sum::<usize>() == kept;
            prop_assert_eq!(came, expected);
            prop_assert_eq!(well, between);
        }
    }
}
