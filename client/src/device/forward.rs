//! A TCP connection made by the device, carried over the link.

use std::{io, pin::Pin};

use futures_util::{SinkExt, StreamExt, TryStreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, Join, join},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{
    io::{CopyToBytes, SinkWriter, StreamReader},
    sync::PollSender,
};

use super::{DeviceConnection, ask::Ask};
use crate::Error;

/// Reads what the far end says, writes to it; shutting it down tells the far end that nothing more comes.
pub type ForwardStream = Join<Pin<Box<dyn AsyncRead + Send>>, Pin<Box<dyn AsyncWrite + Send>>>;

impl DeviceConnection {
    /// Connects to a port as the device sees it; `host` is the device itself when absent.
    ///
    /// # Errors
    /// See [`Error`]; `policy_forbids`, `device_unreachable` when nobody listens there.
    pub async fn forward(&self, host: Option<&str>, port: u16) -> Result<ForwardStream, Error> {
        let (sender, pieces) = mpsc::channel(8);
        let ask = Ask::post("/forward").query("host", host).query("port", Some(port));
        let answer = self.send(ask.stream(ReceiverStream::new(pieces).map(Ok))).await?;
        let reader = StreamReader::new(answer.body.map_err(io::Error::other));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        let writer = SinkWriter::new(CopyToBytes::new(PollSender::new(sender).sink_map_err(gone)));
        Ok(join(Box::pin(reader), Box::pin(writer)))
    }
}
