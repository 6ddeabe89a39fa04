//! Notifications of the system: where there is somebody to show them, what is on the screen, and what is pressed there.

mod card;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod freedesktop;
#[cfg(any(not(target_os = "linux"), test))]
mod press;

use foreman_client::app::{ServerId, notices::Subject};
use serde::{Deserialize, Serialize};

pub use card::{Card, of, of_many, of_test};
#[cfg(not(target_os = "linux"))]
pub use elsewhere::Screen;
#[cfg(target_os = "linux")]
pub use freedesktop::Screen;

/// What one notification is known by: a newer one of the same name takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Name {
    /// Of a server, about something.
    Thing(ServerId, Subject),
    Test,
}

/// What can be pressed on a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Open,
    StopTask,
    MuteDevice,
}

impl Act {
    const ALL: [Self; 3] = [Self::Open, Self::StopTask, Self::MuteDevice];

    /// As the system is told. `default` is the notification itself.
    const fn key(self) -> &'static str {
        match self {
            Self::Open => "default",
            Self::StopTask => "stop",
            Self::MuteDevice => "mute",
        }
    }
}

/// What a person did to a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    pub name: Name,
    /// Nothing when it was put away.
    pub act: Option<Act>,
}

/// Whether this system shows notifications.
#[derive(Debug, Clone, Default)]
pub struct ScreenState {
    pub available: bool,
    /// Who shows them, when that is known.
    pub by: Option<String>,
    pub buttons: bool,
    /// Its person has not been asked yet whether the app may.
    pub unasked: bool,
}
