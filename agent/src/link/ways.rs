//! Which ways lead to this device just now, for `status`, `doctor` and the server.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ways {
    /// The listener's address on this machine.
    pub listening: Option<SocketAddr>,
    /// Whether the local network is told.
    pub mdns: Option<Way>,
    pub tailscale: Option<Way>,
    pub cloudflare: Option<Way>,
}

/// One way that somebody switched on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Way {
    Starting,
    /// `name` is how it is reached there; empty where that is for others to know.
    Up {
        name: String,
    },
    /// It does not work; tried again by itself.
    Down {
        error: String,
    },
}

impl Ways {
    /// The name in the tailnet, while that way works.
    #[must_use]
    pub fn tailscale_name(&self) -> Option<String> {
        match &self.tailscale {
            Some(Way::Up { name }) => Some(name.clone()),
            _ => None,
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Up { name } if name.is_empty() => f.write_str("up"),
            Self::Up { name } => write!(f, "up as {name}"),
            Self::Down { error } => write!(f, "does not work: {error}"),
        }
    }
}
