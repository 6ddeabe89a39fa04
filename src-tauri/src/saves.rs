//! Files that the window asked to have on this machine: fetched by the program, straight to the disk, and told of while
//! they are on their way. They outlive the page that asked.

mod peer;

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
    StoreError,
    app::{Progress, SaveError, SaveSource, Saving, UnfinishedSave, UnfinishedSaves},
};
use serde::Serialize;
use tauri::{AppHandle, Manager};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use ts_rs::TS;

use crate::{
    ask::AskHead,
    desk::{Desk, unpoisoned},
    failure::{AppCode, Failure},
};
use peer::Peer;

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

struct Entry {
    said: Save,
    /// Nothing where the window itself made what is saved.
    source: Option<SaveSource>,
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
    unfinished: Arc<Mutex<UnfinishedSaves>>,
    changed: watch::Sender<()>,
    running: TaskTracker,
}

impl Saves {
    /// With what an earlier run of the app left: it goes on at [`Saves::go_on`].
    pub fn open(list: PathBuf) -> Self {
        let unfinished = UnfinishedSaves::load(list);
        let next = unfinished.all().map(|(number, _)| number + 1).last().unwrap_or_default();
        Self {
            last: Arc::new(AtomicU32::new(next)),
            all: Arc::default(),
            unfinished: Arc::new(Mutex::new(unfinished)),
            changed: watch::Sender::new(()),
            running: TaskTracker::new(),
        }
    }

