//! The result: one line for each measure, with what it was compared to and whether the target is met.

use std::fmt;

/// What a measure should be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn met(self, value: f64) -> bool {
        match self {
            Target::AtLeast(limit) => value >= limit,
            Target::AtMost(limit) => value <= limit,
        }
    }

    /// How much is missing, as a part of the target.
    fn missing(self, value: f64) -> f64 {
        match self {
            Target::AtLeast(limit) => (limit - value) / limit,
            Target::AtMost(limit) => (value - limit) / limit,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtLeast(limit) => write!(f, "≥ {limit}"),
            Target::AtMost(limit) => write!(f, "≤ {limit}"),
        }
    }
}

struct Row {
    measure: String,
    unit: &'static str,
    ours: f64,
    floor: Option<f64>,
    /// Of the ratio to the floor, or of the value itself where there is no floor.
    target: Option<Target>,
}

#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    skipped: Vec<String>,
}

impl Table {
    /// A measure whose ratio to a floor has a target.
    pub fn ratio(
        &mut self,
        measure: impl Into<String>,
        unit: &'static str,
        ours: f64,
        floor: f64,
        target: Target,
    ) {
        self.rows.push(Row { measure: measure.into(), unit, ours, floor: Some(floor), target: Some(target) });
    }

    /// A measure with a target of its own.
    pub fn value(&mut self, measure: impl Into<String>, unit: &'static str, ours: f64, target: Target) {
        self.rows.push(Row { measure: measure.into(), unit, ours, floor: None, target: Some(target) });
    }

    /// A measure that is only told.
    pub fn told(&mut self, measure: impl Into<String>, unit: &'static str, ours: f64, floor: Option<f64>) {
        self.rows.push(Row { measure: measure.into(), unit, ours, floor, target: None });
    }

    /// Something that could not be measured here, and why.
    pub fn skipped(&mut self, what: &str, why: impl fmt::Display) {
        let line = format!("SKIPPED: {what}: {why}");
        eprintln!("{line}");
        self.skipped.push(line);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<52} {:>12} {:>12} {:>8}  {:<8} result",
            "measure", "ours", "floor", "ratio", "target"
        )?;
        for row in &self.rows {
            let ratio = row.floor.map(|floor| row.ours / floor);
            let compared = ratio.unwrap_or(row.ours);
            let result = match row.target {
                None => String::new(),
                Some(target) if target.met(compared) => "met".to_owned(),
                Some(target) => format!("missed by {:.0} %", target.missing(compared) * 100.0),
            };
            let dash = || "—".to_owned();
            writeln!(
                f,
                "{:<52} {:>12} {:>12} {:>8}  {:<8} {result}",
                format!("{} ({})", row.measure, row.unit),
                number(row.ours),
                row.floor.map_or_else(dash, number),
                ratio.map_or_else(dash, |ratio| format!("{ratio:.2}×")),
                row.target.map_or_else(dash, |target| target.to_string()),
            )?;
        }
        self.skipped.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_says_by_how_much() {
        let mut table = Table::default();
        table.ratio("a", "x/s", 50.0, 100.0, Target::AtLeast(0.7));
        table.ratio("b", "x/s", 80.0, 100.0, Target::AtLeast(0.7));
        table.value("c", "KB", 48.0, Target::AtMost(32.0));
        let text = table.to_string();
        assert!(text.contains("0.50×") && text.contains("missed by 29 %"), "{text}");
        assert!(text.contains("0.80×") && text.lines().nth(2).unwrap().ends_with("met"), "{text}");
        assert!(text.contains("missed by 50 %"), "{text}");
    }
}
