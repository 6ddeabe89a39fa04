//! What a notification says.

use foreman_client::app::notices::{Notice, NoticeKind, Outcome, Subject};

use super::Act;
use crate::words::Words;

/// A notification as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    pub title: String,
    pub body: String,
    /// The first is what a press on the whole does.
    pub acts: Vec<(Act, String)>,
    /// Stays until somebody looks.
    pub stays: bool,
}

/// About one thing.
pub fn of(words: Words, server: &str, notice: &Notice) -> Card {
    let device = if notice.device.is_empty() { server } else { &notice.device };
    let key = match (notice.kind, notice.outcome) {
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
    let mut acts = vec![(Act::Open, words.say("notice_open", &[]))];
    match (notice.kind, notice.subject) {
        (NoticeKind::TaskStarted, _) => acts.push((Act::StopTask, words.say("notice_stop", &[]))),
        (_, Subject::Reach(_) | Subject::GpuMemory(_)) => {
            acts.push((Act::MuteDevice, words.say("notice_mute", &[])));
        }
        _ => {}
    }
    let stays = matches!(notice.kind, NoticeKind::Offline | NoticeKind::TaskFailed | NoticeKind::GpuMemory);
    Card { title: words.say(key, &[("device", device)]), body: body(words, notice), acts, stays }
}

fn body(words: Words, notice: &Notice) -> String {
    let how = match notice.outcome {
        Some(Outcome::Exit(code)) => Some(words.say("notice_exit", &[("code", &code.to_string())])),
        Some(Outcome::Signal(signal)) => Some(words.say("notice_signal", &[("signal", &signal.to_string())])),
        _ => None,
    };
    match (notice.kind, &notice.command) {
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

/// About many things at once.
pub fn of_many(words: Words, server: &str, count: usize) -> Card {
    Card {
        title: words.say("notice_many_title", &[("count", &count.to_string())]),
        body: words.say("notice_many_body", &[("server", server)]),
        acts: vec![(Act::Open, words.say("notice_open", &[]))],
        stays: true,
    }
}

/// To see whether they arrive.
pub fn of_test(words: Words) -> Card {
    Card {
        title: words.say("notice_test_title", &[]),
        body: words.say("notice_test_body", &[]),
        acts: vec![(Act::Open, words.say("notice_open", &[]))],
        stays: false,
    }
}
