//! What happened on the link, on its way to the server: written down first, told after, so that neither a crash nor a
//! server that is away loses it.

use std::{sync::Arc, time::Duration};

use foreman_machine::run::Moment;
use foreman_protocol::{LinkReport, LinkReportId, LinkUse};
use tokio::sync::mpsc;

use crate::{journal::Journal, tasks::Outbox};

/// The most written down in one step.
const BATCH: usize = 1000;
/// Between two attempts to write the journal.
const RETRY: Duration = Duration::from_secs(2);

/// Where parts of the device's API say what was done. Clones say it to the same place.
#[derive(Debug, Clone)]
pub struct Reports(mpsc::UnboundedSender<LinkReport>);

/// What was said and is not written down yet.
#[derive(Debug)]
pub struct Said(mpsc::UnboundedReceiver<LinkReport>);

/// A place to say things, and its other end.
#[must_use]
pub fn channel() -> (Reports, Said) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Reports(sender), Said(receiver))
}

impl Reports {
    /// Says that something was done just now.
    pub fn tell(&self, what: LinkUse) {
        let report = LinkReport { id: LinkReportId::fresh(), at: Moment::now().wall_ms, what };
        // Nobody listens any more only while the agent is ending.
        let _ = self.0.send(report);
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
