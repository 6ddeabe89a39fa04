//! The real `foreman-server` on port 0 with SQLite: accounts, roles, gates, the log, backups, what it serves.

mod accounts;
mod backups;
mod gates;
mod log;
mod running;
mod serving;
