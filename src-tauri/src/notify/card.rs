//! What a notification says.

use foreman_client::app::notices::{self, Notice, NoticeKind, Said, Subject, Words};

use super::Act;

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
    let Said { title, body, stays } = notice.said(words, server);
    let mut acts = open(words);
    match (notice.kind, notice.subject) {
        (NoticeKind::TaskStarted, _) => acts.push((Act::StopTask, words.say("notice_stop", &[]))),
        (_, Subject::Reach(_) | Subject::GpuMemory(_)) => {
            acts.push((Act::MuteDevice, words.say("notice_mute", &[])));
        }
        _ => {}
    }
    Card { title, body, acts, stays }
}

/// About many things at once.
pub fn of_many(words: Words, server: &str, count: usize) -> Card {
    let Said { title, body, stays } = notices::many(words, server, count);
    Card { title, body, acts: open(words), stays }
}

/// To see whether they arrive.
pub fn of_test(words: Words) -> Card {
    let Said { title, body, stays } = notices::test(words);
    Card { title, body, acts: open(words), stays }
}

fn open(words: Words) -> Vec<(Act, String)> {
    vec![(Act::Open, words.say("notice_open", &[]))]
}
