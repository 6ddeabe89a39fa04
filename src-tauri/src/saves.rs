//! Files that the window asked to have on this machine: fetched by the program, straight to the disk, and told of while
//! they are on their way. They outlive the page that asked.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use foreman_client::{
    DeviceConnection, Foreman,
    app::{Progress, SaveError, Saving},
};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use ts_rs::TS;

use crate::{
    ask::AskHead,
    desk::{Desk, unpoisoned},
    failure::{AppCode, Failure},
};

/// More are not kept in the list; the oldest that are over go first.
const MOST: usize = 50;
/// At the app's end it is waited so long for those that are being written.
const LEAVING: Duration = Duration::from_secs(2);

/// A file on its way to this machine, or there.
#[derive(Debug, Clone, Serialize, TS)]
pub struct Save {
    pub number: u32,
    /// What it is called; empty until that is known.
    pub name: String,
    /// Bytes.
    #[ts(type = "number")]
    pub received: u64,
    /// Bytes of all of it, where that is known.
    #[ts(type = "number | null")]
    pub total: Option<u64>,
    pub state: SaveState,
}

#[derive(Debug, Clone, Serialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SaveState {
    Running,
    Paused,
    /// Broken off too often; it can go on.
    Cut {
        failure: Failure,
    },
    /// Nothing of it is left.
    Failed {
        failure: Failure,
    },
    Done,
}

/// Who is asked for it.
#[derive(Clone)]
enum Source {
    Server(Foreman),
    Device(DeviceConnection),
}

impl Source {
    async fn of(desk: &Desk, head: &AskHead) -> Result<Self, Failure> {
        Ok(match head.device {
            Some(id) => Self::Device(desk.device(id).await?),
            None => Self::Server(desk.server().await?),
        })
    }
}

struct Entry {
    said: Save,
    source: Option<(Source, AskHead)>,
    stop: CancellationToken,
    /// What is there of it, while nobody writes it.
    part: Option<Saving>,
    path: Option<PathBuf>,
}

impl Entry {
    const fn is_over(&self) -> bool {
        matches!(self.said.state, SaveState::Done | SaveState::Failed { .. })
    }
}

/// All of them, and who wants to hear.
#[derive(Clone)]
pub struct Saves {
    last: Arc<AtomicU32>,
    all: Arc<Mutex<BTreeMap<u32, Entry>>>,
    changed: watch::Sender<()>,
    running: TaskTracker,
}

impl Default for Saves {
    fn default() -> Self {
        Self {
            last: Arc::default(),
            all: Arc::default(),
            changed: watch::Sender::new(()),
            running: TaskTracker::new(),
        }
    }
}

impl Saves {
    pub fn list(&self) -> Vec<Save> {
        unpoisoned(&self.all).values().map(|entry| entry.said.clone()).collect()
    }

    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Begins to fetch what is asked for.
    ///
    /// # Errors
    /// When nobody can be asked, or no file can be made in the folder.
    pub async fn begin(
        &self,
        desk: &Desk,
        head: AskHead,
        name: Option<&str>,
        folder: &Path,
    ) -> Result<u32, Failure> {
        let source = Source::of(desk, &head).await?;
        let part = Saving::begin(folder, name)?;
        let number = self.add(Some((source, head)), Some(part), name.unwrap_or_default())?;
        self.go(number);
        Ok(number)
    }

