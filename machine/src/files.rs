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

mod change;
mod entry;
mod error;
mod find;
mod git;
mod list;
mod natural;
mod read;
mod records;
mod roots;
mod rules;
mod search;
mod trash;
mod uploads;
mod walk;

use std::{
    fmt,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use foreman_protocol::{Millis, Policy};

pub use change::Change;
pub use error::FilesError;
pub use find::{Find, MAX_FOUND};
pub use list::{ListOptions, MAX_LIST};
pub use read::Opened;
pub use rules::Rules;
pub use search::{Case, LineStart, MAX_HITS, Search};
pub use uploads::{MAX_UPLOAD, Piece};

use records::Records;
use uploads::Uploads;

/// What the agent keeps for files, and what it never shows.
pub struct Files {
    /// The agent's state directory: no path leads into it, whatever the policy says.
    state: PathBuf,
    uploads: Uploads,
    trash: Records<trash::Record>,
    listener: Option<Listener>,
    count: AtomicU64,
}

type Listener = Box<dyn Fn(Change) + Send + Sync>;

pub type Result<T> = std::result::Result<T, FilesError>;

impl Files {
    /// `state` is the agent's state directory. Uploads that an agent before this one began go on.
    #[must_use]
    pub fn new(state: PathBuf) -> Self {
        let uploads = Uploads::at(state.join("uploads"));
        let trash = Records::at(state.join("trash"));
        let files = Self { state, uploads, trash, listener: None, count: AtomicU64::new(0) };
        files.clean_up();
        files
    }

    /// Tells somebody about each change. They must not block.
    #[must_use]
    pub fn on_change(mut self, listener: impl Fn(Change) + Send + Sync + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Lets go uploads and deleted things that are too old. To be called each hour or so.
    pub fn clean_up(&self) {
        let now = now_ms();
        self.clean_uploads(now);
        self.empty_trash(now);
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

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("state", &self.state).finish_non_exhaustive()
    }
}

fn now_ms() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
