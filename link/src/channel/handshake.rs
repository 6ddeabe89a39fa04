//! How a channel begins, on both sides. Lengths are known before anything is read, so what a stranger sends can
//! cost a device a hundred bytes and ten seconds of waiting, and no more.

use std::{io, time::Duration};

use foreman_protocol::{Grant, Hello, LINK_VERSION, RefusedBecause};
use snow::HandshakeState;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    AcceptError, Accepted, Answer, Channel, ClientKeys, ConnectError, DeviceKeys, Welcome, crypto,
    preamble::{self, Preamble},
};
use crate::{grant::encode_key, tries::LONGEST_WAIT};

/// From the first byte to the device's answer.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Message 1 without payload: ephemeral key, sealed static key, tag.
const FIRST_MESSAGE: u16 = 32 + 48 + 16;
/// Message 2 without payload: ephemeral key, tag.
const SECOND_MESSAGE: u16 = 32 + 16;
/// In place of message 2, in clear: the version that the device speaks.
const OTHER_VERSION: u16 = 2;
/// The same: for how many seconds nobody from there is looked at, as four bytes.
const TURNED_AWAY: u16 = 4;

/// No hello and no answer is longer, in bytes.
pub(super) const HELLO_LIMIT: usize = 8 * 1024;

/// Opens a channel to the device and waits for its answer.
///
/// # Errors
/// See [`ConnectError`]. Nothing but the client's public key, sealed for the device, leaves before the device has
/// proven itself.
pub async fn connect<IO>(
    io: IO,
    keys: &ClientKeys,
    hello: &Hello,
) -> Result<(Channel<IO>, Welcome), ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    timeout(HANDSHAKE_TIMEOUT, connect_unbounded(io, keys, hello))
        .await
        .map_err(|_| ConnectError::TimedOut)?
}

async fn connect_unbounded<IO>(
    mut io: IO,
    keys: &ClientKeys,
    hello: &Hello,
) -> Result<(Channel<IO>, Welcome), ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let preamble = Preamble::fresh();
    let mut noise =
        crypto::initiator(keys.secret.as_bytes(), &keys.link_key, &preamble.prologue(&keys.device))
            .map_err(|_| ConnectError::NotTheDevice)?;
    let mut first = preamble.encode().to_vec();
    first.extend(message(&mut noise, FIRST_MESSAGE).ok_or(ConnectError::NotTheDevice)?);
    io.write_all(&first).await?;
    io.flush().await?;

    // A device that cannot open message 1 hangs up without a word.
    let length = io.read_u16().await.map_err(hung_up)?;
    if length == OTHER_VERSION {
        return Err(ConnectError::Version(io.read_u16().await?));
    }
    if length == TURNED_AWAY {
        // Anybody on the way can say so. It is said to a person, and nothing is concluded from it.
        let seconds = u64::from(io.read_u32().await?).min(LONGEST_WAIT.as_secs());
        return Err(ConnectError::TurnedAway(seconds));
    }
    if length != SECOND_MESSAGE {
        return Err(ConnectError::NotTheDevice);
    }
    let mut second = [0; SECOND_MESSAGE as usize];
    io.read_exact(&mut second).await.map_err(hung_up)?;
    read(&mut noise, &second).ok_or(ConnectError::NotTheDevice)?;

    let noise = noise.into_transport_mode().map_err(|_| ConnectError::NotTheDevice)?;
    let mut channel = Channel::new(io, noise);
    let hello = serde_json::to_vec(hello).map_err(|_| ConnectError::NotUnderstood)?;
    channel.write_all(&hello).await?;
    channel.flush().await?;
    let answer = channel.read_record(HELLO_LIMIT).await?;
    match serde_json::from_slice(&answer).map_err(|_| ConnectError::NotUnderstood)? {
        Answer::Ok(welcome) => Ok((channel, welcome)),
        Answer::Refused(because) => Err(ConnectError::Refused(because)),
    }
}

fn hung_up(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => ConnectError::NotTheDevice,
        _ => ConnectError::Io(error),
    }
}

/// Answers a caller. `check` is asked once its key is proven, with that key (standard base64) and what it said.
///
/// # Errors
/// See [`AcceptError`]. A refused caller is told why; one whose handshake fails is not.
pub async fn accept<IO, C>(io: IO, keys: &DeviceKeys, check: C) -> Result<Accepted<IO>, AcceptError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    C: FnOnce(&str, &Hello) -> Result<Grant, RefusedBecause>,
{
    timeout(HANDSHAKE_TIMEOUT, accept_unbounded(io, keys, check)).await.map_err(|_| AcceptError::TimedOut)?
}

