//! How bad a line is, by its own words: JSON, `key=value`, kernel prefixes, and the words programs begin lines with.
//!
//! A guess for colours and filters. It says nothing rather than something doubtful: a word in the middle of a
//! sentence is no level.

use std::borrow::Cow;

use foreman_protocol::LogLevel;
use serde_json::Value;

const KEYS: [&str; 7] = ["level", "severity", "lvl", "log.level", "levelname", "loglevel", "log_level"];
/// So far into a line a level is looked for, in bytes and in words.
const BYTES: usize = 256;
const WORDS: usize = 7;

/// The level a line names; `None` when it names none.
pub(super) fn of(text: &str) -> Option<LogLevel> {
    let text = plain(text);
    let text = text.trim_start();
    if text.starts_with('{') {
        return json(text);
    }
    if let Some(level) =
        text.strip_prefix('<').and_then(|rest| rest.split_once('>')).and_then(|(n, _)| priority(n))
    {
        return Some(level);
    }
    let start = &text[..text.floor_char_boundary(BYTES)];
    for failure in ["Traceback (most recent call last)", "panic: ", "fatal error: ", "Exception in thread "] {
        if start.starts_with(failure) {
            return Some(LogLevel::Error);
        }
    }
    let words = || start.split_ascii_whitespace();
    words()
        .find_map(|word| {
            let (key, value) = word.split_once('=')?;
            KEYS.contains(&key).then(|| named(value.trim_matches('"')))?
        })
        .or_else(|| klog(start))
        .or_else(|| words().take(WORDS).find_map(word))
}

/// By the numbers of syslog: 0 is the worst, 7 is for debugging.
pub(super) fn priority(number: &str) -> Option<LogLevel> {
    match number {
        "0" | "1" | "2" | "3" => Some(LogLevel::Error),
        "4" => Some(LogLevel::Warn),
        "5" | "6" => Some(LogLevel::Info),
        "7" => Some(LogLevel::Debug),
        _ => None,
    }
}

