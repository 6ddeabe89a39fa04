//! What a person wants to hear of, wherever it is told: the kinds, the devices and the hours.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::DeviceId;

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// More devices than anybody silences one by one; a bound all the same.
const MOST_MUTED: usize = 1_000;

/// What can be told. Later kinds are added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    Offline,
    Online,
    TaskStarted,
    TaskFinished,
    TaskFailed,
    GpuMemory,
}

/// A part of each day without notifications, in minutes since midnight by the clock of whoever is told. It may cross
/// midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// What one place is told of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct NoticeRules {
    pub on: bool,
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<NoticeKind>))]
    pub kinds: BTreeSet<NoticeKind>,
    /// Devices that nothing is told of.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<DeviceId>))]
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

    /// Whether something of this kind about this device is to be told at all.
    #[must_use]
    pub fn want(&self, kind: NoticeKind, device: DeviceId) -> bool {
        self.on && self.kinds.contains(&kind) && !self.muted.contains(&device)
    }

    #[must_use]
    pub fn is_quiet(&self, minute: u16) -> bool {
        self.quiet.is_some_and(|hours| hours.has(minute))
    }
}
