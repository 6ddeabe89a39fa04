//! What a log says of things, in its order, and what that makes of one thing at one place that is told.

use foreman_protocol::{Event, NoticeRules};
use serde::{Deserialize, Serialize};

use super::{Notice, NoticeKind, Subject};

/// What an event says of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Tell(Notice),
    /// What was told of it holds no longer.
    Over(Subject),
}

impl News {
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self {
            Self::Tell(notice) => notice.subject,
            Self::Over(subject) => *subject,
        }
    }
}

/// What an event says. `device_name` knows the devices of tasks.
pub fn news(event: &Event, device_name: impl FnOnce() -> String) -> Vec<News> {
    let reach = |kind, device: &foreman_protocol::Device| {
        vec![News::Tell(Notice::of_device(Subject::Reach(device.id), kind, device))]
    };
    match event {
        Event::DeviceOffline { device } => reach(NoticeKind::Offline, device),
        Event::DeviceOnline { device } | Event::DeviceConnected { device } => {
            reach(NoticeKind::Online, device)
        }
        Event::DeviceGpuMemoryHigh { device, .. } => {
            let subject = Subject::GpuMemory(device.id);
            vec![News::Tell(Notice::of_device(subject, NoticeKind::GpuMemory, device))]
        }
        Event::DeviceGpuMemoryNormal { device, .. } => vec![News::Over(Subject::GpuMemory(device.id))],
        // The agent signed off, or the device was removed: somebody wanted that.
        Event::DeviceDisconnected { device } => gone(device.id),
        Event::DeviceDeleted { device_id, .. } => gone(*device_id),
        event => {
            let task = event.task().filter(|_| !matches!(event, Event::TaskStopRequested { .. }));
            task.and_then(|task| Notice::of_task(task, device_name())).map(News::Tell).into_iter().collect()
        }
    }
}

fn gone(id: foreman_protocol::DeviceId) -> Vec<News> {
    vec![News::Over(Subject::Reach(id)), News::Over(Subject::GpuMemory(id))]
}

/// What is to be done about one thing at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Tell(Notice),
    /// With what is so instead, where that is known.
    TakeBack(Option<Notice>),
}

/// What one place was told of one thing, and what it is to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    pub told: Option<Notice>,
    pub due: Option<Word>,
}

impl Standing {
    /// Takes the next word about it in.
    pub fn hear(&mut self, news: News, rules: &NoticeRules) {
        let flapped = self.told.is_none()
            && matches!(&self.due, Some(Word::Tell(notice)) if notice.kind == NoticeKind::Offline);
        self.due = match news {
            // Went and came back before anybody was told: nothing happened.
            News::Tell(notice) if notice.kind == NoticeKind::Online && flapped => None,
            News::Tell(notice) if rules.want(notice.kind, notice.device_id) => Some(Word::Tell(notice)),
            News::Tell(notice) => self.told.is_some().then_some(Word::TakeBack(Some(notice))),
            News::Over(_) => self.told.is_some().then_some(Word::TakeBack(None)),
        };
    }

    /// The due word went out.
    pub fn done(&mut self) {
        self.told = match self.due.take() {
            Some(Word::Tell(notice)) => Some(notice),
            Some(Word::TakeBack(_)) => None,
            None => self.told.take(),
        };
    }

    /// There is nothing to remember.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.told.is_none() && self.due.is_none()
    }
}

/// The events that say something, by their names.
pub const TOLD: &[&str] = &[
    "device.offline",
    "device.online",
    "device.connected",
    "device.disconnected",
    "device.deleted",
    "device.gpu_memory.high",
    "device.gpu_memory.normal",
    "device.task.started",
    "device.task.completed",
    "device.task.failed",
    "device.task.stopped",
    "device.task.lost",
    "device.task.refused",
];
