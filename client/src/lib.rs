//! The Rust SDK of a Foreman server: every user-side endpoint as a typed method, lists as streams, and live
//! events that resume by themselves; and of its devices, reached directly and sealed: see [`device`].
//!
//! ```no_run
//! use foreman_client::{Foreman, OutputUpdate};
//! use foreman_protocol::{TaskCommand, TaskSpec};
//! use futures_util::{StreamExt, TryStreamExt};
//!
//! # async fn example() -> Result<(), foreman_client::Error> {
//! // FOREMAN_URL and FOREMAN_TOKEN; make a token with `foreman-server token create`.
//! let foreman = Foreman::from_env()?;
//! let mut devices = foreman.devices(&Default::default());
//! while let Some(device) = devices.try_next().await? {
//!     let command = TaskCommand::Shell { shell: "uname -a".to_owned() };
//!     let spec = TaskSpec { command, cwd: None, env: Default::default(), timeout_s: Some(60) };
//!     let task = foreman.start_task(device.id, &spec).await?;
//!     let mut output = foreman.live_output(task.id, 0);
//!     while let Some(update) = output.next().await {
//!         match update {
//!             OutputUpdate::Bytes { data, .. } => print!("{}", String::from_utf8_lossy(&data)),
//!             OutputUpdate::Gap(gap) => println!("[{} bytes are gone]", gap.to - gap.from),
//!             OutputUpdate::Ended(task) => println!("{}: {}", device.name, task.state.as_str()),
//!             OutputUpdate::Lost { error, retry_in } => eprintln!("{error}; again in {retry_in:?}"),
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Branch on [`Error::code`], never on an error's text. This crate must not know Tauri, axum or a database.

mod account;
pub mod app;
mod audit;
mod browser_sign_in;
pub mod device;
mod devices;
mod events;
mod exchange;
mod grants;
mod mirror;
mod output;
mod request;
mod seal;
mod sign_in;
mod tasks;

pub use audit::AuditFilter;
pub use browser_sign_in::{BROWSER_LIMIT, BrowserSignIn, LoopbackReturn, NoReturn, Returned};
pub use device::{DeviceConnection, DeviceOptions, KnownDevice, PathKind, PathState, Store, StoreError};
pub use devices::DeviceFilter;
pub use events::{Events, LiveUpdate};
pub use exchange::{RawAnswer, RawAsk};
pub use foreman_link::{http::RequestError as Error, sse::StreamError};
pub use mirror::{Live, Mirror, Turn};
pub use output::{OutputPiece, OutputUpdate};
pub use request::{Foreman, Listing, PageRequest};
pub use sign_in::{Approval, DeviceSignIn, SignInError};
pub use tasks::TaskFilter;
