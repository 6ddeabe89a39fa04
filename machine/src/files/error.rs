//! Why something about a file did not work out.

use std::io;

use foreman_protocol::ProblemReason;
use rustix::io::Errno;

/// The message is for people; the variants are what a caller tells apart.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("This device does not allow it: {0} is off. Only the device can change that, in its policy.env.")]
    Off(&'static str),
    #[error(
        "This is not in ALLOWED_PATHS of this device. Only the device can change that, in its policy.env."
    )]
    Outside,
    #[error("This is in BLOCKED_PATHS of this device. Only the device can change that, in its policy.env.")]
    Blocked,
    #[error("This is where the device's agent keeps its own keys and records; it is never shown or changed.")]
    Own,
    #[error("There is no such file or directory.")]
    NotFound,
    #[error("The device's system does not let its agent do that: the agent's user has no right to it.")]
    NoRight,
    /// Something in the question cannot be understood.
    #[error("{why}")]
    Invalid { field: &'static str, why: String },
    /// What is there has no bytes of its own: a directory, a pipe, a device, a window into the kernel.
    #[error("{1}")]
    NoFile(ProblemReason, &'static str),
    /// It does not fit what is there.
    #[error("{1}")]
    Conflict(ProblemReason, String),
    #[error("This has changed on the device since it was read. Nothing was written.")]
    Changed,
    /// Data of an upload that does not continue where it stands.
    #[error("This does not continue the upload: {expected} bytes are on the device. Go on from there.")]
    Offset { expected: u64 },
    #[error("{0}")]
    Full(String),
    #[error("This is larger than a device takes in one upload.")]
    TooLarge { limit: u64 },
    /// Too many of something at once.
    #[error("{1}")]
    Limit(ProblemReason, String),
    #[error("The device's file system failed: {0}")]
    Io(io::Error),
}

impl FilesError {
    /// Which setting of the policy decided, when one did.
    #[must_use]
    pub const fn setting(&self) -> Option<&'static str> {
        match self {
            Self::Off(setting) => Some(setting),
            Self::Outside => Some("ALLOWED_PATHS"),
            Self::Blocked | Self::Own => Some("BLOCKED_PATHS"),
            _ => None,
        }
    }

    pub(super) fn conflict(reason: ProblemReason, message: impl Into<String>) -> Self {
        Self::Conflict(reason, message.into())
    }
}

impl From<Errno> for FilesError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::NotFound,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Self::NoRight,
            Errno::NOTDIR => {
                Self::conflict(ProblemReason::NotADirectory, "A part of this path is not a directory.")
            }
            Errno::ISDIR => Self::conflict(ProblemReason::IsADirectory, "This is a directory."),
            Errno::EXIST => Self::conflict(
                ProblemReason::NameTaken,
                "Something of this name is there already. Nothing was changed.",
            ),
            Errno::NAMETOOLONG => Self::Invalid { field: "path", why: "This name is too long.".into() },
            Errno::NOSPC | Errno::DQUOT => {
                Self::Full("The device's disk is full. What arrived before is kept.".into())
            }
            other => Self::Io(other.into()),
        }
    }
}

impl From<io::Error> for FilesError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => Self::Io(error),
        }
    }
}
