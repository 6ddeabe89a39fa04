//! What people and programs read: lines, tables, JSON on standard output; notices on standard error.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use foreman_protocol::Millis;
use serde::Serialize;

/// A line on standard output; whoever closed it has read enough.
pub fn say(line: impl std::fmt::Display) {
    let line = line.to_string();
    let line = if std::io::stdout().is_terminal() { harmless(&line) } else { line };
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Bytes as they are; `false` when nobody reads them any more.
pub fn put(bytes: &[u8]) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}

/// A notice beside the output.
pub fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "foreman: {}", harmless(&line.to_string()));
}

/// What a device or a server says must not steer the terminal that shows it.
pub fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}

pub fn json(value: &impl Serialize) -> Result<()> {
    say(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Columns as wide as they have to be; without a head when a program reads.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) {
    let mut all = Vec::new();
    if std::io::stdout().is_terminal() {
        all.push(head.map(str::to_owned));
    }
    all.extend(rows.iter().map(|row| row.each_ref().map(|cell| harmless(cell))));
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &all {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        say(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// A moment as people in any place can read it: RFC 3339, to the second.
pub fn moment(at: Millis) -> String {
    let since = Duration::from_millis(u64::try_from(at).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since.min(Duration::from_secs(250_000_000_000)))
        .to_string()
}

/// `40 s`, `3 min`, `5 h`, `2 days`.
pub fn ago(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// `1.5 ms`, `40 ms`.
pub fn latency(latency: Duration) -> String {
    let ms = latency.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_cannot_steer_the_terminal() {
        assert_eq!(
            harmless("a\n\tb\x1b]52;c;eA==\x07\u{9b}2J\r"),
            "a\n\tb\u{fffd}]52;c;eA==\u{fffd}\u{fffd}2J\u{fffd}"
        );
    }

    #[test]
    fn moments_and_latencies_are_short() {
        assert_eq!(moment(1_700_000_000_123), "2023-11-14T22:13:20Z");
        assert_eq!(moment(Millis::MAX).len(), 20);
        assert_eq!(latency(Duration::from_micros(1540)), "1.5 ms");
        assert_eq!(latency(Duration::from_millis(40)), "40 ms");
    }
}
