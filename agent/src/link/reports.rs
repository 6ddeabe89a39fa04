//! What happened on the link, on its way to the server: written down first, told after, so that neither a crash nor a
//! server that is away loses it.

use std::{sync::Arc, time::Duration};

use foreman_machine::run::Moment;
use foreman_protocol::{LinkReport, LinkReportId, LinkUse};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{journal::Journal, tasks::Outbox};

/// The most written down in one step.
const BATCH: usize = 1000;
/// What waits for the journal; beyond it, when the disk is full, the log alone has it.
const WAITING: usize = 4096;
/// Between two attempts to write the journal.
const RETRY: Duration = Duration::from_secs(2);

/// Where parts of the device's API say what was done. Clones say it to the same place.
#[derive(Debug, Clone)]
pub struct Reports(mpsc::Sender<LinkReport>);

/// What was said and is not written down yet.
#[derive(Debug)]
pub struct Said(mpsc::Receiver<LinkReport>);

/// A place to say things, and its other end.
#[must_use]
pub fn channel() -> (Reports, Said) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Reports(sender), Said(receiver))
}

impl Reports {
    /// Says that something was done just now.
    pub fn tell(&self, what: LinkUse) {
        self.pass_on([LinkReport { id: LinkReportId::fresh(), at: Moment::now().wall_ms, what }]);
    }

    /// Says what was written down already; written once more, it is the same row.
    pub fn pass_on(&self, reports: impl IntoIterator<Item = LinkReport>) {
        for report in reports {
            // Nobody listens any more only while the agent is ending.
            if let Err(TrySendError::Full(LinkReport { at, what, .. })) = self.0.try_send(report) {
                tracing::error!(
                    at,
                    ?what,
                    "what happened on the link cannot be written down, and the server is not told"
                );
            }
        }
    }
}

impl Said {
    /// The next thing said; for those who keep nothing, as tests do.
    pub async fn next(&mut self) -> Option<LinkReport> {
        self.0.recv().await
    }

    /// Writes down and passes on for as long as it is polled.
    pub async fn keep(mut self, journal: Arc<Journal>, outbox: &Outbox) {
        let mut batch = Vec::new();
        loop {
            if self.0.recv_many(&mut batch, BATCH).await == 0 {
                return std::future::pending().await;
            }
            loop {
                let (journal, written) = (Arc::clone(&journal), batch.clone());
                // In a thread, because the journal waits for the disk.
                let done = tokio::task::spawn_blocking(move || journal.keep_link_reports(&written)).await;
                match done {
                    Ok(Ok(())) => break,
                    Ok(Err(error)) => {
                        let error = format!("{error:#}");
                        tracing::error!(%error, "what happened on the link cannot be written down yet");
                    }
                    Err(error) => tracing::error!(%error, "the journal's thread ended"),
                }
                tokio::time::sleep(RETRY).await;
            }
            outbox.tell_of_link(batch.drain(..));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(n: usize) -> LinkUse {
        LinkUse::FileChanged { action: "write".to_owned(), path: format!("/tmp/{n}"), by: "Mia".to_owned() }
    }

    #[tokio::test]
    async fn what_nobody_can_write_down_takes_no_memory_for_ever_and_is_in_the_log() {
        let log = Log::default();
        let writer = log.clone();
        let to_log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let (reports, mut said) = channel();
        tracing::subscriber::with_default(to_log, || (0..WAITING + 2).for_each(|n| reports.tell(written(n))));
        drop(reports);
        let mut kept = Vec::new();
        while let Some(report) = said.next().await {
            kept.push(report.what);
        }
        assert!(kept.len() == WAITING && kept[WAITING - 1] == written(WAITING - 1), "{}", kept.len());
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
        for dropped in [WAITING, WAITING + 1] {
            assert!(
                log.contains(&format!("/tmp/{dropped}\"")) && log.contains("cannot be written down"),
                "{log}"
            );
        }
    }
}
