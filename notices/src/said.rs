//! What a notification says.

use foreman_protocol::PushDetail;

use super::{Notice, NoticeKind, Outcome, Words};

/// A notification in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub title: String,
    /// May be empty.
    pub body: String,
    /// Stays until somebody looks.
    pub stays: bool,
}

impl Notice {
    /// `server` stands for a device whose name is not known.
    #[must_use]
    pub fn said(&self, words: Words, server: &str) -> Said {
        let device = if self.device.is_empty() { server } else { &self.device };
        let key = match (self.kind, self.outcome) {
            (NoticeKind::Offline, _) => "notice_offline_title",
            (NoticeKind::Online, _) => "notice_online_title",
            (NoticeKind::GpuMemory, _) => "notice_gpu_title",
            (NoticeKind::TaskStarted, _) => "notice_started_title",
            (NoticeKind::TaskFinished, Some(Outcome::Stopped)) => "notice_stopped_title",
            (NoticeKind::TaskFinished, _) => "notice_finished_title",
            (NoticeKind::TaskFailed, Some(Outcome::Lost)) => "notice_lost_title",
            (NoticeKind::TaskFailed, Some(Outcome::Refused)) => "notice_refused_title",
            (NoticeKind::TaskFailed, _) => "notice_failed_title",
        };
        Said { title: words.say(key, &[("device", device)]), body: self.body(words), stays: self.stays() }
    }

    /// As much of it as may be said on a way that others see.
    #[must_use]
    pub fn said_in(&self, words: Words, server: &str, detail: PushDetail) -> Said {
        let whole = self.said(words, server);
        match detail {
            PushDetail::Full => whole,
            PushDetail::Title => Said { body: String::new(), ..whole },
            PushDetail::Little => Said { stays: whole.stays, ..something(words) },
        }
    }

    /// What needs somebody stays until they come.
    #[must_use]
    pub const fn stays(&self) -> bool {
        matches!(self.kind, NoticeKind::Offline | NoticeKind::TaskFailed | NoticeKind::GpuMemory)
    }

    fn body(&self, words: Words) -> String {
        let how = match self.outcome {
            Some(Outcome::Exit(code)) => Some(words.say("notice_exit", &[("code", &code.to_string())])),
            Some(Outcome::Signal(signal)) => {
                Some(words.say("notice_signal", &[("signal", &signal.to_string())]))
            }
            _ => None,
        };
        match (self.kind, &self.command) {
            (NoticeKind::Offline, _) => words.say("notice_offline_body", &[]),
            (NoticeKind::Online, _) => words.say("notice_online_body", &[]),
            (NoticeKind::GpuMemory, _) => words.say("notice_gpu_body", &[]),
            (_, Some(command)) => match how {
                Some(how) => format!("{command}\n{how}"),
                None => command.clone(),
            },
            (_, None) => how.unwrap_or_default(),
        }
    }
}

/// About many things at once.
#[must_use]
pub fn many(words: Words, server: &str, count: usize) -> Said {
    Said {
        title: words.say("notice_many_title", &[("count", &count.to_string())]),
        body: words.say("notice_many_body", &[("server", server)]),
        stays: true,
    }
}

/// That there is something, and not what.
#[must_use]
pub fn something(words: Words) -> Said {
    Said {
        title: words.say("notice_something_title", &[]),
        body: words.say("notice_something_body", &[]),
        stays: true,
    }
}

/// In place of what holds no longer, where it cannot be taken away.
#[must_use]
pub fn settled(words: Words) -> Said {
    Said {
        title: words.say("notice_settled_title", &[]),
        body: words.say("notice_settled_body", &[]),
        stays: false,
    }
}

/// To see whether they arrive.
#[must_use]
pub fn test(words: Words) -> Said {
    Said {
        title: words.say("notice_test_title", &[]),
        body: words.say("notice_test_body", &[]),
        stays: false,
    }
}