    /// Goes on with what the app was killed over. Of a server that is known no longer, and of what the window made, what is
    /// there goes.
    pub fn go_on(&self, app: &AppHandle) {
        let desk = app.state::<Desk>();
        let left: Vec<_> =
            unpoisoned(&self.unfinished).all().map(|(number, save)| (number, save.clone())).collect();
        for (number, UnfinishedSave { source, part, paused }) in left {
            let known = source.filter(|source| desk.servers().get(&source.server).is_some());
            let (part, source) = match (Saving::take_up(part), known) {
                (Ok(part), Some(source)) => (part, source),
                other => {
                    drop(other);
                    self.forget(number);
                    continue;
                }
            };
            let mut said = Save::of(number, part.name().unwrap_or_default());
            Last::of(&part).tell(&mut said);
            let stop = CancellationToken::new();
            let entry = Entry { said, source: Some(source), stop, part: Some(part), path: None };
            unpoisoned(&self.all).insert(number, entry);
            if !paused {
                self.go(app, number);
            }
        }
        self.changed.send_replace(());
    }

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
        app: &AppHandle,
        head: AskHead,
        name: Option<&str>,
        folder: &Path,
    ) -> Result<u32, Failure> {
        let desk = app.state::<Desk>();
        let AskHead { path, headers, device, .. } = head;
        let source = SaveSource { server: desk.selected()?.id, device, path, headers };
        Peer::of(&desk, &source).await?;
        let (number, part) = self.part(Some(&source), name, folder)?;
        self.add(number, Some(source), Some(part), name.unwrap_or_default());
        self.go(app, number);
        Ok(number)
    }

    /// Saves what is here already.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, content: &[u8], name: &str, folder: &Path) -> Result<u32, Failure> {
        let (number, mut part) = self.part(None, Some(name), folder)?;
        if let Err(error) = part.put(content) {
            drop(part);
            self.forget(number);
            return Err(error.into());
        }
        self.add(number, None, None, name);
        self.settle(number, part, Ok(()));
        Ok(number)
    }

    /// A number, and a part that the next run of the app knows of, whenever this one is killed.
    fn part(
        &self,
        source: Option<&SaveSource>,
        name: Option<&str>,
        folder: &Path,
    ) -> Result<(u32, Saving), Failure> {
        self.room()?;
        let number = self.last.fetch_add(1, Relaxed);
        let note = |part| {
            let save = UnfinishedSave { source: source.cloned(), part, paused: false };
            self.written_down(unpoisoned(&self.unfinished).put(number, save));
        };
        let part = Saving::begin(folder, name, note).inspect_err(|_| self.forget(number))?;
        Ok((number, part))
    }

    fn room(&self) -> Result<(), Failure> {
        let mut all = unpoisoned(&self.all);
        if all.len() >= MOST {
            let Some(oldest) = all.iter().find(|(_, entry)| entry.is_over()).map(|(number, _)| *number)
            else {
                let message = format!("{MOST} files are being saved. Wait for one of them, or cancel one.");
                return Err(Failure::new(AppCode::Storage, message));
            };
            all.remove(&oldest);
        }
        Ok(())
    }

    fn add(&self, number: u32, source: Option<SaveSource>, part: Option<Saving>, name: &str) {
        let said = Save::of(number, part.as_ref().and_then(Saving::name).unwrap_or(name));
        let entry = Entry { said, source, stop: CancellationToken::new(), part, path: None };
        unpoisoned(&self.all).insert(number, entry);
    }

    /// Begins, or goes on.
    pub fn go(&self, app: &AppHandle, number: u32) {
        let (mut part, source, stop) = {
            let mut all = unpoisoned(&self.all);
            let Some(entry) = all.get_mut(&number) else { return };
            let (Some(part), Some(source)) = (entry.part.take(), entry.source.clone()) else { return };
            entry.stop = CancellationToken::new();
            entry.said.state = SaveState::Running;
            (part, source, entry.stop.clone())
        };
        self.write_down(number, &source, &part, false);
        self.changed.send_replace(());
        let (saves, app) = (self.clone(), app.clone());
        tauri::async_runtime::spawn(self.running.track_future(async move {
            let outcome = match Peer::of(&app.state::<Desk>(), &source).await {
                Ok(peer) => {
                    let ask = |more| peer.ask(&source, more);
                    part.take(ask, &stop, |now| saves.moved(number, &source, now)).await.map_err(Broken::from)
                }
                // Nobody is signed in, or the keychain is locked: a person can mend that, and it goes on.
                Err(failure) => Err(Broken { kept: true, state: SaveState::Cut { failure } }),
            };
            // What is written is awaited from the disk.
            let _ = tauri::async_runtime::spawn_blocking(move || saves.settle(number, part, outcome)).await;
        }));
    }

    fn write_down(&self, number: u32, source: &SaveSource, part: &Saving, paused: bool) {
        let save = UnfinishedSave { source: Some(source.clone()), part: part.part(), paused };
        self.written_down(unpoisoned(&self.unfinished).put(number, save));
    }

    fn forget(&self, number: u32) {
        self.written_down(unpoisoned(&self.unfinished).remove(number));
    }

    fn written_down(&self, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, "what is being saved is not written down");
        }
    }

    fn moved(&self, number: u32, source: &SaveSource, now: &Saving) {
        if let Some(entry) = unpoisoned(&self.all).get_mut(&number) {
            Last::of(now).tell(&mut entry.said);
        }
        self.write_down(number, source, now, false);
        self.changed.send_replace(());
    }

    fn settle(&self, number: u32, part: Saving, outcome: Result<(), Broken>) {
        let mut last = Last::of(&part);
        let mut kept = None;
        let state = match outcome {
            Ok(()) => match part.finish() {
                Ok(path) => last.lies_at(path),
                Err(error) => SaveState::Failed { failure: error.into() },
            },
            Err(broken) => {
                kept = broken.kept.then_some(part);
                broken.state
            }
        };
        let paused = matches!(state, SaveState::Paused);
        let mut going_on = None;
        match unpoisoned(&self.all).get_mut(&number) {
            Some(entry) => {
                last.tell(&mut entry.said);
                entry.said.state = state;
                going_on = entry.source.clone().zip(kept.as_ref().map(Saving::part));
                entry.part = kept;
                entry.path = last.path;
            }
            // Cancelled meanwhile: it goes with its part, or although it was just there.
            None => {
                drop(kept);
                if let Some(path) = last.path {
                    let _ = std::fs::remove_file(path);
                }
            }
        }
        let mut unfinished = unpoisoned(&self.unfinished);
        self.written_down(match going_on {
            Some((source, part)) => {
                unfinished.put(number, UnfinishedSave { source: Some(source), part, paused })
            }
            None => unfinished.remove(number),
        });
        drop(unfinished);
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
        let removed = unpoisoned(&self.all).remove(&number);
        if let Some(entry) = removed {
            entry.stop.cancel();
            // One that is being written goes when that ends.
            if entry.part.is_some() {
                drop(entry);
                self.forget(number);
            }
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
        self.written_down(unpoisoned(&self.unfinished).remove_gone());
    }
}

impl Save {
    fn of(number: u32, name: &str) -> Self {
        Self { number, name: name.to_owned(), received: 0, total: None, state: SaveState::Paused }
    }
}

/// Why one is not there.
struct Broken {
    state: SaveState,
    /// What is there of it stays, so that it can go on.
    kept: bool,
}

impl From<SaveError> for Broken {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Stopped => Self { kept: true, state: SaveState::Paused },
            error if error.is_passing() => {
                Self { kept: true, state: SaveState::Cut { failure: error.into() } }
            }
            error => Self { kept: false, state: SaveState::Failed { failure: error.into() } },
        }
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
