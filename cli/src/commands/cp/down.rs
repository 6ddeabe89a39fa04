//! From a device to here. A file is fetched beside its place under a name that says of what version it is a part, and
//! moved there when it is whole; so a part that is found is gone on with, and a whole file is never half of one.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use foreman_client::DeviceConnection;
use foreman_protocol::{FileEntry, FileKind};
use futures_util::TryStreamExt;
use tokio::fs;

use super::{
    How, mode, name,
    place::{absolute, join},
    progress::Progress,
};

pub async fn copy(
    device: &DeviceConnection,
    path: &str,
    to: &Path,
    into: bool,
    how: How,
    progress: &Progress,
) -> Result<()> {
    let path = absolute(device, path).await?;
    let source = device.stat(&path).await?;
    let target = match into || to.is_dir() {
        true => to.join(safe_name(&source.name)?),
        false => to.to_owned(),
    };
    if kind(&source) != FileKind::Directory {
        return file(device, &source, &target, how, progress).await;
    }
    if !how.recursive {
        bail!("{path} is a directory: -r copies it with all that is in it. Nothing was copied");
    }
    tree(device, source, target, how, progress).await
}

/// What it is, or what it leads to.
fn kind(entry: &FileEntry) -> FileKind {
    entry.target_kind.unwrap_or(entry.kind)
}

/// A name as a device gave it, which must not lead out of the folder it is put in.
fn safe_name(name: &str) -> Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        bail!("the device gave {name:?} as a file's name; it was not copied");
    }
    if cfg!(windows) && !name::fits_windows(name) {
        bail!(
            "Windows takes no file that is called {name:?}; copy it to a name of its own. It was not copied"
        );
    }
    Ok(name)
}

async fn tree(
    device: &DeviceConnection,
    source: FileEntry,
    target: PathBuf,
    how: How,
    progress: &Progress,
) -> Result<()> {
    let mut folders = vec![(source.path, target)];
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to).await.with_context(|| format!("cannot make {}", to.display()))?;
        let mut entries = device.files(&from, true);
        while let Some(entry) = entries.try_next().await? {
            if cfg!(windows) && !name::fits_windows(&entry.name) {
                progress.note(format!("Windows takes no file that is called {:?}; left out", entry.path));
                continue;
            }
            let here = to.join(safe_name(&entry.name)?);
            match entry.kind {
                FileKind::Directory => folders.push((join(&from, &entry.name), here)),
                FileKind::File => {
                    // Only a look at the file itself says of which version it is.
                    let entry = device.stat(&join(&from, &entry.name)).await?;
                    file(device, &entry, &here, how, progress).await?;
                }
                FileKind::Symlink | FileKind::Other => {
                    progress.note(format!("{} is no file and no directory; left out", entry.path));
                }
            }
        }
    }
    Ok(())
}

async fn file(
    device: &DeviceConnection,
    entry: &FileEntry,
    to: &Path,
    how: How,
    progress: &Progress,
) -> Result<()> {
    if to.exists() && !how.force {
        bail!("{} is there already: -f puts the copy in its place. It was left as it is", to.display());
    }
    let (part, started) = part(entry, to).await?;
    let doing = || format!("cannot write {}", part.display());
    let mut out = fs::OpenOptions::new().create(true).append(true).open(&part).await.with_context(doing)?;
    let bar = progress.file(&entry.name, entry.size);
    bar.begin(started);
    let done =
        device.download(&entry.path, started, entry.etag.clone(), &mut out, |step| bar.tell(&step)).await;
    if let Err(error) = done {
        let changed = error.code() == Some(foreman_protocol::ProblemCode::Changed);
        if changed {
            fs::remove_file(&part).await.with_context(doing)?;
            bail!("{} changed while it was copied; copy it again", entry.path);
        }
        bail!("{error}. What was copied is kept: the same command goes on with it");
    }
    out.sync_all().await.with_context(doing)?;
    mode::set(&part, entry.mode).await.with_context(doing)?;
    fs::rename(&part, to).await.with_context(|| format!("cannot put {} in its place", to.display()))?;
    Ok(())
}

/// Where the parts of this very version are, and how many bytes are there.
async fn part(entry: &FileEntry, to: &Path) -> Result<(PathBuf, u64)> {
    let name = to.file_name().context("the target has no name")?.to_string_lossy().into_owned();
    let version = entry.etag.as_deref().unwrap_or("none");
    let version: String = version.chars().filter(char::is_ascii_alphanumeric).take(48).collect();
    let part = to.with_file_name(format!(".{name}.{version}.part"));
    let there = fs::metadata(&part).await.map_or(0, |metadata| metadata.len());
    if entry.etag.is_none() || there > entry.size {
        // Nothing says that it belongs to what is there now.
        let _ = fs::remove_file(&part).await;
        return Ok((part, 0));
    }
    Ok((part, there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_cannot_name_its_way_out() {
        for name in ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b"] {
            assert!(safe_name(name).is_err(), "{name:?}");
        }
        assert_eq!(safe_name("..a").unwrap(), "..a");
    }
}
