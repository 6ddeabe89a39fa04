//! What the server knows, kept up to date here: a snapshot, then every change to it.
//!
//! The order matters: first the stream is opened, then the snapshot is taken, then the events are applied. Events
//! that the snapshot already includes are known by the thing's `version` and skipped, so nothing is missed and
//! nothing goes backwards.

use std::{collections::BTreeMap, time::Duration};

use foreman_link::sse::StreamError;
use foreman_protocol::{Device, DeviceId, Event, EventRecord, StreamReady, StreamSample, Task, TaskId};
use futures_util::TryStreamExt;

use crate::{Error, Events, Foreman, LiveUpdate, TaskFilter};

/// Devices, and the tasks that were not over at the snapshot or changed since.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mirror {
    pub devices: BTreeMap<DeviceId, Device>,
    pub tasks: BTreeMap<TaskId, Task>,
}

impl Mirror {
    /// Takes one event in. `false` when it changed nothing, because it was included already or is about
    /// something else.
    pub fn apply(&mut self, record: &EventRecord) -> bool {
        if let Some(device) = record.event.device() {
            return self.put_device(record.cursor, device);
        }
        if let Some(task) = record.event.task() {
            return self.put_task(record.cursor, task);
        }
        match &record.event {
            Event::DeviceDeleted { device_id, .. } => {
                self.tasks.retain(|_, task| task.device_id != *device_id);
                self.devices.remove(device_id).is_some()
            }
            _ => false,
        }
    }

    fn put_device(&mut self, cursor: i64, device: &Device) -> bool {
        let known = self.devices.get(&device.id);
        if known.is_some_and(|known| cursor <= known.version) {
            return false;
        }
        let mut device = device.clone();
        // Measurements are not part of events; the newest one stays.
        device.latest = device.latest.or_else(|| known.and_then(|known| known.latest.clone()));
        device.last_seen_at = device.last_seen_at.max(known.and_then(|known| known.last_seen_at));
        self.devices.insert(device.id, device);
        true
    }

    fn put_task(&mut self, cursor: i64, task: &Task) -> bool {
        if self.tasks.get(&task.id).is_some_and(|known| cursor <= known.version) {
            return false;
        }
        self.tasks.insert(task.id, task.clone());
        true
    }

    /// Takes a measurement in.
    pub fn measure(&mut self, sample: &StreamSample) {
        if let Some(device) = self.devices.get_mut(&sample.device_id) {
            device.latest = Some(sample.sample.clone());
            device.last_seen_at = device.last_seen_at.max(Some(sample.at));
        }
    }
}

/// What [`Live::next`] has done to the mirror.
#[derive(Debug, Clone)]
pub enum Turn {
    /// A snapshot replaced everything: at first, and when the events between are no longer kept.
    Snapshot,
    /// This event was taken in.
    Event(Box<EventRecord>),
    /// This measurement was taken in.
    Sample(Box<StreamSample>),
    /// What is in the mirror may be old until the next turn that is not this one.
    Lost { error: StreamError, retry_in: Duration },
    /// The stream is open again; what was missed follows.
    Resumed,
}

/// A [`Mirror`] that follows its server; see [`Foreman::live`].
pub struct Live {
    foreman: Foreman,
    events: Events,
    /// Everything up to here was taken in or is in the snapshot to come.
    cursor: Option<i64>,
    mirror: Mirror,
    /// A snapshot is due.
    stale: bool,
    /// Answers before the snapshot is taken would skip the events between.
    open: bool,
}

impl Foreman {
    /// Follows everything. The first turn is the first snapshot.
    #[must_use]
    pub fn live(&self) -> Live {
        Live {
            foreman: self.clone(),
            events: self.events(None),
            cursor: None,
            mirror: Mirror::default(),
            stale: true,
            open: false,
        }
    }
}

impl Live {
    /// What is known now.
    #[must_use]
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Who is followed, over the connections that it is followed by now.
    #[must_use]
    pub fn foreman(&self) -> &Foreman {
        &self.foreman
    }

    /// Opens the stream again right now and goes on where it stood, instead of waiting until the loss of a connection
    /// is noticed: after the machine slept. Over a connection of its own: any that is there may be dead, too.
    pub fn reopen(&mut self) {
        if let Ok(anew) = self.foreman.connected_anew() {
            self.foreman = anew;
        }
        self.events = self.foreman.events(self.cursor);
        self.open = false;
    }

    /// Waits for the next change and takes it in.
    ///
    /// # Errors
    /// When a snapshot cannot be taken; the next call tries again.
    pub async fn next(&mut self) -> Result<Turn, Error> {
        loop {
            if self.stale && self.open {
                self.mirror = snapshot(&self.foreman).await?;
                self.stale = false;
                return Ok(Turn::Snapshot);
            }
            match self.events.next().await {
                LiveUpdate::Ready(StreamReady { cursor, .. }) if self.stale => {
                    self.open = true;
                    self.cursor.get_or_insert(cursor);
                }
                LiveUpdate::Ready(_) => return Ok(Turn::Resumed),
                LiveUpdate::Reset(StreamReady { cursor, .. }) => {
                    (self.stale, self.open) = (true, true);
                    self.cursor = Some(cursor);
                }
                LiveUpdate::Event(record) => {
                    self.cursor = Some(record.cursor);
                    if self.mirror.apply(&record) {
                        return Ok(Turn::Event(record));
                    }
                }
                LiveUpdate::Sample(sample) => {
                    self.mirror.measure(&sample);
                    return Ok(Turn::Sample(sample));
                }
                LiveUpdate::Unknown { .. } => {}
                LiveUpdate::Lost { error, retry_in } => return Ok(Turn::Lost { error, retry_in }),
            }
        }
    }
}

async fn snapshot(foreman: &Foreman) -> Result<Mirror, Error> {
    let devices = foreman.devices(&Default::default());
    let tasks = foreman.tasks(&TaskFilter::active());
    Ok(Mirror {
        devices: devices.map_ok(|device| (device.id, device)).try_collect().await?,
        tasks: tasks.map_ok(|task| (task.id, task)).try_collect().await?,
    })
}
