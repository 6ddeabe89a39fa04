//! Saving what a server or a device answers as a file on this machine, piece by piece: never whole in memory, gone on
//! with where it broke off if the other side can, and under its name only once all of it is there.

mod name;
#[cfg(test)]
mod tests;
mod unfinished;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt;
use reqwest::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE,
    RANGE,
};
use tempfile::{NamedTempFile, TempPath};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::{Error, RawAnswer};
use name::{file_name, name_in, numbered};
pub use unfinished::{SavePart, SaveSource, UnfinishedSave, UnfinishedSaves};

/// So often it is tried again without a byte that came.
const TRIES: u32 = 6;
/// Before it is tried again; twice as long each time.
const PAUSE: Duration = Duration::from_millis(500);
/// Files of one name in one folder.
const MOST_OF_A_NAME: u32 = 1_000;
/// After so many bytes it is awaited that the disk has them. A file whose middle was lost with the power would look
/// whole.
const SAFE_EVERY: u64 = 16 * 1024 * 1024;
/// What a part is called, until it has its name.
const PART: (&str, &str) = (".foreman-", ".part");
/// What a refusal says is not read further than this. Bytes.
const PROBLEM_BYTES: usize = 64 * 1024;

/// Why a file is not there, or not yet.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// Somebody wanted it to stop; what is there is kept until the [`Saving`] is dropped.
    #[error("it was stopped")]
    Stopped,
    #[error(transparent)]
    Asked(#[from] Error),
    #[error("{path} cannot be written ({error})")]
    File { path: PathBuf, error: io::Error },
}

impl SaveError {
    /// Trying again may do, with what is there already.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Asked(error) if error.is_transient())
    }
}

/// How far it is. Bytes; the whole where the other side says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub received: u64,
    pub total: Option<u64>,
}

/// A file on its way. Dropped before [`Saving::finish`], nothing of it is left.
#[derive(Debug)]
pub struct Saving {
    folder: PathBuf,
    part: NamedTempFile,
    name: Option<String>,
    progress: Progress,
    /// Bytes from the beginning that the disk has.
    safe: u64,
    /// What the other side calls this state of the file.
    mark: Option<HeaderValue>,
    pause: Duration,
}

