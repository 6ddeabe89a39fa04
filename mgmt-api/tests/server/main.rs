//! The real `foreman-server` on port 0 with SQLite: accounts, roles, gates, the log, backups, what it serves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod accounts;
mod backups;
mod browser_sign_in;
mod chats;
mod device_codes;
mod gates;
mod installing;
mod link;
mod log;
mod running;
mod serving;
mod vault;