async fn accept_unbounded<IO, C>(mut io: IO, keys: &DeviceKeys, check: C) -> Result<Accepted<IO>, AcceptError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    C: FnOnce(&str, &Hello) -> Result<Grant, RefusedBecause>,
{
    let mut bytes = [0; preamble::LEN];
    io.read_exact(&mut bytes).await?;
    let preamble = Preamble::decode(&bytes).ok_or(AcceptError::NotALink)?;
    if preamble.version != LINK_VERSION {
        let [high, low] = LINK_VERSION.to_be_bytes();
        io.write_all(&[0, OTHER_VERSION.to_be_bytes()[1], high, low]).await?;
        io.flush().await?;
        return Err(AcceptError::Version(preamble.version));
    }
    if io.read_u16().await? != FIRST_MESSAGE {
        return Err(AcceptError::Handshake);
    }
    let mut first = [0; FIRST_MESSAGE as usize];
    io.read_exact(&mut first).await?;

    let mut noise = crypto::responder(keys.secret.as_bytes(), &preamble.prologue(&keys.identity))
        .map_err(|_| AcceptError::Handshake)?;
    read(&mut noise, &first).ok_or(AcceptError::Handshake)?;
    let second = message(&mut noise, SECOND_MESSAGE).ok_or(AcceptError::Handshake)?;
    io.write_all(&second).await?;
    io.flush().await?;

    let noise = noise.into_transport_mode().map_err(|_| AcceptError::Handshake)?;
    let client =
        noise.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(AcceptError::Handshake)?;
    let client = encode_key(client);
    let mut channel = Channel::new(io, noise);
    let hello = channel.read_record(HELLO_LIMIT).await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => AcceptError::Handshake,
        _ => AcceptError::Io(error),
    })?;
    let checked = serde_json::from_slice(&hello)
        .map_err(|_| RefusedBecause::Forged)
        .and_then(|hello: Hello| check(&client, &hello).map(|grant| (hello, grant)));
    match checked {
        Ok((hello, grant)) => {
            let welcome = Welcome { level: grant.level, expires_at: grant.expires_at };
            say(&mut channel, &Answer::Ok(welcome)).await?;
            Ok(Accepted { channel, client, hello, grant })
        }
        Err(because) => {
            // Refused is what it is, whether or not the caller waits to hear it.
            if say(&mut channel, &Answer::Refused(because)).await.is_ok() {
                let _ = channel.shutdown().await;
            }
            Err(AcceptError::Refused { client, because })
        }
    }
}

/// Tells a caller whom nobody looks at for how long that is so.
///
/// # Errors
/// When the caller is no link's, or its way breaks, or it takes too long.
pub async fn turn_away<IO>(mut io: IO, wait: Duration) -> Result<(), AcceptError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let told = async {
        // All that it says first: what is left unread when a way is closed can take the answer with it.
        let mut first = [0; preamble::LEN + 2 + FIRST_MESSAGE as usize];
        io.read_exact(&mut first).await?;
        if first.first_chunk().and_then(Preamble::decode).is_none() {
            return Err(AcceptError::NotALink);
        }
        let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        io.write_all(&[TURNED_AWAY.to_be_bytes().as_slice(), &seconds.to_be_bytes()].concat()).await?;
        io.flush().await?;
        Ok(io.shutdown().await?)
    };
    timeout(HANDSHAKE_TIMEOUT, told).await.map_err(|_| AcceptError::TimedOut)?
}

async fn say<IO: AsyncRead + AsyncWrite + Unpin>(
    channel: &mut Channel<IO>,
    answer: &Answer,
) -> io::Result<()> {
    channel.write_all(&serde_json::to_vec(answer)?).await?;
    channel.flush().await
}

/// The next handshake message, with its length before it.
fn message(noise: &mut HandshakeState, length: u16) -> Option<Vec<u8>> {
    let mut framed = vec![0; 2 + usize::from(length)];
    let (head, body) = framed.split_at_mut(2);
    head.copy_from_slice(&length.to_be_bytes());
    let written = noise.write_message(&[], body).ok()?;
    (written == usize::from(length)).then_some(framed)
}

fn read(noise: &mut HandshakeState, message: &[u8]) -> Option<()> {
    // Room for a payload that must not be there.
    let mut payload = [0; 64];
    (noise.read_message(message, &mut payload).ok()? == 0).then_some(())
}