    /// Saves what is here already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, content: &[u8], name: &str, folder: &Path) -> Result<u32, Failure> {
        let mut saving = Saving::begin(folder, Some(name))?;
        saving.put(content)?;
        let number = self.add(None, None, name)?;
        self.settle(number, saving, Ok(()));
        Ok(number)
    }

    fn add(
        &self,
        source: Option<(Source, AskHead)>,
        part: Option<Saving>,
        name: &str,
    ) -> Result<u32, Failure> {
        let name = part.as_ref().and_then(Saving::name).unwrap_or(name).to_owned();
        let mut all = unpoisoned(&self.all);
        if all.len() >= MOST {
            let Some(oldest) = all.iter().find(|(_, entry)| entry.is_over()).map(|(number, _)| *number)
            else {
                let message = format!("{MOST} files are being saved. Wait for one of them, or cancel one.");
                return Err(Failure::new(AppCode::Storage, message));
            };
            all.remove(&oldest);
        }
        let number = self.last.fetch_add(1, Relaxed);
        let said = Save { number, name, received: 0, total: None, state: SaveState::Paused };
        let entry = Entry { said, source, stop: CancellationToken::new(), part, path: None };
        all.insert(number, entry);
        Ok(number)
    }

    /// Begins, or goes on.
    pub fn go(&self, number: u32) {
        let (mut part, source, head, stop) = {
            let mut all = unpoisoned(&self.all);
            let Some(entry) = all.get_mut(&number) else { return };
            let (Some(part), Some((source, head))) = (entry.part.take(), entry.source.clone()) else {
                return;
            };
            entry.stop = CancellationToken::new();
            entry.said.state = SaveState::Running;
            (part, source, head, entry.stop.clone())
        };
        self.changed.send_replace(());
        let saves = self.clone();
        tauri::async_runtime::spawn(self.running.track_future(async move {
            let ask = |more: tauri::http::HeaderMap| {
                let (source, head) = (source.clone(), head.clone());
                async move {
                    let mut raw = head
                        .raw(Vec::new())
                        .map_err(|failure| foreman_client::Error::Invalid { message: failure.message })?;
                    raw.headers.extend(more);
                    match source {
                        Source::Server(server) => server.exchange(raw).await,
                        Source::Device(device) => device.exchange(raw).await,
                    }
                }
            };
            let outcome = part.take(ask, &stop, |now| saves.moved(number, now)).await;
            // What is written is awaited from the disk.
            let _ = tauri::async_runtime::spawn_blocking(move || saves.settle(number, part, outcome)).await;
        }));
    }

    fn moved(&self, number: u32, now: &Saving) {
        if let Some(entry) = unpoisoned(&self.all).get_mut(&number) {
            Last::of(now).tell(&mut entry.said);
        }
        self.changed.send_replace(());
    }

    fn settle(&self, number: u32, part: Saving, outcome: Result<(), SaveError>) {
        let mut last = Last::of(&part);
        let mut kept = None;
        let state = match outcome {
            Ok(()) => match part.finish() {
                Ok(path) => last.lies_at(path),
                Err(error) => SaveState::Failed { failure: error.into() },
            },
            Err(SaveError::Stopped) => {
                kept = Some(part);
                SaveState::Paused
            }
            Err(error) if error.is_passing() => {
                kept = Some(part);
                SaveState::Cut { failure: error.into() }
            }
            Err(error) => SaveState::Failed { failure: error.into() },
        };
        match unpoisoned(&self.all).get_mut(&number) {
            Some(entry) => {
                last.tell(&mut entry.said);
                entry.said.state = state;
                entry.part = kept;
                entry.path = last.path;
            }
            // Cancelled meanwhile: it goes with its part, or although it was just there.
            None => {
                if let Some(path) = last.path {
                    let _ = std::fs::remove_file(path);
                }
            }
        }
        self.changed.send_replace(());
    }

    /// Stops it; what is there is kept, so that it can go on.
    pub fn pause(&self, number: u32) {
        if let Some(entry) = unpoisoned(&self.all).get(&number) {
            entry.stop.cancel();
        }
    }

    /// Takes it from the list. What is not there as a whole is thrown away.
    pub fn remove(&self, number: u32) {
        if let Some(entry) = unpoisoned(&self.all).remove(&number) {
            entry.stop.cancel();
        }
        self.changed.send_replace(());
    }

    /// Where the file is, once it is there.
    pub fn path(&self, number: u32) -> Option<PathBuf> {
        unpoisoned(&self.all).get(&number)?.path.clone()
    }

    /// The app ends: nothing that is not whole stays.
    pub async fn end(&self) {
        let all = std::mem::take(&mut *unpoisoned(&self.all));
        for entry in all.into_values() {
            entry.stop.cancel();
        }
        self.running.close();
        let _ = tokio::time::timeout(LEAVING, self.running.wait()).await;
    }
}

/// How far one is.
struct Last {
    progress: Progress,
    name: Option<String>,
    path: Option<PathBuf>,
}

impl Last {
    fn of(now: &Saving) -> Self {
        Self { progress: now.progress(), name: now.name().map(str::to_owned), path: None }
    }

    fn lies_at(&mut self, path: PathBuf) -> SaveState {
        self.name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        self.path = Some(path);
        SaveState::Done
    }

    fn tell(&self, said: &mut Save) {
        (said.received, said.total) = (self.progress.received, self.progress.total);
        if let Some(name) = &self.name {
            name.clone_into(&mut said.name);
        }
    }
}
