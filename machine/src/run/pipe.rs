//! Named pipes of Windows, between a supervisor and the agents that come and go. None of another machine may connect,
//! and no name is used twice: who finds a name that leads nowhere knows that its maker is gone.

use std::io;

use foreman_protocol::TaskId;
use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions};

/// All ends of one pipe are taken for now.
const BUSY: i32 = 231;

/// How many may be connected to one name.
const MOST: usize = 8;

/// A name nobody has used.
pub(super) fn fresh_name() -> String {
    format!(r"\\.\pipe\foreman-{}", TaskId::fresh())
}

/// The first end under a name. Refused when there is one already. Inside a runtime, as all of these.
pub(super) fn serve(name: &str) -> io::Result<NamedPipeServer> {
    ServerOptions::new().first_pipe_instance(true).max_instances(MOST).create(name)
}

/// One more end, for the next one who comes.
pub(super) fn serve_next(name: &str) -> io::Result<NamedPipeServer> {
    ServerOptions::new().max_instances(MOST).create(name)
}

/// Connects. [`io::ErrorKind::NotFound`] when nobody serves the name any more.
pub(super) fn open(name: &str) -> io::Result<NamedPipeClient> {
    ClientOptions::new().open(name)
}

/// Whether somebody serves the name who has no free end now.
pub(super) fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(BUSY)
}
