//! A device over real sealed links, with paths that die under what is going on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod api;
mod opening;
mod paths;
mod running_out;
mod scene;
mod terminal;
mod transfers;
