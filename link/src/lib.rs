//! How Foreman's programs reach each other: one HTTP client, and live streams that resume by themselves.
//!
//! Agent, server and SDK all go through here, so that time-outs, proxies, TLS, reconnecting and the reading of
//! errors are decided once. This crate must not know who calls it, databases or any user interface.

pub mod http;
pub mod sse;

/// What to add to a log filter: the stream parser logs every line it reads at `debug`, and those may hold the
/// environment of a task.
pub const QUIET_LOG_TARGETS: &str = "eventsource_client=off";
