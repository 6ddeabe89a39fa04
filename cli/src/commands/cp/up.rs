//! From here to a device. Uploads that were interrupted are remembered here and gone on with.

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::{Context as _, Result, bail};
use foreman_client::DeviceConnection;
use foreman_protocol::{FileKind, ProblemCode, Upload};
use tokio::fs;

use super::{
    How,
    place::{absolute, join},
    progress::Progress,
};
use crate::context::Context;

pub async fn copy(
    context: &Context,
    device: &DeviceConnection,
    from: &Path,
    path: &str,
    into: bool,
    how: How,
    progress: &Progress,
) -> Result<()> {
    let path = absolute(device, path).await?;
    let name = from.file_name().context("the source has no name")?;
    let name = name.to_str().with_context(|| format!("{} is not a name in UTF-8", from.display()))?;
    let is_folder = match device.stat(&path).await {
        Ok(entry) => entry.target_kind.unwrap_or(entry.kind) == FileKind::Directory,
        Err(error) if error.code() == Some(ProblemCode::NotFound) => into || path.ends_with('/'),
        Err(error) => return Err(error.into()),
    };
    let target = if is_folder { join(&path, name) } else { path };
    let metadata = fs::metadata(from).await.with_context(|| format!("cannot read {}", from.display()))?;
    if !metadata.is_dir() {
        return file(context, device, from, &target, how, progress).await;
    }
    if !how.recursive {
        bail!("{} is a directory: -r copies it with all that is in it. Nothing was copied", from.display());
    }
    tree(context, device, from.to_owned(), target, how, progress).await
}

async fn tree(
    context: &Context,
    device: &DeviceConnection,
    from: PathBuf,
    target: String,
    how: How,
    progress: &Progress,
) -> Result<()> {
    let mut folders = vec![(from, target)];
    while let Some((from, to)) = folders.pop() {
        device.make_directory(&to).await?;
        let mut entries =
            fs::read_dir(&from).await.with_context(|| format!("cannot read {}", from.display()))?;
        while let Some(entry) = entries.next_entry().await? {
            let (path, kind) = (entry.path(), entry.file_type().await?);
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                progress.note(format!("{} is not a name in UTF-8; left out", path.display()));
                continue;
            };
            if kind.is_dir() {
                folders.push((path, join(&to, &name)));
            } else if kind.is_file() {
                file(context, device, &path, &join(&to, &name), how, progress).await?;
            } else {
                progress.note(format!("{} is no file and no directory; left out", path.display()));
            }
        }
    }
    Ok(())
}

async fn file(
    context: &Context,
    device: &DeviceConnection,
    from: &Path,
    to: &str,
    how: How,
    progress: &Progress,
) -> Result<()> {
    let doing = || format!("cannot read {}", from.display());
    let mut file = fs::File::open(from).await.with_context(doing)?;
    let metadata = file.metadata().await.with_context(doing)?;
    let changed =
        metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let key = format!("{} {to} {} {}", device.known().id, metadata.len(), changed.as_nanos());
    let upload = begin(context, device, &key, to, metadata.len(), how).await?;
    let bar = progress.file(&from.display().to_string(), upload.size);
    bar.begin(upload.received);
    match device.send_upload(upload, &mut file, |step| bar.tell(&step)).await {
        Ok(_) => Ok(context.store.set_upload(&key, None)?),
        Err(error) => bail!("{error}. What was copied is kept for a day: the same command goes on with it"),
    }
}

/// One that was begun before for the same file, or a new one.
async fn begin(
    context: &Context,
    device: &DeviceConnection,
    key: &str,
    to: &str,
    size: u64,
    how: How,
) -> Result<Upload> {
    if let Some(id) = context.store.upload(key)? {
        match device.upload(id).await {
            Ok(upload) if upload.size == size && !upload.done => return Ok(upload),
            Ok(_) => {}
            Err(error) if error.code().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let upload = device.start_upload(to, size, how.force).await?;
    context.store.set_upload(key, Some(upload.id))?;
    Ok(upload)
}
