//! The device's files under attack, in large numbers and in ordinary use, on real file systems.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

#[path = "files/attack.rs"]
mod attack;
#[path = "files/changing.rs"]
mod changing;
#[path = "files/looking.rs"]
mod looking;
#[path = "files/place.rs"]
mod place;
#[path = "files/repository.rs"]
mod repository;
#[path = "files/searching.rs"]
mod searching;
#[path = "../../journeys/src/skipped.rs"]
mod skipped;
#[path = "files/uploading.rs"]
mod uploading;
