//! Checks each thing that can be wrong with an agent on this machine, and says the remedy.
//!
//! Every check is a line of its own, and one that fails does not keep the next from running, except where
//! the next could only repeat it.

mod device;
mod link;
mod server;

use std::{fmt, path::Path};

use serde::Serialize;

/// The agent that is examined: where its things are and whom it reports to.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub state_dir: &'a Path,
    /// The file with the device's key.
    pub identity: &'a Path,
    /// The file a running agent holds locked.
    pub lock: &'a Path,
    /// The server's address; `None` when this device was never connected.
    pub server: Option<&'a str>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Good,
    /// Works, and may hurt later.
    Doubtful,
    Bad,
}

/// One line of the examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a stable short name for programs.
    pub check: &'static str,
    pub outcome: Outcome,
    /// What was found, for people.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Good, found: found.into(), remedy: None }
    }

    fn doubtful(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Doubtful, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn bad(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Bad, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// All findings in the order they were made. Its text is the terminal's output; serialised it is `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Report(pub Vec<Finding>);

impl Report {
    /// Whether the agent cannot work like this: the exit code is then 1.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.0.iter().any(|finding| finding.outcome == Outcome::Bad)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            let mark = match finding.outcome {
                Outcome::Good => '✓',
                Outcome::Doubtful => '!',
                Outcome::Bad => '✗',
            };
            writeln!(f, "{mark} {}", finding.found)?;
            if let Some(remedy) = &finding.remedy {
                writeln!(f, "  → {remedy}")?;
            }
        }
        let count = |outcome| self.0.iter().filter(|finding| finding.outcome == outcome).count();
        match (count(Outcome::Bad), count(Outcome::Doubtful)) {
            (0, 0) => write!(f, "\nEverything is in order."),
            (0, doubtful) => write!(f, "\nIt works; {doubtful} to look at."),
            (bad, doubtful) => write!(f, "\n{bad} to mend, {doubtful} to look at."),
        }
    }
}

/// Runs every check. `bearer` proves this device to its server the way the running agent does, and says so
/// or why not.
pub async fn examine(subject: Subject<'_>, bearer: impl AsyncFnOnce() -> anyhow::Result<()>) -> Report {
    let mut findings = device::examine(subject).await;
    findings.extend(link::examine(subject.state_dir).await);
    match subject.server {
        Some(address) => findings.extend(server::examine(address, bearer).await),
        None => findings.push(Finding::bad(
            "server",
            "This device was never connected to a server",
            "Add it in the dashboard under Devices and run the command shown there",
        )),
    }
    Report(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_a_mark_for_each_outcome_and_a_sum() {
        let report = Report(vec![
            Finding::good("a", "Fine"),
            Finding::doubtful("b", "Hm", "Look"),
            Finding::bad("c", "Broken", "Mend"),
        ]);
        assert_eq!(
            report.to_string(),
            "✓ Fine\n! Hm\n  → Look\n✗ Broken\n  → Mend\n\n1 to mend, 1 to look at."
        );
        assert!(report.is_bad());
        assert!(!Report(vec![Finding::doubtful("b", "Hm", "Look")]).is_bad());
    }

    #[test]
    fn the_json_is_a_list_with_stable_names() {
        let json = serde_json::to_value(Report(vec![Finding::bad("server", "Gone", "Wait")])).unwrap();
        assert_eq!(
            json,
            serde_json::json!([{"check": "server", "outcome": "bad", "found": "Gone", "remedy": "Wait"}])
        );
    }
}
