//! Files on a device: looking, finding, and changing what is where. Contents are in `transfer`.

use bytes::Bytes;
use foreman_protocol::{
    FileEntry, FileRoots, GitStatus, MakeDirectory, MoveFile, Page, ProblemCode, RestoreFile, SearchEnd,
    SearchHit, Trashed,
};
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use reqwest::{
    Method,
    header::{ACCEPT, RANGE},
};

use super::{DeviceConnection, ask::Ask, logs::until_over, sse};
use crate::{Error, Listing};

/// Entries asked for at first, so that something is there soon.
const FIRST_PAGE: u32 = 500;
/// And then, the most that a device gives: it reads the whole directory again for each page.
const PAGE: u32 = 10_000;

/// What to look for in files.
#[derive(Debug, Clone, Default)]
pub struct FileSearch {
    pub text: String,
    /// `text` is a regular expression.
    pub regex: bool,
    /// Upper and lower case are different.
    pub case: bool,
    /// Only in files whose path fits: `*.rs`.
    pub glob: Option<String>,
}

/// What a search says.
#[derive(Debug, Clone)]
pub enum SearchUpdate {
    Hit(SearchHit),
    /// All is said; nothing follows.
    Ended(SearchEnd),
    /// It broke off; what came is good, and nothing follows.
    Failed(Error),
}

impl DeviceConnection {
    /// Where file trees begin, and whether files may be changed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn file_roots(&self) -> Result<FileRoots, Error> {
        self.json(Ask::get("/files/roots")).await
    }

    /// A directory's entries, fetched page by page as they are asked for.
    #[must_use]
    pub fn files(&self, path: &str, hidden: bool) -> Listing<FileEntry> {
        let (device, path) = (self.clone(), path.to_owned());
        let pages = stream::try_unfold(Some(None::<String>), move |cursor| {
            let (device, path) = (device.clone(), path.clone());
            async move {
                let Some(cursor) = cursor else { return Ok::<_, Error>(None) };
                let ask = Ask::get("/files")
                    .query("path", Some(path))
                    .query("limit", Some(if cursor.is_none() { FIRST_PAGE } else { PAGE }))
                    .query("cursor", cursor)
                    .query("hidden", hidden.then_some(true));
                let page: Page<FileEntry> = device.json(ask).await?;
                Ok(Some((page.items, page.next.map(Some))))
            }
        });
        pages.map_ok(|items| stream::iter(items).map(Ok)).try_flatten().boxed()
    }

    /// One thing by its path.
    ///
    /// # Errors
    /// See [`Error`]; `not_found`.
    pub async fn stat(&self, path: &str) -> Result<FileEntry, Error> {
        self.json(Ask::get("/files/stat").query("path", Some(path))).await
    }

    /// Bytes `from..to` of a file; fewer at its end.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn read(&self, path: &str, from: u64, to: u64) -> Result<Bytes, Error> {
        if to <= from {
            return Ok(Bytes::new());
        }
        let ask = Ask::get("/files/content").query("path", Some(path));
        let ask = ask.header(RANGE, &format!("bytes={from}-{}", to - 1));
        match self.send(ask).await {
            Ok(answer) => answer.whole(usize::try_from(to - from).unwrap_or(usize::MAX)).await,
            Err(error) if error.status() == Some(416) => Ok(Bytes::new()),
            Err(error) => Err(error),
        }
    }

    /// Also renames. `replace` puts what is there into the trash.
    ///
    /// # Errors
    /// See [`Error`]; `conflict` when something is there.
    pub async fn move_file(&self, from: &str, to: &str, replace: bool) -> Result<(), Error> {
        let body = MoveFile { from: from.to_owned(), to: to.to_owned(), replace };
        self.done(Ask::post("/files/move").json(&body)?).await
    }

    /// Makes a directory; one that is there already is good too.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn make_directory(&self, path: &str) -> Result<(), Error> {
        let body = MakeDirectory { path: path.to_owned() };
        match self.done(Ask::post("/files/directories").json(&body)?).await {
            Err(error) if error.code() == Some(ProblemCode::Conflict) => Ok(()),
            outcome => outcome,
        }
    }

    /// Moves something into the device's trash.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn trash(&self, path: &str) -> Result<Trashed, Error> {
        self.once(Ask::new(Method::DELETE, "/files").query("path", Some(path))).await
    }

    /// Undoes [`DeviceConnection::trash`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn restore(&self, trashed: &Trashed) -> Result<(), Error> {
        self.done(Ask::post("/files/restore").json(&RestoreFile { id: trashed.id.clone() })?).await
    }

    /// Looks for text in the files below `path`.
    #[must_use]
    pub fn search(&self, path: &str, search: &FileSearch) -> BoxStream<'static, SearchUpdate> {
        let ask = Ask::get("/files/search")
            .query("path", Some(path))
            .query("q", Some(&search.text))
            .query("case", search.case.then_some(true))
            .query("regex", search.regex.then_some(true))
            .query("glob", search.glob.as_ref())
            .header(ACCEPT, "text/event-stream");
        let device = self.clone();
        let opened = async move { device.send(ask).await.map(sse::events) };
        let events = stream::once(opened).try_flatten();
        let broken = || Error::Unreachable { message: "the search broke off before its end".to_owned() };
        let updates = events.chain(stream::once(async move { Err(broken()) })).filter_map(|event| {
            std::future::ready(match event {
                Err(error) => Some(SearchUpdate::Failed(error)),
                Ok(event) => match event.event.as_str() {
                    "hit" => serde_json::from_str(&event.data).ok().map(SearchUpdate::Hit),
                    "end" => serde_json::from_str(&event.data).ok().map(SearchUpdate::Ended),
                    _ => None,
                },
            })
        });
        until_over(updates.boxed(), |update| !matches!(update, SearchUpdate::Hit(_)))
    }

    /// Files below `path` whose names are like `name`, the best first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn find(&self, path: &str, name: &str, limit: u32) -> Result<Vec<FileEntry>, Error> {
        let ask = Ask::get("/files/find").query("path", Some(path)).query("q", Some(name));
        let page: Page<FileEntry> = self.json(ask.query("limit", Some(limit))).await?;
        Ok(page.items)
    }

    /// The state of the repository around `path`; `None` when there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn git(&self, path: &str) -> Result<Option<GitStatus>, Error> {
        match self.json(Ask::get("/files/git").query("path", Some(path))).await {
            // As agents of before said it.
            Err(error) if error.code() == Some(ProblemCode::NotFound) => Ok(None),
            outcome => outcome,
        }
    }
}
