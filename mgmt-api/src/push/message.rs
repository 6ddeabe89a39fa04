//! What one push says, before it is known who carries it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use foreman_notices::{self as notices, Notice, Said, Subject, Word, Words};
use foreman_protocol::{PushDetail, PushReceiverId};
use sha2::{Digest, Sha256};

/// What needs somebody is worth telling for a day …
const DAY_S: u32 = 86_400;
/// … the rest for some hours.
const HOURS_S: u32 = 4 * 3_600;
const MINUTE_S: u32 = 60;
/// Bytes of a title and of a body.
const LONGEST_TITLE: usize = 200;
const LONGEST_BODY: usize = 800;

/// One push.
#[derive(Debug, Clone)]
pub struct Message {
    pub title: String,
    /// May be empty.
    pub body: String,
    /// A newer one with the same tag takes its place. 32 characters of base64url that say nothing.
    pub tag: String,
    /// What it is about, as the app writes it, which shows it in the place of its own word.
    pub subject: String,
    /// A page of the dashboard.
    pub page: String,
    /// The same with this server's address.
    pub url: String,
    /// Needs somebody.
    pub urgent: bool,
    /// What was told under this tag holds no longer: without a sound, or taken away where that can be done.
    pub over: bool,
    /// Worth nothing after so many seconds.
    pub ttl_s: u32,
}

/// What is the same for every push to one receiver.
pub struct Voice<'a> {
    pub receiver: PushReceiverId,
    pub words: Words,
    pub detail: PushDetail,
    pub public_url: &'a str,
}

impl Voice<'_> {
    pub fn word(&self, subject: Subject, word: &Word) -> Message {
        let host = self.public_url.split("://").nth(1).unwrap_or("Foreman");
        let said = |notice: &Notice| notice.said_in(self.words, host, self.detail);
        match word {
            Word::Tell(notice) => self.message(subject, said(notice), notice.stays(), false),
            Word::TakeBack(Some(notice)) if self.detail != PushDetail::Little => {
                self.message(subject, said(notice), false, true)
            }
            Word::TakeBack(_) => self.message(subject, notices::settled(self.words), false, true),
        }
    }

    pub fn many(&self, count: usize) -> Message {
        let said = match self.detail {
            PushDetail::Little => notices::something(self.words),
            _ => notices::many(self.words, "Foreman", count),
        };
        self.message(Subject::Many, said, true, false)
    }

    pub fn test(&self) -> Message {
        let message = self.message(Subject::Many, notices::test(self.words), false, false);
        let subject = "test".to_owned();
        Message {
            tag: self.tag(&subject),
            subject,
            page: "/settings/notifications".into(),
            ttl_s: MINUTE_S,
            ..message
        }
    }

    fn message(&self, subject: Subject, said: Said, urgent: bool, over: bool) -> Message {
        let page = subject.page();
        let subject = subject.to_string();
        Message {
            title: cut(said.title, LONGEST_TITLE),
            body: cut(said.body, LONGEST_BODY),
            tag: self.tag(&subject),
            subject,
            url: format!("{}{page}", self.public_url),
            page,
            urgent,
            over,
            ttl_s: if urgent || over { DAY_S } else { HOURS_S },
        }
    }

    fn tag(&self, subject: &str) -> String {
        let digest = Sha256::digest(format!("{} {subject}", self.receiver));
        URL_SAFE_NO_PAD.encode(&digest[..24])
    }
}

fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}
