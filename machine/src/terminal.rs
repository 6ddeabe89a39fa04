//! Terminals on this machine: shells that live here, whoever comes and goes.
//!
//! A terminal is a program on a pseudo-terminal. Any number of viewers read its output, each at its own pace from
//! the last [`SCROLLBACK`](foreman_protocol::SCROLLBACK) bytes; some of them write. A viewer that loses its way here
//! comes back with the offset it has, and nothing is printed or typed twice.
//!
//! Terminals survive every client and every path, but not the agent: they live in its process, and when that ends or
//! restarts, they and everything started in them end too. What must outlive the agent is a task
//! ([`crate::run`]).
//!
//! Between the agent and a terminal's program stands a small process, the *holder* ([`hold`]): it leads the session,
//! and no process started in the terminal can leave its tree, so the end of a terminal is the end of all of it, also
//! when the agent was killed. A program that ends by itself leaves running what it left running.
//!
//! This must not know the network: viewers are given frames, and who may do what is decided before.

mod attach;
mod hold;
mod pty;
mod pump;
mod record;
mod registry;
mod scrollback;
mod session;
mod shell;

pub use attach::{AttachError, Typing, Watching};
pub use hold::hold;
pub use registry::{OpenError, Opener, Setup, Terminals, UpdateError};
