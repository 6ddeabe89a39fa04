//! A file as a log: its last lines, then each new one, through every kind of rotation.
//!
//! Renamed, copied and emptied, or deleted: what was written is read to its end in the file that it is in now, and
//! then in the ones that came after it. Where that is impossible, a gap is said.

mod family;
mod follow;
mod open;
mod place;

use std::{path::PathBuf, time::Duration};

use foreman_protocol::{LogKind, LogSource};

use super::{OpenError, filter::Filter, tail};
pub(super) use follow::Follower;
pub(super) use open::Rules;

const NAMES: [&str; 8] = ["syslog", "messages", "auth.log", "kern.log", "dmesg", "secure", "cron", "maillog"];
const MOST_LISTED: usize = 200;
/// Something that was written this long ago is still being written.
const RECENT: Duration = Duration::from_secs(600);

/// The files in the system's place that may be read, by name; any other can be named by its path.
pub(super) fn list(rules: &Rules) -> Vec<LogSource> {
    let (Ok(entries), Ok(rules)) = (std::fs::read_dir(&rules.system), rules.now()) else { return Vec::new() };
    let is_log = |name: &str| name.ends_with(".log") || NAMES.contains(&name);
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_log))
        .map(|entry| entry.path())
        .collect();
    paths.sort_unstable();
    let readable = paths.into_iter().filter_map(|path| {
        let facts = rules.open(&path).ok()?.metadata().ok()?;
        let active = facts.modified().ok()?.elapsed().is_ok_and(|ago| ago < RECENT);
        let path = path.to_str()?;
        Some(LogSource { id: format!("file:{path}"), kind: LogKind::File, name: path.to_owned(), active })
    });
    readable.take(MOST_LISTED).collect()
}

/// What is asked of a file.
pub(super) struct Wanted {
    pub path: PathBuf,
    pub rules: Rules,
    pub filter: Filter,
    pub lines: usize,
    pub follow: bool,
    pub after: Option<String>,
}

/// Opens the file where reading begins.
pub(super) fn open(wanted: Wanted) -> Result<Follower, OpenError> {
    let Wanted { path, rules, filter, lines, follow, after } = wanted;
    if !path.is_absolute() {
        let message = "A file is named by its absolute path.".to_owned();
        return Err(OpenError::Invalid { field: "source", message });
    }
    if let Some(cursor) = after {
        let place = cursor.parse().map_err(|()| OpenError::cursor())?;
        return Follower::resume(path, rules, filter, follow, place);
    }
    let file = rules.open(&path)?;
    let told = |error| open::unreadable(&path, &error);
    let length = file.metadata().map_err(told)?.len();
    let begin = tail::start(0..length, lines, &filter, |at, most| {
        let mut bytes = vec![0; most];
        let count = crate::at::read_at(&file, &mut bytes, at)?;
        bytes.truncate(count);
        Ok(bytes)
    })
    .map_err(told)?;
    Follower::start(path.clone(), rules, filter, follow, file, begin).map_err(told)
}
