//! `foreman ls`.

use anyhow::Result;
use clap::Args;
use foreman_protocol::{FileEntry, FileKind};
use futures_util::TryStreamExt;

use super::cp::place::{Place, absolute};
use crate::{
    context::Context,
    output::{json, moment, say},
};

#[derive(Debug, Args)]
pub struct Options {
    /// `DEVICE:path`, or `DEVICE` for its home directory.
    place: String,
    /// Sizes and times too.
    #[arg(short, long, env = "FOREMAN_LS_LONG")]
    long: bool,
    /// Also names that begin with a dot.
    #[arg(short, long, env = "FOREMAN_LS_ALL")]
    all: bool,
}

pub async fn run(context: &Context, options: Options) -> Result<()> {
    let place = if options.place.contains(':') { options.place } else { format!("{}:", options.place) };
    let parsed = Place::parse(&place);
    let (device, path) = parsed.remote(&place)?;
    let device = context.open(device).await?;
    let path = absolute(&device, path).await?;
    let one = device.stat(&path).await?;
    let folder = FileKind::Directory;
    if one.kind != folder && one.target_kind != Some(folder) {
        if context.json {
            return json(&[one]);
        }
        print(&one, options.long);
        return Ok(());
    }
    let mut entries = device.files(&path, options.all);
    if context.json {
        let entries: Vec<_> = entries.try_collect().await?;
        return json(&entries);
    }
    while let Some(entry) = entries.try_next().await? {
        print(&entry, options.long);
    }
    Ok(())
}

fn print(entry: &FileEntry, long: bool) {
    let mark = match entry.kind {
        FileKind::Directory => "/",
        FileKind::Symlink => "@",
        FileKind::File | FileKind::Other => "",
    };
    let name = printable(&entry.name);
    if !long {
        return say(format!("{name}{mark}"));
    }
    let target =
        entry.target.as_deref().map(|target| format!(" -> {}", printable(target))).unwrap_or_default();
    say(format!(
        "{:04o} {:>12} {} {name}{mark}{target}",
        entry.mode & 0o7777,
        entry.size,
        moment(entry.modified_at)
    ));
}

/// A name cannot steer the terminal it is shown on.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
