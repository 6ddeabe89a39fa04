//! The device link from outside: who gets in, what a hostile way can do, what flows, and over what.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod carriers;
mod flow;
mod grants;
mod handshakes;
mod http;
mod parties;
mod tampering;
