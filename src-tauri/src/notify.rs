//! Notifications of the system: where there is somebody to show them, what is on the screen, and what is pressed there.

mod card;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod freedesktop;

use foreman_client::app::{ServerId, notices::Subject};

pub use card::{Card, of, of_many, of_test};
#[cfg(not(target_os = "linux"))]
pub use elsewhere::Screen;
#[cfg(target_os = "linux")]
pub use freedesktop::Screen;

/// What one notification is known by: a newer one of the same name takes its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    /// As the system is told. `default` is the notification itself.
    #[cfg(target_os = "linux")]
    const ALL: [(Self, &str); 3] =
        [(Self::Open, "default"), (Self::StopTask, "stop"), (Self::MuteDevice, "mute")];
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
}
