//! The device's files, as its policy lets others see and change them.
//!
//! Everything goes through [`Rules`] and its walk: a path is resolved here, one component after the other on open
//! handles, and never by the system from a name. `cap-std` does that too, but for one directory that nothing may
//! leave, while here links may lead from one allowed place to another and places beneath an allowed one are
//! blocked; so the walk is our own, on `rustix`. `openat2` alone would not do for the same reason; the search uses
//! it where no link is to be followed anyway.
//!
//! What is beyond this: a hard link or a bind mount that somebody with other rights on this machine made from a
//! forbidden place into an allowed one. (To what is blocked by name they do not help: that is known by inode too.)
//!
//! Functions here block; who calls them from asynchronous code gives them a thread. This must not know who asks or
//! over which network.

mod entry;
mod error;
mod list;
mod natural;
mod read;
mod roots;
mod rules;
mod walk;

use std::path::PathBuf;

use foreman_protocol::Policy;

pub use error::FilesError;
pub use list::{ListOptions, MAX_LIST};
pub use read::Opened;
pub use rules::Rules;

/// What the agent keeps for files, and what it never shows.
#[derive(Debug)]
pub struct Files {
    /// The agent's state directory: no path leads into it, whatever the policy says.
    state: PathBuf,
}

pub type Result<T> = std::result::Result<T, FilesError>;

impl Files {
    /// `state` is the agent's state directory.
    #[must_use]
    pub const fn new(state: PathBuf) -> Self {
        Self { state }
    }

    /// The rules for somebody who wants to look.
    ///
    /// # Errors
    /// [`FilesError::Off`] when the policy does not let files be read.
    pub fn reading(&self, policy: &Policy) -> Result<Rules> {
        if policy.allow_file_read {
            return Ok(self.rules(policy));
        }
        Err(FilesError::Off("ALLOW_FILE_READ"))
    }

    /// The rules for somebody who wants to change something.
    ///
    /// # Errors
    /// [`FilesError::Off`] when the policy does not let files be written.
    pub fn writing(&self, policy: &Policy) -> Result<Rules> {
        if policy.allow_file_write {
            return Ok(self.rules(policy));
        }
        Err(FilesError::Off("ALLOW_FILE_WRITE"))
    }

    fn rules(&self, policy: &Policy) -> Rules {
        Rules::new(&policy.allowed_paths, &policy.blocked_paths, &self.state)
    }
}
