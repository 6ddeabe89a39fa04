//! Whole files to and from a device, resumed where they stood as often as paths die.

use std::{io, time::Duration};

use bytes::Bytes;
use foreman_protocol::{ProblemCode, StartUpload, Upload};
use futures_util::StreamExt;
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_RANGE, ETAG, IF_RANGE, RANGE},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

use super::{
    DeviceConnection,
    ask::{Answer, Ask},
    keeper::Pause,
};
use crate::Error;

/// Bytes of an upload that are sent before the device says that they are safe.
const PIECE: u64 = 8 * 1024 * 1024;
/// Bytes read from a file at once.
const BLOCK: usize = 128 * 1024;
/// Nothing moved for so long: the transfer is given up, and what is there is kept.
const GIVE_UP: Duration = Duration::from_secs(300);

/// What a transfer says on its way.
#[derive(Debug)]
pub enum Transfer<'a> {
    /// So many bytes are there now.
    At(u64),
    /// The path died; it goes on over the next one.
    Lost(&'a Error),
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Bytes of the whole file.
    pub size: u64,
    /// What of it was fetched, for `If-Range` next time.
    pub etag: Option<String>,
}

impl DeviceConnection {
    /// Fetches a file from byte `from` on into `to`. With `etag` it is only taken up where the file is still the same.
    ///
    /// # Errors
    /// See [`Error`]; `changed` when the file became another one on the way: what was fetched is not of use.
    pub async fn download(
        &self,
        path: &str,
        from: u64,
        etag: Option<String>,
        to: &mut (impl AsyncWrite + Unpin + Send),
        mut tell: impl FnMut(Transfer<'_>) + Send,
    ) -> Result<Downloaded, Error> {
        let mut here = Here { at: from, etag, retry: Retry::new() };
        loop {
            match self.fetch(path, &mut here, to, &mut tell).await {
                Ok(size) => return Ok(Downloaded { size, etag: here.etag }),
                Err(error) => here.retry.after(error, false, &mut tell).await?,
            }
        }
    }

    async fn fetch(
        &self,
        path: &str,
        here: &mut Here,
        to: &mut (impl AsyncWrite + Unpin + Send),
        tell: &mut (impl FnMut(Transfer<'_>) + Send),
    ) -> Result<u64, Error> {
        let mut ask = Ask::get("/files/content").query("path", Some(path));
        if here.at > 0 {
            ask = ask.header(RANGE, &format!("bytes={}-", here.at));
            if let Some(etag) = &here.etag {
                ask = ask.header(IF_RANGE, etag);
            }
        }
        let mut answer = match self.send(ask).await {
            Err(error) if error.status() == Some(416) => return self.at_the_end(path, here).await,
            answer => answer?,
        };
        let etag = answer.header(&ETAG).map(str::to_owned);
        if here.at > 0
            && (answer.status != StatusCode::PARTIAL_CONTENT || (here.etag.is_some() && etag != here.etag))
        {
            return Err(changed(path));
        }
        here.etag = etag.or(here.etag.take());
        let size = whole_size(&answer).map(|(_, size)| size);
        if whole_size(&answer).is_some_and(|(start, _)| start != here.at) {
            return Err(Error::Malformed { message: "it begins elsewhere than was asked for".to_owned() });
        }
        while let Some(chunk) = answer.body.next().await {
            let chunk = chunk?;
            to.write_all(&chunk).await.map_err(local)?;
            here.at += chunk.len() as u64;
            here.retry.moved();
            tell(Transfer::At(here.at));
        }
        match size {
            Some(size) if here.at < size => {
                Err(Error::Unreachable { message: "the file broke off before its end".to_owned() })
            }
            _ => {
                to.flush().await.map_err(local)?;
                Ok(here.at)
            }
        }
    }

    /// What was asked for begins behind the last byte: all is here, if it is still the same file.
    async fn at_the_end(&self, path: &str, here: &Here) -> Result<u64, Error> {
        let now = self.stat(path).await?;
        match now.size == here.at && here.etag.as_ref().is_none_or(|etag| now.etag.as_ref() == Some(etag)) {
            true => Ok(here.at),
            false => Err(changed(path)),
        }
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// See [`Error`]; `conflict` when something is there and `replace` is not asked for.
    pub async fn start_upload(&self, path: &str, size: u64, replace: bool) -> Result<Upload, Error> {
        let start = StartUpload { path: path.to_owned(), size, replace };
        self.once(Ask::post("/uploads").json(&start)?).await
    }

    /// How far an upload came.
    ///
    /// # Errors
    /// See [`Error`]; `not_found` when it was finished or given up.
    pub async fn upload(&self, id: foreman_protocol::UploadId) -> Result<Upload, Error> {
        self.json(Ask::get(format!("/uploads/{id}"))).await
    }

    /// Gives an upload up; what came is removed from the device.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn cancel_upload(&self, id: foreman_protocol::UploadId) -> Result<(), Error> {
        self.done(Ask::new(Method::DELETE, format!("/uploads/{id}"))).await
    }

    /// Sends what an upload still lacks, until it is in its place.
    ///
    /// # Errors
    /// See [`Error`]. The upload stays on the device for a day and can be gone on with.
    pub async fn send_upload(
        &self,
        mut upload: Upload,
        from: &mut (impl AsyncRead + AsyncSeek + Unpin + Send),
        mut tell: impl FnMut(Transfer<'_>) + Send,
    ) -> Result<Upload, Error> {
        let mut retry = Retry::new();
        let mut known = true;
        while !upload.done {
            let outcome = async {
                if !known {
                    upload = self.upload(upload.id).await?;
                }
                if upload.done {
                    return Ok(upload.clone());
                }
                self.send_piece(&upload, from).await
            };
            match outcome.await {
                Ok(next) => {
                    if next.received > upload.received {
                        retry.moved();
                    }
                    (upload, known) = (next, true);
                    tell(Transfer::At(upload.received));
                }
                Err(error) => {
                    // Something that was on its way over the path before may come after all: what the device says
                    // counts.
                    let elsewhere = error.code() == Some(ProblemCode::UploadOffset);
                    if !(elsewhere && known) {
                        retry.after(error, elsewhere, &mut tell).await?;
                    }
                    known = false;
                }
            }
        }
        Ok(upload)
    }

    async fn send_piece(
        &self,
        upload: &Upload,
        from: &mut (impl AsyncRead + AsyncSeek + Unpin + Send),
    ) -> Result<Upload, Error> {
        let offset = upload.received;
        from.seek(io::SeekFrom::Start(offset)).await.map_err(local)?;
        let (sender, pieces) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(2);
        let length = PIECE.min(upload.size - offset);
        let ask = Ask::new(Method::PATCH, format!("/uploads/{}", upload.id)).query("offset", Some(offset));
        let ask = ask.stream(tokio_stream::wrappers::ReceiverStream::new(pieces));
        let feed = feed(from, length, sender);
        let answer = async { self.send(ask).await?.json::<Upload>().await };
        // When the device answers early, it says why; what was not read then does not matter.
        tokio::pin!(answer);
        tokio::select! {
            outcome = &mut answer => outcome,
            fed = feed => {
                fed?;
                answer.await
            }
        }
    }
}

/// Reads `length` bytes and hands them on; a file that became shorter is an error, and so is the request then.
async fn feed(
    from: &mut (impl AsyncRead + Unpin),
    length: u64,
    to: tokio::sync::mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), Error> {
    let mut left = length;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let mut block = vec![0; want];
        let read = from.read(&mut block).await.map_err(local)?;
        if read == 0 {
            let _ = to.send(Err(io::ErrorKind::UnexpectedEof.into())).await;
            return Err(Error::Invalid { message: "the file became shorter while it was sent".to_owned() });
        }
        block.truncate(read);
        left -= read as u64;
        if to.send(Ok(block.into())).await.is_err() {
            // Nobody reads any more: the answer says why.
            return Ok(());
        }
    }
    Ok(())
}

struct Here {
    at: u64,
    etag: Option<String>,
    retry: Retry,
}

/// How long it is tried again without a byte that moved.
struct Retry {
    pause: Pause,
    since: Instant,
}

impl Retry {
    fn new() -> Self {
        Self { pause: Pause::default(), since: Instant::now() }
    }

    fn moved(&mut self) {
        *self = Self::new();
    }

    /// Waits for the next try; gives the error back when there should be none.
    async fn after(
        &mut self,
        error: Error,
        passes: bool,
        tell: &mut (impl FnMut(Transfer<'_>) + Send),
    ) -> Result<(), Error> {
        if !(passes || error.is_transient()) || self.since.elapsed() > GIVE_UP {
            return Err(error);
        }
        tell(Transfer::Lost(&error));
        tokio::time::sleep(self.pause.next()).await;
        Ok(())
    }
}

/// Where the answer begins, and how long the file is.
fn whole_size(answer: &Answer) -> Option<(u64, u64)> {
    if let Some(range) = answer.header(&CONTENT_RANGE) {
        let (span, size) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (start, _) = span.split_once('-')?;
        return Some((start.parse().ok()?, size.parse().ok()?));
    }
    let length = answer.header(&reqwest::header::CONTENT_LENGTH)?.parse().ok()?;
    Some((0, length))
}

fn changed(path: &str) -> Error {
    let message = format!("{path} is not the file any more that was begun with. Begin anew.");
    let problem = foreman_protocol::Problem::new(ProblemCode::Changed, message, None);
    Error::Refused { status: problem.status, problem: Box::new(problem) }
}

fn local(error: io::Error) -> Error {
    Error::Invalid { message: format!("the local file: {error}") }
}
