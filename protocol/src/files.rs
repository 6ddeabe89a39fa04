//! Files on a device, as its own API shows them. Paths are absolute and in UTF-8; a name that is not is shown with
//! replacement characters and cannot be opened.

use serde::{Deserialize, Serialize};

use crate::{Millis, UploadId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    /// A socket, a pipe, a device node.
    Other,
}

/// An entry of a directory, or one thing by its path (`GET /files/stat`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileEntry {
    pub name: String,
    /// Absolute.
    pub path: String,
    pub kind: FileKind,
    /// Bytes; of a link: of what it leads to when that may be seen, else 0.
    pub size: u64,
    pub modified_at: Millis,
    /// Permission bits, as in `chmod`.
    pub mode: u32,
    /// Where a link leads, as it is written in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What a link leads to; absent when it leads nowhere or out of what may be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_kind: Option<FileKind>,
    /// Guessed from name and first bytes, for files: `text/plain`, `image/png`. Only in `stat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// Changes when the content does; for `If-Match` when writing. Only in `stat` and after writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// `GET /files/roots`: where a file tree begins on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileRoots {
    /// The first is where to start: home, when it may be seen.
    pub roots: Vec<String>,
    pub may_write: bool,
}

/// `POST /files/move`. Also renames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MoveFile {
    pub from: String,
    pub to: String,
    /// Put what is at `to` aside into the trash instead of refusing.
    #[serde(default)]
    pub replace: bool,
}

/// `POST /files/directories`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MakeDirectory {
    pub path: String,
}

/// The answer to `DELETE /files`: where it went, for undo by moving it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Trashed {
    /// For `POST /files/restore`.
    pub id: String,
    pub path: String,
}

/// `POST /files/restore`: undo of a delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RestoreFile {
    pub id: String,
}

/// `POST /uploads`: a file on its way, resumable until it is finished or 24 h old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StartUpload {
    pub path: String,
    /// Bytes.
    pub size: u64,
    #[serde(default)]
    pub replace: bool,
}

/// `GET /uploads/{id}`, and the answer to each piece (`PATCH /uploads/{id}?offset=`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Upload {
    pub id: UploadId,
    pub path: String,
    pub size: u64,
    /// Bytes that are safe on the device. When all are, the file is in its place and `done` is true.
    pub received: u64,
    pub done: bool,
}

/// One place where a text was found; `GET /files/search` streams them as SSE `hit`, then `end` ([`SearchEnd`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchHit {
    pub path: String,
    /// From 1.
    pub line: u64,
    /// Where the line begins in the file, in bytes. An older agent does not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<u64>,
    /// The line, cut to 500 characters around the first match.
    pub text: String,
    /// Where in `text` the matches are: start and end in UTF-16 code units, as browsers count.
    pub ranges: Vec<(u32, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchEnd {
    pub hits: u64,
    pub files_searched: u64,
    /// More was there than is sent.
    pub truncated: bool,
}

/// `GET /files/git?path=`: the state of the repository around a path; `null` when there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GitStatus {
    /// The repository's top directory.
    pub root: String,
    /// Absent with a detached head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    pub ahead: u32,
    pub behind: u32,
    pub entries: Vec<GitEntry>,
    /// More entries than are sent.
    pub truncated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GitEntry {
    /// Absolute.
    pub path: String,
    /// In the index: `modified`, `added`, `deleted`, `renamed`, `conflicted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<String>,
    /// In the working tree, the same words and `untracked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstaged: Option<String>,
}
