//! Where on a phone's screen a thing has its notification: the same at each start, and the same for the app itself and for what
//! a push service brings while it is closed, so that one takes the place of the other. The Android project has it in Java.

use foreman_notices::Subject;
use sha2::{Digest, Sha256};

use super::ServerId;

/// Never negative.
#[must_use]
pub fn place_of(server: &ServerId, subject: Subject) -> i32 {
    let digest = Sha256::digest(format!("{} {subject}", server.as_str()));
    let [first, second, third, fourth, ..]: [u8; 32] = digest.into();
    i32::from_be_bytes([first & 0x7f, second, third, fourth])
}
