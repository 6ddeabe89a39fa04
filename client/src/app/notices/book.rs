//! Follows one server and keeps book of what is told: what is new, what is on the screen, and what has to go.

use std::collections::{BTreeMap, BTreeSet};

use foreman_protocol::{Device, DeviceId, DeviceStatus, Event, EventRecord, Task, TaskId, TaskState};

use super::{Notice, NoticeKind, NoticeRules, Outcome, Subject};
use crate::Mirror;

/// More at once would bury what matters: then one says how many there are.
const MOST_AT_ONCE: usize = 4;
/// Tasks that ended unseen and are asked for, newest first.
const MOST_MISSED: usize = 20;
/// Characters of a command line.
const LONGEST_COMMAND: usize = 120;

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
    pub fn snapshot(&mut self, mirror: &Mirror) -> Vec<TaskId> {
        let gone: Vec<_> =
            self.devices.keys().filter(|id| !mirror.devices.contains_key(*id)).copied().collect();
        for id in gone {
            self.device_gone(id);
        }
        for device in mirror.devices.values() {
            self.device(device);
        }
        let missed: Vec<_> =
            self.tasks.keys().rev().filter(|id| !mirror.tasks.contains_key(*id)).copied().collect();
        for task in mirror.tasks.values() {
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
                DeviceStatus::Offline => self.tell(subject, NoticeKind::Offline, device.id, None),
                // Went and came back before anybody was told: nothing happened.
                DeviceStatus::Online if self.is_untold(subject) => self.over(subject),
                DeviceStatus::Online => self.tell(subject, NoticeKind::Online, device.id, None),
                DeviceStatus::Pending => self.over(subject),
            }
        }
        if before.is_some_and(|known| known.gpu_high) != device.gpu_memory_high {
            let subject = Subject::GpuMemory(device.id);
            if device.gpu_memory_high {
                self.tell(subject, NoticeKind::GpuMemory, device.id, None);
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
        if !self.began {
            return;
        }
        let kind = match task.state {
            TaskState::Queued => return,
            TaskState::Running if ran == Some(true) => return,
            TaskState::Running => NoticeKind::TaskStarted,
            TaskState::Succeeded | TaskState::Stopped => NoticeKind::TaskFinished,
            TaskState::Failed | TaskState::Lost | TaskState::Refused => NoticeKind::TaskFailed,
        };
        self.tell(Subject::Task(task.id), kind, task.device_id, Some(task));
    }

    fn tell(&mut self, subject: Subject, kind: NoticeKind, device_id: DeviceId, task: Option<&Task>) {
        let notice = Notice {
            subject,
            kind,
            device_id,
            device: self.names.get(&device_id).cloned().unwrap_or_default(),
            command: task.map(|task| shortened(&task.command.summary())),
            outcome: task.filter(|task| task.state.is_final()).map(outcome_of),
        };
        self.due.insert(subject, Some(notice));
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
                Some(notice) if rules.want(&notice) && !seen => {
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

const fn outcome_of(task: &Task) -> Outcome {
    match (task.state, task.exit_code, task.signal) {
        (TaskState::Succeeded, _, _) => Outcome::Succeeded,
        (TaskState::Stopped, _, _) => Outcome::Stopped,
        (TaskState::Lost, _, _) => Outcome::Lost,
        (TaskState::Refused, _, _) => Outcome::Refused,
        (_, _, Some(signal)) => Outcome::Signal(signal),
        (_, Some(code), _) => Outcome::Exit(code),
        _ => Outcome::Unknown,
    }
}

/// One line without what a terminal would obey.
fn shortened(command: &str) -> String {
    let mut plain = command.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = plain.by_ref().take(LONGEST_COMMAND).collect();
    if plain.next().is_some() {
        short.push('…');
    }
    short
}
