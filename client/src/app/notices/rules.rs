//! What a person wants to hear from one server, on this device.

use std::collections::BTreeSet;

use foreman_protocol::DeviceId;
use serde::{Deserialize, Serialize};

use super::{Notice, NoticeKind};

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// More devices than anybody silences one by one; a bound all the same.
const MOST_MUTED: usize = 1_000;

/// A part of each day without notifications, in minutes since midnight by this device's clock. It may cross midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    pub from: u16,
    pub to: u16,
}

impl QuietHours {
    /// Whether a minute of the day lies in it. Two equal ends are no time at all.
    #[must_use]
    pub const fn has(self, minute: u16) -> bool {
        if self.from <= self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        }
    }
}

/// The rules for one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NoticeRules {
    pub on: bool,
    pub kinds: BTreeSet<NoticeKind>,
    /// Devices that nothing is told of.
    pub muted: BTreeSet<DeviceId>,
    pub quiet: Option<QuietHours>,
}

impl Default for NoticeRules {
    /// What needs somebody; the rest is there to be asked for.
    fn default() -> Self {
        Self {
            on: true,
            kinds: [NoticeKind::Offline, NoticeKind::TaskFailed, NoticeKind::GpuMemory].into(),
            muted: BTreeSet::new(),
            quiet: None,
        }
    }
}

impl NoticeRules {
    /// The same rules within their bounds, whoever wrote them.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.muted = self.muted.into_iter().take(MOST_MUTED).collect();
        self.quiet = self.quiet.map(|QuietHours { from, to }| QuietHours { from: from % DAY, to: to % DAY });
        self
    }

    #[must_use]
    pub fn want(&self, notice: &Notice) -> bool {
        self.on && self.kinds.contains(&notice.kind) && !self.muted.contains(&notice.device_id)
    }

    #[must_use]
    pub fn is_quiet(&self, minute: u16) -> bool {
        self.quiet.is_some_and(|hours| hours.has(minute))
    }
}