impl Saving {
    /// Begins one in a folder, which is made where there is none. Without a name it is called as the answer says.
    /// `note` writes its part down before anything of it is on the disk, so that no part is ever left that nobody
    /// knows of; called again, what it heard before is void.
    ///
    /// # Errors
    /// [`SaveError::File`] where no file can be made.
    pub fn begin(
        folder: &Path,
        name: Option<&str>,
        mut note: impl FnMut(SavePart),
    ) -> Result<Self, SaveError> {
        let failed = |error| SaveError::File { path: folder.to_owned(), error };
        fs::create_dir_all(folder).map_err(failed)?;
        let name = name.map(file_name);
        let part = tempfile::Builder::new().prefix(PART.0).suffix(PART.1).make_in(folder, |path| {
            let nothing = SavePart { path: path.to_owned(), name: name.clone(), ..SavePart::default() };
            note(nothing);
            // As any program's files there, not as a secret.
            fs::File::options().read(true).write(true).create_new(true).open(path)
        });
        let part = part.map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
            part,
            name,
            progress: Progress::default(),
            safe: 0,
            mark: None,
            pause: PAUSE,
        })
    }

    /// Goes on with what an earlier run left of one. Dropped before it is finished, nothing of it is left, as ever.
    ///
    /// # Errors
    /// [`SaveError::File`] where there is no such part.
    pub fn take_up(left: SavePart) -> Result<Self, SaveError> {
        let failed = |error| SaveError::File { path: left.path.clone(), error };
        let called = left.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let folder = left.path.parent().filter(|_| called.starts_with(PART.0) && called.ends_with(PART.1));
        let Some(folder) = folder.map(Path::to_owned) else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        if !fs::symlink_metadata(&left.path).map_err(failed)?.is_file() {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        let file = fs::File::options().read(true).write(true).open(&left.path).map_err(failed)?;
        let here = file.metadata().map_err(failed)?.len();
        let path = TempPath::try_from_path(&left.path).map_err(failed)?;
        let mark = left.mark.and_then(|mark| HeaderValue::try_from(mark).ok());
        // Without a mark nobody can tell whether it is still the same.
        let safe = if mark.is_some() && left.written <= here { left.written } else { 0 };
        Ok(Self {
            folder,
            part: NamedTempFile::from_parts(file, path),
            name: left.name,
            progress: Progress { received: safe, total: left.total },
            safe,
            mark,
            pause: PAUSE,
        })
    }

    /// What has to be known to go on with it in another run.
    #[must_use]
    pub fn part(&self) -> SavePart {
        SavePart {
            path: self.part.path().to_owned(),
            name: self.name.clone(),
            written: self.safe,
            total: self.progress.total,
            mark: self.mark.as_ref().and_then(|mark| mark.to_str().ok()).map(str::to_owned),
        }
    }

    /// What it is going to be called, as far as that is known.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Takes what `ask` answers until all of it is there. It is asked with headers that say from where on. What breaks
    /// off is asked for again a few times; after that, and after a stop, this can be called again to go on.
    ///
    /// # Errors
    /// See [`SaveError`].
    pub async fn take<Asked>(
        &mut self,
        ask: impl Fn(HeaderMap) -> Asked,
        stop: &CancellationToken,
        mut tell: impl FnMut(&Self),
    ) -> Result<(), SaveError>
    where
        Asked: Future<Output = Result<RawAnswer, Error>>,
    {
        let (mut tries, mut pause) = (TRIES, self.pause);
        loop {
            let before = self.progress.received;
            let error = match self.once(&ask, stop, &mut tell).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if self.progress.received > before {
                (tries, pause) = (TRIES, self.pause);
            }
            tries -= 1;
            if !error.is_passing() || tries == 0 {
                return Err(error);
            }
            tokio::select! {
                () = stop.cancelled() => return Err(SaveError::Stopped),
                () = tokio::time::sleep(pause) => pause *= 2,
            }
        }
    }

    async fn once<Asked>(
        &mut self,
        ask: &impl Fn(HeaderMap) -> Asked,
        stop: &CancellationToken,
        tell: &mut impl FnMut(&Self),
    ) -> Result<(), SaveError>
    where
        Asked: Future<Output = Result<RawAnswer, Error>>,
    {
        let mut answer = tokio::select! {
            () = stop.cancelled() => return Err(SaveError::Stopped),
            answer = ask(self.going_on()) => answer?,
        };
        if !(200..300).contains(&answer.status) {
            // All of it was here already, and only its end was not heard of.
            if answer.status == 416 && self.progress.total == Some(self.progress.received) {
                return Ok(());
            }
            let status = answer.status;
            let body = answer.whole(PROBLEM_BYTES).await?;
            return Err(Error::from_answer(status, &body).into());
        }
        let mut file = self.open_at(answer.status, &answer.headers).await?;
        tell(self);
        loop {
            // Only between pieces: what was written is counted, and the other way round.
            let piece = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(SaveError::Stopped),
                piece = answer.body.next() => piece,
            };
            let Some(piece) = piece else { break };
            let piece = piece?;
            file.write_all(&piece).await.map_err(|error| self.failed(error))?;
            file.flush().await.map_err(|error| self.failed(error))?;
            self.progress.received += piece.len() as u64;
            if self.progress.received - self.safe >= SAFE_EVERY {
                file.sync_data().await.map_err(|error| self.failed(error))?;
                self.safe = self.progress.received;
            }
            tell(self);
        }
        match self.progress.total {
            Some(total) if self.progress.received < total => {
                Err(Error::Unreachable { message: "the file broke off before its end".to_owned() }.into())
            }
            _ => Ok(()),
        }
    }

    /// What to ask for so that the answer goes on where this stands: everything where nothing is there, or where
    /// nobody could tell whether it is still the same.
    fn going_on(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let (Some(mark), received @ 1..) = (&self.mark, self.progress.received)
            && let Ok(range) = HeaderValue::try_from(format!("bytes={received}-"))
        {
            headers.insert(RANGE, range);
            headers.insert(IF_RANGE, mark.clone());
        }
        headers
    }

    /// The file, at the place where the answer goes on: at its beginning where it is another one than before.
    async fn open_at(&mut self, status: u16, headers: &HeaderMap) -> Result<tokio::fs::File, SaveError> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let part = text(CONTENT_RANGE).filter(|_| status == 206).and_then(range_of);
        let (start, total) = match part {
            Some((start, total)) => (start, total),
            None => (0, text(CONTENT_LENGTH).and_then(|length| length.parse().ok())),
        };
        if start != 0 && start != self.progress.received {
            return Err(
                Error::Malformed { message: "it goes on elsewhere than was asked for".to_owned() }.into()
            );
        }
        if self.name.is_none() {
            self.name = text(CONTENT_DISPOSITION).and_then(name_in).map(|name| file_name(&name));
        }
        // A weak mark promises the same meaning, not the same bytes.
        self.mark = headers.get(ETAG).filter(|mark| !mark.as_bytes().starts_with(b"W/")).cloned();
        self.progress = Progress { received: start, total };
        self.safe = self.safe.min(start);
        let reopened = self.part.reopen().map_err(|error| self.failed(error))?;
        let mut file = tokio::fs::File::from_std(reopened);
        file.set_len(start).await.map_err(|error| self.failed(error))?;
        file.seek(io::SeekFrom::Start(start)).await.map_err(|error| self.failed(error))?;
        Ok(file)
    }

    /// Takes what is here already.
    ///
    /// # Errors
    /// [`SaveError::File`].
    pub fn put(&mut self, content: &[u8]) -> Result<(), SaveError> {
        io::Write::write_all(&mut self.part, content).map_err(|error| self.failed(error))?;
        let length = content.len() as u64;
        self.progress = Progress { received: length, total: Some(length) };
        Ok(())
    }

    /// Gives it its name, or the next one where that is taken: nothing is ever written over.
    ///
    /// # Errors
    /// [`SaveError::File`]; nothing is left then.
    pub fn finish(self) -> Result<PathBuf, SaveError> {
        let Self { folder, mut part, name, .. } = self;
        let failed = |path: PathBuf, error| SaveError::File { path, error };
        part.as_file().sync_all().map_err(|error| failed(folder.clone(), error))?;
        let name = name.unwrap_or_else(|| file_name(""));
        for number in 1..=MOST_OF_A_NAME {
            let path = folder.join(numbered(&name, number));
            match part.persist_noclobber(&path) {
                Ok(_) => return Ok(path),
                Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => part = taken.file,
                Err(other) => return Err(failed(path, other.error)),
            }
        }
        Err(failed(folder.join(name), io::ErrorKind::AlreadyExists.into()))
    }

    fn failed(&self, error: io::Error) -> SaveError {
        SaveError::File { path: self.folder.clone(), error }
    }
}

/// Where a part begins, and how long the whole is where that is said.
fn range_of(range: &str) -> Option<(u64, Option<u64>)> {
    let (span, size) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = span.split_once('-')?;
    Some((start.parse().ok()?, size.parse().ok()))
}
