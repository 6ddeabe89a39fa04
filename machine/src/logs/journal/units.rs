//! Which units there are, and whether the journal can be read at all.

use std::{collections::BTreeMap, time::Duration};

use foreman_protocol::{LogKind, LogReason, LogSource};

use super::{
    super::{
        Why,
        program::{Said, ask},
    },
    PROGRAM,
};
use crate::probe::Places;

/// Each program may take this long to list what it knows.
const LIMIT: Duration = Duration::from_secs(3);
const MOST_UNITS: usize = 1_000;
/// Whose members may read all of the journal.
pub(super) const GROUP: &str = "systemd-journal";

/// Whether there is anything to read.
///
/// # Errors
/// The reason, in a few words for people.
async fn check(places: &Places) -> Result<(), Why> {
    let said = ask(places, PROGRAM, &["--lines=1", "--quiet", "--no-pager", "--output=cat"], LIMIT).await?;
    if said.complaint.contains("insufficient permissions") {
        return Err(Why::no_right(GROUP));
    }
    if !said.success {
        let nothing_said = said.complaint.is_empty();
        return Err(if nothing_said {
            Why::new(LogReason::NoAnswer, "it cannot be read")
        } else {
            Why::said(said.complaint)
        });
    }
    if said.text.is_empty() {
        return Err(Why::new(LogReason::NothingWritten, "nothing is written to it"));
    }
    Ok(())
}

/// The whole journal and each unit that is known or has written.
///
/// # Errors
/// The reason why the journal cannot be read, in a few words for people.
pub(in crate::logs) async fn list(places: &Places) -> Result<Vec<LogSource>, Why> {
    if places.find(PROGRAM).is_none() {
        return Err(Why::not_installed());
    }
    let listing = [
        "list-units",
        "--all",
        "--full",
        "--plain",
        "--no-legend",
        "--no-pager",
        "--type=service,socket,timer,mount,scope",
    ];
    let (checked, known, written) = tokio::join!(
        check(places),
        ask(places, "systemctl", &listing, LIMIT),
        ask(places, PROGRAM, &["--field=_SYSTEMD_UNIT", "--quiet", "--no-pager"], LIMIT)
    );
    checked?;
    let text = |said: Result<Said, Why>| said.map_or(String::new(), |said| said.text);
    let mut units: BTreeMap<String, (String, bool)> =
        text(written).lines().map(|unit| (unit.trim().to_owned(), (String::new(), false))).collect();
    for line in text(known).lines() {
        if let Some((unit, described, active)) = unit(line)
            && (active || units.contains_key(&unit))
        {
            units.insert(unit, (described, active));
        }
    }
    let whole = LogSource {
        id: "journal".to_owned(),
        kind: LogKind::Journal,
        name: "System journal".to_owned(),
        active: true,
    };
    let sources = units.into_iter().filter(|(unit, _)| is_name(unit)).take(MOST_UNITS).map(
        |(unit, (described, active))| LogSource {
            id: format!("journal:{unit}"),
            kind: LogKind::Journal,
            name: if described.is_empty() { unit } else { described },
            active,
        },
    );
    Ok(std::iter::once(whole).chain(sources).collect())
}

/// Whether this can be a unit: so no option, no pattern.
pub(super) fn is_name(unit: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    !unit.is_empty() && unit.len() < 256 && !unit.starts_with('-') && unit.bytes().all(allowed)
}

/// `ssh.service loaded active running OpenBSD Secure Shell server`
fn unit(line: &str) -> Option<(String, String, bool)> {
    let mut words = line.split_ascii_whitespace();
    let (unit, _loaded, active, _sub) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let described: Vec<_> = words.collect();
    let active = matches!(active, "active" | "activating" | "reloading");
    Some((unit.to_owned(), described.join(" "), active))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_units_is_read() {
        let line = "ssh.service   loaded active   running OpenBSD Secure Shell server";
        assert_eq!(unit(line), Some(("ssh.service".into(), "OpenBSD Secure Shell server".into(), true)));
        assert_eq!(unit("a.service loaded failed failed A").map(|unit| unit.2), Some(false));
        assert_eq!(unit("half a line"), None);
    }

    #[test]
    fn only_names_are_names() {
        assert!(is_name("getty@tty1.service") && is_name("dev-disk-by\\x2duuid.device"));
        for name in ["", "--flush", "*", "a b", "a;b", "ü"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
