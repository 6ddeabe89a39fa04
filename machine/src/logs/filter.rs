//! Which lines are wanted: those that hold a pattern and are bad enough.

use foreman_protocol::LogLevel;
use regex::{Regex, RegexBuilder};

use super::{OpenError, level};

/// The longest pattern in bytes, and what it may take in memory once compiled.
const LONGEST_PATTERN: usize = 1024;
const MOST_MEMORY: usize = 1 << 20;

/// Decides line by line. Lines have to come in order: an indented one belongs to the one before.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    pattern: Option<Regex>,
    least: Option<LogLevel>,
    /// The level of the last line that had one.
    before: Option<LogLevel>,
}

impl Filter {
    /// A pattern all in lower case means capitals too.
    pub(super) fn new(grep: Option<&str>, least: Option<LogLevel>) -> Result<Self, OpenError> {
        let pattern = grep.filter(|grep| !grep.is_empty()).map(compile).transpose()?;
        Ok(Self { pattern, least, before: None })
    }

    /// Whether every line is wanted.
    pub(super) const fn is_open(&self) -> bool {
        self.pattern.is_none() && self.least.is_none()
    }

    /// Whether the line is wanted, and its level: the one its source says, or else the one it names itself.
    pub(super) fn judge(&mut self, text: &str, said: Option<LogLevel>) -> (bool, Option<LogLevel>) {
        let level = said.or_else(|| level::of(text));
        let continues = level.is_none() && text.starts_with([' ', '\t']);
        if !continues {
            self.before = level;
        }
        let bad_enough = self.least.is_none_or(|least| self.before.is_some_and(|level| level >= least));
        let wanted =
            bad_enough && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&level::plain(text)));
        (wanted, level)
    }
}

fn compile(pattern: &str) -> Result<Regex, OpenError> {
    let invalid = |message: String| OpenError::Invalid { field: "grep", message };
    if pattern.len() > LONGEST_PATTERN {
        return Err(invalid(format!("The pattern is longer than {LONGEST_PATTERN} bytes.")));
    }
    RegexBuilder::new(pattern)
        .case_insensitive(!has_capitals(pattern))
        .size_limit(MOST_MEMORY)
        .dfa_size_limit(MOST_MEMORY)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => invalid("The pattern is too large.".to_owned()),
            error => invalid(format!("The pattern is not a regular expression: {error}")),
        })
}

/// Capitals behind a backslash are classes (`\W`) and say nothing of the case that is meant.
fn has_capitals(pattern: &str) -> bool {
    let mut escaped = false;
    pattern.chars().any(|c| {
        let counts = !escaped && c.is_uppercase();
        escaped = !escaped && c == '\\';
        counts
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(grep: Option<&str>, least: Option<LogLevel>, lines: &[&str]) -> Vec<usize> {
        let mut filter = Filter::new(grep, least).unwrap();
        let judged = lines.iter().enumerate().filter(|(_, line)| filter.judge(line, None).0);
        judged.map(|(index, _)| index).collect()
    }

    #[test]
    fn a_pattern_in_lower_case_means_both() {
        let lines = ["An Error", "an error", "\u{1b}[31man er\u{1b}[0mror", "fine"];
        assert_eq!(wanted(Some("error"), None, &lines), [0, 1, 2]);
        assert_eq!(wanted(Some("Error"), None, &lines), [0]);
        assert_eq!(wanted(Some("^an\\Werror$"), None, &lines), [0, 1, 2]);
        assert_eq!(wanted(Some(""), None, &lines).len(), 4);
    }

    #[test]
    fn what_is_indented_belongs_to_the_line_before() {
        let lines = ["INFO a", "  more", "ERROR b", "\tat c", "plain", "  of plain", "WARN d"];
        assert_eq!(wanted(None, Some(LogLevel::Warn), &lines), [2, 3, 6]);
    }

    #[test]
    fn a_pattern_that_is_none_or_too_large_is_refused() {
        let huge = "x".repeat(2000);
        for pattern in ["(", "(a{500}){500}", huge.as_str()] {
            assert!(
                matches!(Filter::new(Some(pattern), None), Err(OpenError::Invalid { field: "grep", .. })),
                "{pattern:.20}"
            );
        }
    }
}
