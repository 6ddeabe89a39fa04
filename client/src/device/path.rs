//! The ways to a device, which are preferred, and what is told of the one in use.

use std::{fmt, time::Duration};

use foreman_protocol::Level;
use serde::{Deserialize, Serialize};

/// A way to a device; the better ones are smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// Straight over the local network.
    Lan,
    Tailscale,
    Cloudflare,
    /// Sealed through the server, which cannot read it.
    Relay,
    /// The server speaks for this client, with the right the device gave it: not end to end.
    Server,
}

impl PathKind {
    /// As in [`foreman_protocol::Hello::path`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Tailscale => "tailscale",
            Self::Cloudflare => "cloudflare",
            Self::Relay => "relay",
            Self::Server => "server",
        }
    }

    /// Whether only the device can read what is sent.
    #[must_use]
    pub const fn is_end_to_end(self) -> bool {
        !matches!(self, Self::Server)
    }

    /// How long the better ones may try alone.
    pub(super) const fn head_start(self) -> Duration {
        Duration::from_millis(match self {
            Self::Lan => 0,
            Self::Tailscale => 100,
            Self::Cloudflare => 150,
            Self::Relay | Self::Server => 200,
        })
    }
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lan => "local network",
            Self::Tailscale => "Tailscale",
            Self::Cloudflare => "Cloudflare",
            Self::Relay => "relay",
            Self::Server => "through the server",
        })
    }
}

/// How a device is reached at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathState {
    /// Absent while none is found.
    pub kind: Option<PathKind>,
    /// Where it leads, for people.
    pub address: String,
    /// There and back.
    pub latency: Option<Duration>,
    /// What the device itself lets this client do; absent where the server speaks for it, and while there is no path.
    pub level: Option<Level>,
    /// Why there is none, or why it is not a better one.
    pub trouble: Option<String>,
}

/// One way that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTry {
    pub kind: PathKind,
    pub address: String,
    /// Its latency, or why it cannot be used.
    pub outcome: Result<Duration, String>,
}
