//! How Foreman's programs reach each other: one HTTP client, live streams that resume by themselves, and the sealed
//! link to a device.
//!
//! Agent, server and SDK all go through here, so that time-outs, proxies, TLS, reconnecting and the reading of
//! errors are decided once. This crate must not know who calls it, databases or any user interface.
//!
//! A link is built of three layers that do not know each other: a [`carrier`] is any way for bytes, the
//! [`channel`] seals it, and [`h2`] speaks HTTP inside. Who may come in is said by [`grant`].

pub mod carrier;
pub mod channel;
pub mod grant;
pub mod h2;
pub mod http;
pub mod sse;
pub mod tries;

/// What to add to a log filter: the stream parser logs every line it reads at `debug`, and those may hold the
/// environment of a task.
pub const QUIET_LOG_TARGETS: &str = "eventsource_client=off";