/// The text without what colours it and moves the cursor.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    let mut left = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            left.push(c);
            continue;
        }
        match chars.next() {
            // A control sequence ends with its first letter, a title with a bell or `ESC \`.
            Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            Some(']') => {
                while let Some(c) = chars.next() {
                    if c == '\u{7}' || (c == '\u{1b}' && chars.next().is_some()) {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    Cow::Owned(left)
}

fn json(text: &str) -> Option<LogLevel> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return None };
    let nested = fields.get("log").and_then(|log| log.get("level"));
    let value = KEYS.iter().find_map(|key| fields.get(*key)).or(nested)?;
    match value {
        Value::String(name) => named(name).or_else(|| priority(name)),
        // Bunyan and pino count in tens, syslog from 0 to 7.
        Value::Number(number) => match number.as_u64()? {
            n @ 0..=7 => priority(&n.to_string()),
            8..=19 => Some(LogLevel::Trace),
            20..=29 => Some(LogLevel::Debug),
            30..=39 => Some(LogLevel::Info),
            40..=49 => Some(LogLevel::Warn),
            50..=69 => Some(LogLevel::Error),
            _ => None,
        },
        _ => None,
    }
}

/// `E0102 15:04:05.678901    1 file.go:42] …`
fn klog(text: &str) -> Option<LogLevel> {
    let (first, rest) = text.split_once(' ')?;
    let letter = *first.as_bytes().first()?;
    let digits = first.len() == 5 && first.bytes().skip(1).all(|b| b.is_ascii_digit());
    let time = rest.trim_start().as_bytes();
    if !digits || time.get(2) != Some(&b':') || !time[..2].iter().all(u8::is_ascii_digit) {
        return None;
    }
    match letter {
        b'I' => Some(LogLevel::Info),
        b'W' => Some(LogLevel::Warn),
        b'E' | b'F' => Some(LogLevel::Error),
        _ => None,
    }
}

/// A word counts in capitals, in brackets, or before a colon.
fn word(word: &str) -> Option<LogLevel> {
    let name = word.trim_start_matches(['[', '(', '<', '|', '*']);
    let length = name.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(name.len());
    let (name, after) = name.split_at(length);
    let capitals = name.bytes().all(|b| b.is_ascii_uppercase());
    let bracketed = word.starts_with(['[', '(', '<', '|']) && after.starts_with([']', ')', '>', '|', ':']);
    let alone = after.is_empty() || after.starts_with([']', ')', '>', '|', ':', '!', '*', ',', '[']);
    let colon = after.starts_with(':') && !after.starts_with("::") && !after.starts_with(":/");
    ((capitals && alone && !after.starts_with("::")) || bracketed || colon).then(|| named(name))?
}

fn named(name: &str) -> Option<LogLevel> {
    let level = match name.to_ascii_lowercase().as_str() {
        "trace" | "trce" | "trc" | "verbose" | "finest" | "finer" => LogLevel::Trace,
        "debug" | "dbug" | "dbg" | "fine" => LogLevel::Debug,
        "info" | "inf" | "information" | "informational" | "notice" | "log" | "default" => LogLevel::Info,
        "warn" | "warning" | "wrn" => LogLevel::Warn,
        "error" | "err" | "eror" | "fatal" | "fail" | "crit" | "critical" | "alert" | "emerg"
        | "emergency" | "panic" | "severe" | "dpanic" | "ftl" => LogLevel::Error,
        _ => return None,
    };
    Some(level)
}

#[cfg(test)]
mod tests {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_many_programs_are_understood() {
        let table: &[(&str, Option<LogLevel>)] = &[
            (r#"{"level":"warn","msg":"x"}"#, Some(Warn)),
            (r#"{"severity":"ERROR","message":"x"}"#, Some(Error)),
            (r#"{"level":50,"msg":"pino"}"#, Some(Error)),
            (r#"{"level":10,"msg":"pino"}"#, Some(Trace)),
            (r#"{"log":{"level":"debug"}}"#, Some(Debug)),
            (r#"{"msg":"ERROR in here is not the level"}"#, None),
            (r#"{"level":"#, None),
            ("time=2026-11-21T10:00:00Z level=error msg=\"no\"", Some(Error)),
            ("ts=1 lvl=\"info\" caller=main.go", Some(Info)),
            ("ERROR something", Some(Error)),
            ("[error] something", Some(Error)),
            ("[ WARN ] spaced", Some(Warn)),
            ("error: cannot find crate", Some(Error)),
            ("error[E0433]: failed to resolve", None),
            ("warning: unused variable", Some(Warn)),
            ("E0102 15:04:05.678901       1 controller.go:42] failed", Some(Error)),
            ("I1121 10:00:00.000000       1 main.go:1] up", Some(Info)),
            ("E0000 is a part number", None),
            ("2026-11-21T10:00:00.123456Z  WARN foreman: slow", Some(Warn)),
            ("2026-11-21 10:00:00,123 - app.module - CRITICAL - x", Some(Error)),
            ("2026/11/21 10:00:00 [error] 123#0: *1 open() failed", Some(Error)),
            ("[2026-11-21T10:00:00Z DEBUG app] x", Some(Debug)),
            ("INFO:     127.0.0.1:5000 - \"GET / HTTP/1.1\" 200", Some(Info)),
            ("WARNING:root:python", Some(Warn)),
            ("2026-11-21 10:00:00.000 UTC [77] LOG:  database system is ready", Some(Info)),
            ("2026-11-21 10:00:00.000 UTC [77] FATAL:  no", Some(Error)),
            ("npm ERR! code ENOENT", Some(Error)),
            ("<3>a service's own prefix", Some(Error)),
            ("<6>fine", Some(Info)),
            ("\u{1b}[31mERROR\u{1b}[0m in red", Some(Error)),
            ("\u{1b}[2m2026-11-21T10:00:00Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m app: x", Some(Info)),
            ("Traceback (most recent call last):", Some(Error)),
            ("there was an error in the middle", None),
            ("no warnings today", None),
            ("GET /error 200", None),
            ("info::module is a path", None),
            ("fine weather", None),
            ("", None),
        ];
        for (text, level) in table {
            assert_eq!(of(text), *level, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,300}", escaped in "[\u{1b}\\[\\]{}<>=:a-zA-Z0-9;\u{7} ü]{0,300}") {
            of(&text);
            of(&escaped);
        }
    }
}
