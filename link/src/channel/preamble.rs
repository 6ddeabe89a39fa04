//! What a client sends before anything is sealed. It is in clear and can be changed on its way, so all of it is
//! bound into the handshake, which then fails.

use foreman_protocol::LINK_VERSION;

const MAGIC: [u8; 4] = *b"FML1";

/// Bytes of a preamble on the wire.
pub(super) const LEN: usize = 4 + 2 + 16;

/// Whether a connection's first bytes begin a link; `None` while there are too few to tell.
#[must_use]
pub fn is_link_preamble(first: &[u8]) -> Option<bool> {
    let seen = first.len().min(MAGIC.len());
    if first[..seen] != MAGIC[..seen] {
        return Some(false);
    }
    (seen == MAGIC.len()).then_some(true)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preamble {
    pub version: u16,
    pub session: [u8; 16],
}

impl Preamble {
    pub fn fresh() -> Self {
        Self { version: LINK_VERSION, session: rand::random() }
    }

    pub fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.version.to_be_bytes());
        bytes[6..].copy_from_slice(&self.session);
        bytes
    }

    pub fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (version, session) = rest.split_first_chunk::<2>()?;
        Some(Self { version: u16::from_be_bytes(*version), session: session.try_into().ok()? })
    }

    /// What both sides bind into the handshake.
    pub fn prologue(&self, identity: &[u8; 32]) -> Vec<u8> {
        [b"foreman-link".as_slice(), &self.version.to_be_bytes(), identity, &self.session].concat()
    }
}
