//! The single bytes that agent and supervisor send each other. A byte only says "look": the facts are in the
//! folder, so one that is lost or repeated does no harm.

/// Supervisor to agent: the command has started.
pub(super) const STARTED: u8 = b's';
/// Supervisor to agent: there is new output.
pub(super) const OUTPUT: u8 = b'o';
/// Supervisor to agent: `exit.json` is written; nothing more will happen.
pub(super) const ENDED: u8 = b'x';
/// Supervisor to agent: another supervisor has this task; look for it.
pub(super) const TAKEN: u8 = b't';
/// Supervisor to agent: nothing was started and nothing claimed. The reason follows, until the end.
pub(super) const FAILED: u8 = b'f';
/// Agent to supervisor: end the task.
pub(super) const STOP: u8 = b'S';
/// Agent to supervisor: output was let go, there is room again.
pub(super) const ROOM: u8 = b'R';
