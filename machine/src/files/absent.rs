//! Files are shown and changed through handles that no link leads away from; there is no such walk for Windows yet, so
//! nothing is shown there at all.

use std::path::PathBuf;

/// Why, for people.
pub const REASON: &str = "An agent on Windows does not show or change files yet; a terminal or a task can.";

/// Nothing.
#[derive(Debug)]
pub struct Files(());

/// Never told.
#[derive(Debug, Clone)]
pub struct Change {
    pub action: &'static str,
    pub path: String,
    pub by: String,
}

impl Files {
    #[must_use]
    pub fn new(_state: PathBuf) -> Self {
        Self(())
    }

    #[must_use]
    pub fn on_change(self, _listener: impl Fn(Change) + Send + Sync + 'static) -> Self {
        self
    }
}
