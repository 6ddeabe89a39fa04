//! One entry of the journal as `journalctl --output=json` writes it.

use foreman_protocol::{LogLevel, LogLine};
use serde_json::{Map, Value};

use super::super::{filter::Filter, level, lines::shorten, stream::Item};

/// See the module.
pub(super) struct Entry {
    pub cursor: String,
    fields: Map<String, Value>,
}

impl Entry {
    /// `None` for what is no entry.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_slice(json).ok()?;
        let Some(Value::String(cursor)) = fields.remove("__CURSOR") else { return None };
        // It becomes a header and an argument.
        cursor.bytes().all(|b| b.is_ascii_graphic()).then_some(Self { cursor, fields })
    }

    /// As a line, when it is wanted. Who wrote it is said where there are several who could have.
    pub(super) fn item(&self, filter: &mut Filter, name: bool) -> Option<Item> {
        let text = self.text("MESSAGE").unwrap_or_default();
        let (wanted, level) = filter.judge(&text, self.level(&text));
        if !wanted {
            return None;
        }
        let at = self.text("__REALTIME_TIMESTAMP").and_then(|at| at.parse::<i64>().ok()).map(|at| at / 1000);
        let from = name.then(|| self.from()).flatten();
        let line = LogLine { at, level, from, text: shorten(text, false) };
        Some(Item::Line { line, cursor: cursor(&self.cursor) })
    }

    /// What a service prints has the priority of the pipe; then its own words say more.
    fn level(&self, text: &str) -> Option<LogLevel> {
        let priority = self.text("PRIORITY")?;
        let printed = self.text("_TRANSPORT").is_some_and(|transport| transport == "stdout");
        let own = if printed && priority == "6" { level::of(text) } else { None };
        own.or_else(|| level::priority(&priority))
    }

    fn from(&self) -> Option<String> {
        ["UNIT", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_COMM"].into_iter().find_map(|name| self.text(name))
    }

    /// A field's text: bytes that are no text come as a list of numbers, a field that is there twice as a list.
    fn text(&self, name: &str) -> Option<String> {
        match self.fields.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Array(parts) => Some(list(parts)),
            _ => None,
        }
    }
}

pub(super) fn cursor(own: &str) -> String {
    format!("j:{own}")
}

fn list(parts: &[Value]) -> String {
    let byte = |part: &Value| part.as_u64().and_then(|byte| u8::try_from(byte).ok());
    if let Some(bytes) = parts.iter().map(byte).collect::<Option<Vec<u8>>>() {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    let text = |part: &Value| match part {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(list(parts)),
        _ => None,
    };
    parts.iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> LogLine {
        let entry = Entry::read(json.as_bytes()).unwrap();
        match entry.item(&mut Filter::default(), true) {
            Some(Item::Line { line, cursor }) => {
                assert_eq!(cursor, "j:s=1;i=2");
                line
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_become_lines() {
        let line = line(
            r#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795263631394184","MESSAGE":"hello",
                "PRIORITY":"4","_SYSTEMD_UNIT":"ssh.service","SYSLOG_IDENTIFIER":"sshd"}"#,
        );
        let expected = LogLine {
            at: Some(1_795_263_631_394),
            level: Some(LogLevel::Warn),
            from: Some("ssh.service".into()),
            text: "hello".into(),
        };
        assert_eq!(line, expected);
    }

    #[test]
    fn awkward_messages_are_still_text() {
        let text = |message: &str| line(&format!(r#"{{"__CURSOR":"s=1;i=2","MESSAGE":{message}}}"#)).text;
        assert_eq!(text("[104,105,255]"), "hi\u{fffd}");
        assert_eq!(text(r#"["one","two"]"#), "one\ntwo");
        assert_eq!(text("null"), "");
        assert!(text(&format!("\"{}\"", "x".repeat(20_000))).ends_with('…'));
    }

    #[test]
    fn what_a_service_prints_says_its_level_itself() {
        let level = |message: &str, transport: &str| {
            line(&format!(
                r#"{{"__CURSOR":"s=1;i=2","MESSAGE":"{message}","PRIORITY":"6","_TRANSPORT":"{transport}"}}"#
            ))
            .level
        };
        assert_eq!(level("ERROR no", "stdout"), Some(LogLevel::Error));
        assert_eq!(level("fine", "stdout"), Some(LogLevel::Info));
        assert_eq!(level("ERROR no", "syslog"), Some(LogLevel::Info));
    }

    #[test]
    fn what_is_no_entry_is_left_out() {
        for json in ["", "{", "[]", "{}", r#"{"__CURSOR":1}"#, r#"{"__CURSOR":"a\nb"}"#] {
            assert!(Entry::read(json.as_bytes()).is_none(), "{json}");
        }
    }
}
