//! The append-only files between a request and its row: one line each, written with one write(2) and not synced, so
//! that a kill of the process loses nothing and a request waits for no disk. A file goes once every request in it is a
//! row.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use foreman_protocol::UsageOutcome;
use uuid::Uuid;

use super::Entry;

/// A request that runs; a later line with the same id says how far it has come.
pub const BEGUN: u8 = b'B';
pub const ENDED: u8 = b'E';
/// A file this long is followed by another, bytes.
const LONG: u64 = 4 * 1024 * 1024;

/// Which files have lines of a request.
#[derive(Debug, Default)]
pub struct Settle(Vec<u64>);

/// The files, and how many requests in each are not rows yet.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    number: u64,
    file: File,
    length: u64,
    /// The last line was not written wholly.
    torn: bool,
    open: HashMap<u64, u64>,
    line: Vec<u8>,
}

/// What a server before this one left.
#[derive(Debug, Default)]
pub struct Left {
    pub entries: Vec<Entry>,
    files: Vec<PathBuf>,
}

impl Left {
    /// All of it is rows now.
    pub fn forget(self) {
        for file in self.files {
            if let Err(error) = fs::remove_file(&file) {
                tracing::warn!(%error, file = %file.display(), "a journal that is done with was not removed");
            }
        }
    }
}

impl Journal {
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn open(folder: &Path) -> io::Result<(Self, Left)> {
        fs::create_dir_all(folder)?;
        let mut numbers: Vec<u64> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".journal")?.parse().ok());
            numbers.extend::<Option<u64>>(number);
        }
        numbers.sort_unstable();
        let mut left = Left::default();
        let mut entries: HashMap<Uuid, Entry> = HashMap::new();
        for number in &numbers {
            let path = path(folder, *number);
            read(&fs::read(&path)?, &mut entries);
            left.files.push(path);
        }
        left.entries = entries.into_values().collect();
        left.entries.sort_by_key(|entry| entry.id);
        let number = numbers.last().map_or(0, |last| last + 1);
        let journal = Self {
            file: start(folder, number)?,
            folder: folder.to_owned(),
            number,
            length: 0,
            torn: false,
            open: HashMap::new(),
            line: Vec::new(),
        };
        Ok((journal, left))
    }

    /// # Errors
    /// When it cannot be written; nothing counts as written then.
    pub fn write(&mut self, kind: u8, entry: &Entry, settle: &mut Settle) -> io::Result<()> {
        if self.length >= LONG {
            self.next_file()?;
        }
        self.line.clear();
        if self.torn {
            // Or what is left of that line would swallow this one.
            self.line.push(b'\n');
        }
        self.line.push(kind);
        serde_json::to_writer(&mut self.line, entry)?;
        self.line.push(b'\n');
        self.torn = true;
        self.file.write_all(&self.line)?;
        self.torn = false;
        self.length += self.line.len() as u64;
        if !settle.0.contains(&self.number) {
            settle.0.push(self.number);
            *self.open.entry(self.number).or_insert(0) += 1;
        }
        Ok(())
    }

    fn next_file(&mut self) -> io::Result<()> {
        let before = self.number;
        self.file = start(&self.folder, before + 1)?;
        self.number = before + 1;
        self.length = 0;
        self.torn = false;
        self.remove_if_done(before);
        Ok(())
    }

    /// A request is a row.
    pub fn settle(&mut self, settle: Settle) {
        for number in settle.0 {
            if let Some(open) = self.open.get_mut(&number) {
                *open -= 1;
            }
            self.remove_if_done(number);
        }
    }

    fn remove_if_done(&mut self, number: u64) {
        let done = self.open.get(&number).is_none_or(|open| *open == 0);
        if number == self.number || !done {
            return;
        }
        self.open.remove(&number);
        let path = path(&self.folder, number);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, file = %path.display(), "a journal that is done with was not removed");
        }
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.journal"))
}

fn start(folder: &Path, number: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path(folder, number))
}

/// A line that cannot be read is the last one of a machine that lost power.
fn read(bytes: &[u8], entries: &mut HashMap<Uuid, Entry>) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((kind, json)) = line.split_first() else { continue };
        let Ok(mut entry) = serde_json::from_slice::<Entry>(json) else {
            tracing::warn!("a line of the usage journal cannot be read and is left out");
            continue;
        };
        if *kind != ENDED {
            entry.outcome = UsageOutcome::Interrupted;
        }
        entries.insert(entry.id, entry);
    }
}

#[cfg(test)]
mod tests {
    use foreman_protocol::{ProviderId, TenantId};

    use super::*;

    fn entry(output: i64) -> Entry {
        Entry {
            id: Uuid::now_v7(),
            tenant: TenantId::fresh(),
            at: 0,
            account: "user x".into(),
            key: None,
            project: None,
            provider_id: ProviderId::fresh(),
            provider: "openai".into(),
            model: "gpt".into(),
            device_id: None,
            device: None,
            input: 1,
            output,
            cached: 0,
            cost_micros: None,
            estimated: false,
            latency_ms: 0,
            first_token_ms: None,
            outcome: UsageOutcome::Answered,
            missed: Vec::new(),
        }
    }

    #[test]
    fn a_line_that_the_full_disk_cut_swallows_none_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.write(ENDED, &entry(1), &mut Settle::default()).unwrap();
        // No room for the second: some of it is in the file, and the call failed.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut file = std::mem::replace(&mut journal.file, full);
        let error = journal.write(ENDED, &entry(2), &mut Settle::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        file.write_all(b"E{\"id\":\"01").unwrap();
        journal.file = file;
        journal.write(ENDED, &entry(3), &mut Settle::default()).unwrap();
        journal.write(ENDED, &entry(4), &mut Settle::default()).unwrap();
        drop(journal);
        let (_, left) = Journal::open(folder.path()).unwrap();
        let outputs: Vec<i64> = left.entries.iter().map(|entry| entry.output).collect();
        assert_eq!(outputs, [1, 3, 4]);
    }
}
