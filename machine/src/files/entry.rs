//! One thing in the tree as others see it.

use std::{
    ffi::OsStr,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use foreman_protocol::{FileEntry, FileKind, Millis};
use rustix::{
    buffer::spare_capacity,
    fs::{FileType, Stat, readlinkat},
};

use super::{
    FilesError, Result, Rules,
    read::open_regular,
    walk::{Last, Spot, kind, parse},
};

/// As many first bytes as tell what a file is.
const SNIFFED: usize = 4_096;

impl Rules {
    /// What is at a path. A link is shown as itself.
    ///
    /// # Errors
    /// As everywhere: what the policy forbids, what is not there.
    pub fn stat(&self, path: &str) -> Result<FileEntry> {
        let spot = self.walk(parse(path)?, Last::Keep)?;
        let stat = spot.stat()?;
        let mut entry = self.entry(&spot.parent, &spot.name, &spot.path, stat);
        if kind(stat) == FileType::RegularFile {
            entry.etag = Some(etag(stat));
            entry.mime = Some(self.mime(&spot));
        }
        Ok(entry)
    }

    /// `name` in the open directory `parent`, which is at `path`.
    pub(super) fn entry(&self, parent: &OwnedFd, name: &OsStr, path: &Path, stat: &Stat) -> FileEntry {
        let mut entry = FileEntry {
            name: path.file_name().unwrap_or(OsStr::new("/")).to_string_lossy().into_owned(),
            path: path.to_string_lossy().into_owned(),
            kind: shown(kind(stat)),
            size: size(stat),
            modified_at: modified_at(stat),
            mode: mode(stat),
            target: None,
            target_kind: None,
            mime: None,
            etag: None,
        };
        if kind(stat) == FileType::Directory {
            entry.size = 0;
        }
        if kind(stat) == FileType::Symlink {
            entry.size = 0;
            if let Ok(target) = readlinkat(parent, name, Vec::new()) {
                let target = PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes()));
                entry.target = Some(target.to_string_lossy().into_owned());
            }
            if let Ok(Spot { found: Some(target), .. }) = self.walk(path, Last::Follow) {
                entry.target_kind = Some(shown(kind(&target)));
                if kind(&target) == FileType::RegularFile {
                    entry.size = size(&target);
                }
            }
        }
        entry
    }

    /// What a file seems to be. One that cannot be opened is judged by its name.
    fn mime(&self, spot: &Spot) -> String {
        let mut head = Vec::with_capacity(SNIFFED);
        if let Ok((file, _)) = open_regular(self, spot) {
            let _ = rustix::io::pread(&file, spare_capacity(&mut head), 0);
        }
        mime(&spot.path, &head)
    }
}

/// From the first bytes where they are telling, else from the name. Text is never called anything else: `.ts` is a
/// program here and no film.
pub(super) fn mime(path: &Path, head: &[u8]) -> String {
    let named = mime_guess::from_path(path).first();
    if let Some(known) = infer::get(head) {
        let known = known.mime_type();
        // Formats that are a zip or an XML file inside are known better by name.
        if known != "application/zip" && !known.starts_with("text/") {
            return known.to_owned();
        }
    }
    match named {
        Some(named) if textual(&named) || !is_text(head) => named.to_string(),
        _ if is_text(head) => "text/plain".to_owned(),
        _ => "application/octet-stream".to_owned(),
    }
}

fn textual(mime: &mime_guess::Mime) -> bool {
    let subtype = mime.subtype().as_str();
    mime.type_() == "text"
        || mime.suffix().is_some_and(|suffix| suffix == "xml" || suffix == "json")
        || ["json", "javascript", "xml", "toml", "yaml", "x-sh", "sql", "x-yaml"].contains(&subtype)
}

/// Text in UTF-8, perhaps cut within a letter.
fn is_text(head: &[u8]) -> bool {
    if head.contains(&0) {
        return false;
    }
    match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && head.len() - error.valid_up_to() < 4,
    }
}

const fn shown(kind: FileType) -> FileKind {
    match kind {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

pub(super) fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

#[allow(clippy::unnecessary_cast, reason = "the width of these differs between systems")]
pub(super) fn modified_at(stat: &Stat) -> Millis {
    (stat.st_mtime as i64).saturating_mul(1_000).saturating_add(stat.st_mtime_nsec as i64 / 1_000_000)
}

#[allow(clippy::unnecessary_cast, reason = "the width of these differs between systems")]
const fn mode(stat: &Stat) -> u32 {
    stat.st_mode as u32 & 0o7777
}

/// Another one for another content: it holds which file it is, how long, and when it was last touched.
pub(super) fn etag(stat: &Stat) -> String {
    format!(
        "\"{:x}-{:x}-{:x}.{:x}-{:x}.{:x}\"",
        stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec
    )
}

/// A name that can be said in UTF-8 can be asked for again.
pub(super) fn path_text(path: &Path) -> Result<String> {
    match std::str::from_utf8(path.as_os_str().as_bytes()) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(FilesError::Invalid { field: "path", why: "This path is not in UTF-8.".into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_says_more_than_a_name() {
        for (name, head, expected) in [
            ("a.ts", &b"export const a = 1;\n"[..], "text/plain"),
            ("a.ts", &[0x47, 0, 0, 0][..], "video/vnd.dlna.mpeg-tts"),
            ("a.txt", &b"\x89PNG\r\n\x1a\n\0\0"[..], "image/png"),
            ("a.json", &b"{}"[..], "application/json"),
            ("a.svg", &b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"[..], "image/svg+xml"),
            ("Makefile", &b"all:\n"[..], "text/plain"),
            ("core", &[0, 1, 2, 3][..], "application/octet-stream"),
            ("empty", &b""[..], "text/plain"),
            ("cut", "\u{fc}".as_bytes().split_last().unwrap().1, "text/plain"),
        ] {
            assert_eq!(mime(Path::new(name), head), expected, "{name}");
        }
    }
}
