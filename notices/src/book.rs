//! Follows one server and keeps book of what is told: what is new, what is on the screen, and what has to go.

use std::collections::{BTreeMap, BTreeSet};

use foreman_protocol::{Device, DeviceId, DeviceStatus, Event, EventRecord, Task, TaskId, TaskState};

use super::{MOST_AT_ONCE, Notice, NoticeKind, NoticeRules, Subject};

/// Tasks that ended unseen and are asked for, newest first.
const MOST_MISSED: usize = 20;

/// What is to be done on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// In place of the one about the same thing, if there is one.
    Show(Box<Notice>),
    /// In place of these many.
    ShowMany(usize),
    Withdraw(Subject),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KnownDevice {
    status: DeviceStatus,
    gpu_high: bool,
}

/// One server's book. Nothing is told of what was so already when it was opened.
#[derive(Debug, Default)]
pub struct Book {
    devices: BTreeMap<DeviceId, KnownDevice>,
    names: BTreeMap<DeviceId, String>,
    /// Tasks that are not over, and whether they run.
    tasks: BTreeMap<TaskId, bool>,
    began: bool,
    shown: BTreeMap<Subject, NoticeKind>,
    /// What is to be told or taken back, the newest word about each thing.
    due: BTreeMap<Subject, Option<Notice>>,
}

impl Book {
    /// Takes the whole state in, at first and after events were missed. Gives the tasks that ended unseen: what became
    /// of them has to be asked for and handed to [`Book::task`].
    pub fn snapshot(
        &mut self,
        devices: &BTreeMap<DeviceId, Device>,
        tasks: &BTreeMap<TaskId, Task>,
    ) -> Vec<TaskId> {
        let gone: Vec<_> = self.devices.keys().filter(|id| !devices.contains_key(*id)).copied().collect();
        for id in gone {
            self.device_gone(id);
        }
        for device in devices.values() {
            self.device(device);
        }
        let missed: Vec<_> = self.tasks.keys().rev().filter(|id| !tasks.contains_key(*id)).copied().collect();
        for task in tasks.values() {
            self.task(task);
        }
        for id in &missed {
            self.tasks.remove(id);
        }
        self.began = true;
        missed.into_iter().take(MOST_MISSED).collect()
    }

    /// Takes an event in.
    pub fn event(&mut self, record: &EventRecord) {
        match &record.event {
            // The agent signed off: somebody wanted that.
            Event::DeviceDisconnected { device } => {
                self.learn(device);
                self.over(Subject::Reach(device.id));
                self.over(Subject::GpuMemory(device.id));
            }
            Event::DeviceDeleted { device_id, .. } => self.device_gone(*device_id),
            event => {
                if let Some(device) = event.device() {
                    self.device(device);
                } else if let Some(task) = event.task() {
                    self.task(task);
                }
            }
        }
    }

    fn learn(&mut self, device: &Device) -> Option<KnownDevice> {
        self.names.insert(device.id, device.name.clone());
        let now = KnownDevice { status: device.status, gpu_high: device.gpu_memory_high };
        self.devices.insert(device.id, now)
    }

    fn device(&mut self, device: &Device) {
        let before = self.learn(device);
        if !self.began {
            return;
        }
        if before.map(|known| known.status) != Some(device.status) {
            let subject = Subject::Reach(device.id);
            match device.status {
                DeviceStatus::Offline => self.tell(Notice::of_device(subject, NoticeKind::Offline, device)),
                // Went and came back before anybody was told: nothing happened.
                DeviceStatus::Online if self.is_untold(subject) => self.over(subject),
                DeviceStatus::Online => self.tell(Notice::of_device(subject, NoticeKind::Online, device)),
                DeviceStatus::Pending => self.over(subject),
            }
        }
        if before.is_some_and(|known| known.gpu_high) != device.gpu_memory_high {
            let subject = Subject::GpuMemory(device.id);
            if device.gpu_memory_high {
                self.tell(Notice::of_device(subject, NoticeKind::GpuMemory, device));
            } else {
                self.over(subject);
            }
        }
    }

    fn device_gone(&mut self, id: DeviceId) {
        self.devices.remove(&id);
        self.names.remove(&id);
        self.over(Subject::Reach(id));
        self.over(Subject::GpuMemory(id));
    }

    /// Takes in what is known of a task.
    pub fn task(&mut self, task: &Task) {
        let ran = self.tasks.get(&task.id).copied();
        if task.state.is_final() {
            self.tasks.remove(&task.id);
        } else {
            self.tasks.insert(task.id, task.state == TaskState::Running);
        }
        if !self.began || (task.state == TaskState::Running && ran == Some(true)) {
            return;
        }
        let name = self.names.get(&task.device_id).cloned().unwrap_or_default();
        if let Some(notice) = Notice::of_task(task, name) {
            self.tell(notice);
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.due.insert(notice.subject, Some(notice));
    }

    /// It holds no longer.
    fn over(&mut self, subject: Subject) {
        self.due.insert(subject, None);
    }

    /// It is to be told, and was not yet.
    fn is_untold(&self, subject: Subject) -> bool {
        matches!(self.due.get(&subject), Some(Some(_))) && !self.shown.contains_key(&subject)
    }

    /// Whether [`Book::settle`] has something to decide.
    #[must_use]
    pub fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Decides about everything that is due. `minute` is the minute of the day here; `front` the page of this server
    /// that a person has before them right now. In quiet hours what is new waits for their end, and is told then if
    /// it still holds.
    pub fn settle(&mut self, rules: &NoticeRules, minute: u16, front: Option<&str>) -> Vec<Deed> {
        let quiet = rules.is_quiet(minute);
        let mut deeds = Vec::new();
        let mut show = Vec::new();
        for (subject, wanted) in std::mem::take(&mut self.due) {
            let seen = front.is_some_and(|page| page == subject.page());
            match wanted {
                Some(notice) if rules.want(notice.kind, notice.device_id) && !seen => {
                    if quiet {
                        // What was told before is of yesterday as soon as there is something newer.
                        deeds.extend(self.take_back(subject));
                        self.due.insert(subject, Some(notice));
                    } else {
                        show.push(notice);
                    }
                }
                _ => deeds.extend(self.take_back(subject)),
            }
        }
        if show.len() > MOST_AT_ONCE {
            for notice in &show {
                deeds.extend(self.take_back(notice.subject));
            }
            self.shown.insert(Subject::Many, NoticeKind::Offline);
            deeds.push(Deed::ShowMany(show.len()));
        } else {
            for notice in show {
                self.shown.insert(notice.subject, notice.kind);
                deeds.push(Deed::Show(Box::new(notice)));
            }
        }
        deeds
    }

    fn take_back(&mut self, subject: Subject) -> Option<Deed> {
        self.shown.remove(&subject).map(|_| Deed::Withdraw(subject))
    }

    /// What the person has before them needs no notification any more.
    pub fn seen(&mut self, page: &str) -> Vec<Deed> {
        let seen: BTreeSet<_> = self.shown.keys().filter(|subject| subject.page() == page).copied().collect();
        seen.into_iter().filter_map(|subject| self.take_back(subject)).collect()
    }

    /// Whether anything is on the screen.
    #[must_use]
    pub fn has_shown(&self) -> bool {
        !self.shown.is_empty()
    }

    /// The person or the system put it away.
    pub fn put_away(&mut self, subject: Subject) {
        self.shown.remove(&subject);
    }

    /// Takes everything back: this server is followed no longer.
    pub fn close(&mut self) -> Vec<Deed> {
        self.due.clear();
        std::mem::take(&mut self.shown).into_keys().map(Deed::Withdraw).collect()
    }
}
