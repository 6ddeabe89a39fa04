//! What acts on this machine under its own policy: what it is, how it is doing, what it lets others run.
//!
//! This crate must not know the network or the server: it is told what to do and answers with facts. So a
//! hostile server meets the same rules as a friendly one, and everything here can be tried with no server.

mod at;
#[cfg_attr(windows, path = "files/absent.rs")]
pub mod files;
pub mod logs;
pub mod policy;
pub mod private;
pub mod probe;
pub mod run;
pub mod sample;
pub mod terminal;
