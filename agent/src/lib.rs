//! The device program: joins a Foreman server, reports how the machine is, and runs tasks under the device's own
//! policy.
//!
//! It dials out and needs no open port; whoever reaches it directly proves their right to the device itself.
//! Everything it must not forget is in its state directory, and what it runs outlives it. It must not know the server's
//! database or other devices.
//!
//! [`uplink`] alone, without any directory, is enough to be a device: that is how many of them are tried at once.

pub mod address;
pub mod agent;
pub mod connect;
pub mod device_api;
pub mod disconnect;
pub mod doctor;
pub mod ending;
pub mod identity;
pub mod journal;
pub mod line;
pub mod link;
pub mod options;
mod places;
mod process;
pub mod service;
pub mod state;
pub mod status;
pub mod tasks;
pub mod trusting;
pub mod uplink;
pub mod vitals;

/// Of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The hidden subcommand that runs one task; see [`foreman_machine::run`].
pub const SUPERVISE: &str = "supervise";

/// The hidden subcommand that holds one terminal; see [`foreman_machine::terminal`].
pub const HOLD: &str = "hold-terminal";

/// The hidden subcommand that Windows starts as a service; see [`service`].
pub const SERVE: &str = "serve";
