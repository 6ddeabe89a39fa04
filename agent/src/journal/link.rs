//! What the journal keeps of the device link: revocations for good, and what happened until the server knows it.
//!
//! Whoever hands a revocation over has checked its signature; here is only that it is not forgotten.

use anyhow::Context;
use foreman_link::grant::read_revocation;
use foreman_machine::run::Moment;
use foreman_protocol::{LinkReport, LinkReportId, LinkUse};
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::{Effect, Journal, LINK_REPORTS, REVOCATIONS};

/// Reports beyond this many push out the oldest: a server that is away for long cannot fill the disk.
const MOST_REPORTS: u64 = 10_000;
/// Who brought what came as a command.
const BY_THE_SERVER: &str = "server";

impl Journal {
    /// Every revocation ever taken, as signed text.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn revocations(&self) -> anyhow::Result<Vec<String>> {
        self.with(|db| {
            let mut all = Vec::new();
            for entry in db.begin_read()?.open_table(REVOCATIONS)?.iter()? {
                all.push(entry?.0.value().to_owned());
            }
            Ok(all)
        })
    }

    /// Writes down for good that an owner took something back, and what is to be told of that; nothing when it is
    /// written down already.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn keep_revocation(
        &self,
        revocation: &str,
        by: &str,
        now: &Moment,
    ) -> anyhow::Result<Option<LinkReport>> {
        self.write(|write| keep_revocation(write, revocation, by, now))
    }

    /// Writes down what happened on the link, to be told until the server has it.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn keep_link_reports(&self, reports: &[LinkReport]) -> anyhow::Result<()> {
        self.write(|write| {
            let mut kept = write.open_table(LINK_REPORTS)?;
            for report in reports {
                kept.insert(report.id.to_string().as_str(), serde_json::to_vec(report)?.as_slice())?;
            }
            // Ids sort by the time they were made, so the first are the oldest.
            while kept.len()? > MOST_REPORTS {
                kept.pop_first()?;
            }
            Ok(())
        })
    }

    /// What the server does not know yet, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn link_reports(&self) -> anyhow::Result<Vec<LinkReport>> {
        self.with(|db| {
            let mut all = Vec::new();
            for entry in db.begin_read()?.open_table(LINK_REPORTS)?.iter()? {
                let (_, report) = entry?;
                all.push(
                    serde_json::from_slice(report.value()).context("a row of the journal cannot be read")?,
                );
            }
            Ok(all)
        })
    }

    /// The server knows these.
    ///
    /// # Errors
    /// When nothing could be written.
    pub fn link_reports_told(&self, ids: &[LinkReportId]) -> anyhow::Result<()> {
        self.write(|write| {
            let mut kept = write.open_table(LINK_REPORTS)?;
            for id in ids {
                kept.remove(id.to_string().as_str())?;
            }
            Ok(())
        })
    }
}

/// What a server brought.
pub(super) fn revoke(
    write: &WriteTransaction,
    revocation: &str,
    now: &Moment,
) -> anyhow::Result<Option<Effect>> {
    let report = keep_revocation(write, revocation, BY_THE_SERVER, now)?;
    Ok(Some(Effect::Revoke { revocation: revocation.to_owned(), report }))
}

/// One step, so that the server hears of whatever holds.
fn keep_revocation(
    write: &WriteTransaction,
    revocation: &str,
    by: &str,
    now: &Moment,
) -> anyhow::Result<Option<LinkReport>> {
    let known = write.open_table(REVOCATIONS)?.insert(revocation, now.wall_ms)?.is_some();
    let Some(read) = read_revocation(revocation).ok().filter(|_| !known) else { return Ok(None) };
    let what = LinkUse::TakenBack { revoked: read.revokes, by: by.to_owned() };
    let report = LinkReport { id: LinkReportId::fresh(), at: now.wall_ms, what };
    let mut kept = write.open_table(LINK_REPORTS)?;
    kept.insert(report.id.to_string().as_str(), serde_json::to_vec(&report)?.as_slice())?;
    Ok(Some(report))
}

#[cfg(test)]
mod tests {
    use foreman_link::grant::{Issuer, sign_revocation};
    use foreman_protocol::{
        Command, CommandAction, CommandId, DeviceId, GrantId, RefusedBecause, Revocation, Revoked,
    };

    use super::*;

    fn report(count: u32) -> LinkReport {
        let what = LinkUse::Refused { from: "192.0.2.7".to_owned(), reason: RefusedBecause::Expired, count };
        LinkReport { id: LinkReportId::fresh(), at: 5, what }
    }

    #[test]
    fn what_was_taken_back_stays_so_for_this_device_and_the_command_asks_once() {
        let dir = tempfile::tempdir().unwrap();
        let (path, device) = (dir.path().join("journal.redb"), DeviceId::fresh());
        let journal = Journal::open(&path, device).unwrap();
        let owner = Issuer::generate();
        let revokes = Revoked::Grant(GrantId::fresh());
        let revocation =
            Revocation { device: owner.public(), revokes: revokes.clone(), at: 5, issuer: owner.public() };
        let signed = sign_revocation(&revocation, &owner);
        let action = CommandAction::Revoke { revocation: signed.clone() };
        let command = Command { id: CommandId::fresh(), seq: 1, action };
        let effects = journal.take(&[Ok(command.clone()), Ok(command)], 9, &[]).unwrap();
        let [Effect::Revoke { revocation, report: Some(report) }] = effects.as_slice() else {
            panic!("{effects:?}")
        };
        assert_eq!(revocation, &signed);
        assert_eq!(report.what, LinkUse::TakenBack { revoked: revokes, by: "server".to_owned() });
        assert_eq!(journal.keep_revocation(&signed, "Mia's phone", &Moment::now()).unwrap(), None);
        journal.prune().unwrap();
        drop(journal);
        let journal = Journal::open(&path, device).unwrap();
        assert_eq!(journal.revocations().unwrap(), [signed]);
        assert_eq!(journal.link_reports().unwrap(), std::slice::from_ref(report), "in the same step");
        drop(journal);
        assert!(Journal::open(&path, DeviceId::fresh()).unwrap().revocations().unwrap().is_empty());
    }

    #[test]
    fn reports_stay_in_order_until_they_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let (path, device) = (dir.path().join("journal.redb"), DeviceId::fresh());
        let reports: Vec<_> = (0..3).map(report).collect();
        let journal = Journal::open(&path, device).unwrap();
        journal.keep_link_reports(&reports).unwrap();
        drop(journal);
        let journal = Journal::open(&path, device).unwrap();
        assert_eq!(journal.link_reports().unwrap(), reports);
        journal.link_reports_told(&[reports[0].id, reports[2].id]).unwrap();
        assert_eq!(journal.link_reports().unwrap(), reports[1..2]);
    }
}
